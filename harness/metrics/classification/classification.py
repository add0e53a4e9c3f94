"""Labels named in answers, judged by `harness.scoring.classification`.

`evaluate` reads the imports of this file line by line: one import a line.
"""

from collections.abc import Sequence

import datasets
import evaluate

from harness.scoring import classification
from harness.stats import macro_f1_of

_INPUTS = """
Args:
    predictions: The answers, as the model wrote them.
    references: For each, the right label.
    labels: The closed set, the same for all.
Returns:
    acc: the share of answers that name the right label and no other, in [0, 1].
    answered: the share of answers in which one label could be read.
    macro_f1: the mean of F1 over the labels that occur among the references.
"""


class Classification(evaluate.Metric):
    """``acc``, ``answered`` and ``macro_f1`` of answers that name a label."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Is the right label named? (harness.scoring.classification)",
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Value("string"),
                }
            ),
        )

    def _compute(
        self, predictions: Sequence[str], references: Sequence[str], labels: Sequence[str]
    ) -> dict[str, float]:
        found = [
            classification(labels, *item) for item in zip(references, predictions, strict=True)
        ]
        names = ("acc", "answered") if found else ()
        means = {name: sum(one.metrics[name] for one in found) / len(found) for name in names}
        said = [one.answer for one in found]
        return means | ({"macro_f1": macro_f1_of(references, said)} if found else {})
