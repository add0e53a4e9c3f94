"""Turns of conversations, judged by `harness.scoring.dialogue`.

`evaluate` reads the imports of this file line by line: one import a line.
"""

from collections.abc import Sequence

import datasets
import evaluate

from harness.rating import judge_all
from harness.rating.embedding import best
from harness.records import Response
from harness.scoring.dialogue import metric_of

_INPUTS = """
Args:
    predictions: The responses, as the model wrote them.
    references: For each, the accepted answers to the last turn; empty lists ask for the
        graded score.
    contexts: For each, the turns before it, oldest first; the last one is the user's.
    measure: What the graded score is measured by (minilm, wordllama or words); the first of these
        that is installed by default.
Returns:
    ``recall``, or ``coherence_<measure>`` where no item has accepted answers, in [0, 1]; and the
    means of the components.
"""
_COLUMNS = ("relevance", "distinct_2", "repetition", "echo", "role_confusion", "contradiction")


class Coherence(evaluate.Metric):
    """``recall`` where accepted answers are given, else the graded ``coherence_<measure>``."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Does the response remember, and does it fit? (harness.scoring.dialogue)",
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                    "contexts": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        contexts: Sequence[Sequence[str]],
        measure: str | None = None,
    ) -> dict[str, float]:
        recalls = any(references)
        by = measure or best()
        items = [
            ({"context": turns, "answers": answers if recalls else None}, (Response(text=said),))
            for turns, said, answers in zip(contexts, predictions, references, strict=True)
        ]
        verdicts = judge_all("coherence", items, measure=by)
        scored = [verdict for verdict in verdicts if verdict.score is not None]
        if not scored:
            return {"unscored": len(verdicts)}
        primary = "recall" if recalls else metric_of(by)
        return {
            primary: sum(verdict.score or 0.0 for verdict in scored) / len(scored),
            **{name: sum(v.metrics[name] for v in scored) / len(scored) for name in _COLUMNS},
            "unscored": len(verdicts) - len(scored),
        }
