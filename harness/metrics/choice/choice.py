"""Free-text answers to multiple-choice questions, judged by `harness.scoring.choice`.

`evaluate` reads the imports of this file line by line: one import a line.
"""

from collections.abc import Sequence

import datasets
import evaluate

from harness.scoring import choice

_INPUTS = """
Args:
    predictions: The responses, as the model wrote them.
    references: For each, the index of the right choice.
    choices: For each, the texts of its choices.
Returns:
    acc: the share of right choices, in [0, 1]; no readable choice is wrong.
    answered: the share of responses that name exactly one choice.
"""


class Choice(evaluate.Metric):
    """``acc`` and ``answered`` of free-text answers to multiple-choice questions."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Which choice does the response name? (harness.scoring.choice)",
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Value("int64"),
                    "choices": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[int],
        choices: Sequence[Sequence[str]],
    ) -> dict[str, float]:
        items = zip(choices, references, predictions, strict=True)
        found = [choice(list(texts), right, said).metrics for texts, right, said in items]
        scored = [metrics for metrics in found if metrics]
        names = ("acc", "answered") if scored else ()
        return {name: sum(item[name] for item in scored) / len(scored) for name in names}
