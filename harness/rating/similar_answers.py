"""Long reference answers: does a sentence of a wrong response mean much the same?

Rules over words find few right answers to a reference of a sentence or more. The best cosine of
sentence embeddings between the reference and the first and last three sentences of the response
finds more, and is wrong more often: it is a label, ``similar``, with the sentence that carries it,
and counts as right only where a suite sets ``similar: 0.6`` (or another least cosine).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.extras import lacks
from harness.rating.embedding import NEEDED, check_measure, text_vectors
from harness.records import Verdict
from harness.scoring.answer_languages import POLAR
from harness.scoring.answer_region import statements_of
from harness.scoring.answer_words import answer_words
from harness.scoring.quantities import quantities, spell_out
from harness.scoring.response_faults import visible_text

SIMILAR = 0.6
"""The cosine from which a sentence is labelled."""

LABEL_ONLY = 2.0
"""A least cosine that none reaches: answers are labelled and stay wrong."""

MEASURE = "minilm"
"""What vectors of sentences are made by."""

_LONG = 10
"""Words of the shortest accepted answer from which a reference is long."""

_NEAR = 3
_LONGEST = 1000
_MEANT = frozenset(
    (
        *("wrong_answer", "partial", "near_miss", "over_verbose", "wrong_supported"),
        *("hallucinated", "truncated", "hedged"),
    )
)
"""Causes of a wrong answer that a sentence of the same meaning may stand behind."""

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Returns one vector of length one for each text."""


def available() -> bool:
    """Say whether the package that carries the model is installed."""
    return not lacks(NEEDED[MEASURE])


def minilm() -> Encode:
    """Return the encoder, loaded once.

    Raises:
        MissingMeasureError: If the package that carries it is not installed.
    """
    return text_vectors(check_measure(MEASURE)).encode


@dataclass(frozen=True)
class Answered:
    """A response beside its accepted answers."""

    answers: Sequence[str]
    response: str


def add_similar(
    rows: Sequence[Answered],
    verdicts: Sequence[Verdict],
    encode: Callable[[], Encode],
    *,
    least: float = LABEL_ONLY,
) -> list[Verdict]:
    """Label wrong answers to long references whose meaning is near.

    Args:
        rows: What the verdicts are about.
        verdicts: Those of the ``qa`` judge.
        encode: Loads the model; called only where a row needs it.
        least: The cosine from which such an answer counts as right.
    """
    found = list(verdicts)
    pairs = {
        number: _pairs(row)
        for number, (row, verdict) in enumerate(zip(rows, verdicts, strict=True))
        if verdict.outcome == "incorrect" and _MEANT.intersection(verdict.labels[:1])
    }
    texts = sorted({text for asked in pairs.values() for pair in asked for text in pair})
    if not texts:
        return found
    vectors = dict(zip(texts, encode()(texts), strict=True))
    for number, asked in pairs.items():
        cosines = [(float(vectors[gold] @ vectors[said]), said) for gold, said in asked]
        if cosines:
            cosine, said = max(cosines)
            found[number] = _with(found[number], round(cosine, 4), said, least)
    return found


def _pairs(row: Answered) -> list[tuple[str, str]]:
    """Return each long reference with each sentence that does not plainly contradict it."""
    golds = [answer for answer in row.answers if answer.strip()]
    if not golds or min(len(answer_words(gold)) for gold in golds) < _LONG:
        return []
    said = statements_of(visible_text(row.response))
    near = said if len(said) <= 2 * _NEAR else [*said[:_NEAR], *said[-_NEAR:]]
    lead = _lead(said[0]) if said else None
    return [
        (_text(gold), _text(sentence))
        for gold in golds
        for sentence in dict.fromkeys(near)
        if not {lead, _lead(gold)} >= {"yes", "no"} and not _other_numbers(gold, sentence)
    ]


def _text(text: str) -> str:
    """Return a text as it is encoded: cut, and without halves of characters."""
    return text[:_LONGEST].encode("utf-8", "replace").decode("utf-8")


def _lead(text: str) -> str | None:
    return POLAR.get(next(iter(answer_words(text[:40])), ""))


def _other_numbers(gold: str, said: str) -> bool:
    """Say whether both give numbers, and none in common."""
    one, two = ({q.value for q in quantities(spell_out(text[:_LONGEST]))} for text in (gold, said))
    return bool(one and two) and not one & two


def _with(verdict: Verdict, cosine: float, said: str, least: float) -> Verdict:
    kept: Mapping[str, float] = {**verdict.metrics, "similarity": cosine}
    if cosine < min(SIMILAR, least):
        return replace(verdict, metrics=kept)
    details = {**verdict.details, "similar": {"cosine": cosine, "sentence": said}}
    if cosine < least:
        labels = (*verdict.labels, "similar")
        return replace(verdict, labels=labels, metrics=kept, details=details)
    return replace(
        verdict,
        outcome="correct",
        score=1.0,
        labels=("similar", *verdict.labels[1:]),
        explanation=f"means much the same as the reference (cosine {cosine:.2f}): {said!r}",
        metrics={**kept, "exact_match": 1.0},
        details=details,
    )
