"""Turns of conversations, judged by `harness.scoring.coherence`.

`evaluate` reads the imports of this file line by line: one import a line.
"""

from collections.abc import Sequence

import datasets
import evaluate

from harness.scoring import coherence

_INPUTS = """
Args:
    predictions: The responses, as the model wrote them.
    references: For each, the accepted answers to the last turn; empty lists ask for the proxy.
    contexts: For each, the turns before it, oldest first; the last one is the user's.
Returns:
    ``recall``, or ``coherence`` (the proxy) where no item has accepted answers, in [0, 1]; and the
    means of the components.
"""
_COLUMNS = ("relevance", "distinct_2", "repetition", "echo", "role_confusion", "contradiction")


class Coherence(evaluate.Metric):
    """``recall`` where accepted answers are given, else the graded proxy ``coherence``."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Does the response remember, and does it fit? (harness.scoring.coherence)",
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
    ) -> dict[str, float]:
        recalls = any(references)
        verdicts = [
            coherence(list(turns), said, answers=answers if recalls else None)
            for turns, said, answers in zip(contexts, predictions, references, strict=True)
        ]
        scored = [verdict for verdict in verdicts if verdict.score is not None]
        if not scored:
            return {"unscored": len(verdicts)}
        primary = "recall" if recalls else "coherence"
        return {
            primary: sum(verdict.score or 0.0 for verdict in scored) / len(scored),
            **{name: sum(v.metrics[name] for v in scored) / len(scored) for name in _COLUMNS},
            "unscored": len(verdicts) - len(scored),
        }
