"""Free-text answers, judged by `harness.scoring.qa`.

`evaluate` reads the imports of this file line by line: one import a line.
"""

from collections.abc import Sequence

import datasets
import evaluate

from harness.scoring import qa

_INPUTS = """
Args:
    predictions: The responses, as the model wrote them.
    references: For each, the list of accepted answers.
    questions: For each, the question; optional.
Returns:
    exact_match, squad_em, f1: means over the items that can be judged, in [0, 1].
    unscored: the number of items without an accepted answer.
"""


class QA(evaluate.Metric):
    """``exact_match``, ``squad_em`` and ``f1`` of free-text answers."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Is an accepted answer what the response says? (harness.scoring.qa)",
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        questions: Sequence[str] | None = None,
    ) -> dict[str, float]:
        asked = questions or [""] * len(predictions)
        verdicts = [qa(*item) for item in zip(asked, references, predictions, strict=True)]
        scored = [verdict.metrics for verdict in verdicts if verdict.score is not None]
        names = ("exact_match", "squad_em", "f1") if scored else ()
        means = {name: sum(item[name] for item in scored) / len(scored) for name in names}
        return {**means, "unscored": len(verdicts) - len(scored)}
