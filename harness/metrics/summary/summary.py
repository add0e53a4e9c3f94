"""Summaries, judged by `harness.scoring.summary`.

`evaluate` reads the imports of this file line by line: one import a line.
"""

from collections.abc import Sequence

import datasets
import evaluate

from harness.scoring import summary

_INPUTS = """
Args:
    predictions: The summaries, as the model wrote them.
    references: For each, a person's summary, empty where there is none.
    documents: For each, what is summarised.
Returns:
    sound: the share without a fault that a rule can find, in [0, 1].
    grounded: the share without figures, dates and names that their document lacks.
    rouge1, rouge2, rougeL: mean F measures over those with a reference.
"""


class Summary(evaluate.Metric):
    """``sound``, ``grounded`` and ROUGE of summaries."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Is a summary sound? (harness.scoring.summary)",
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Value("string"),
                    "documents": datasets.Value("string"),
                }
            ),
        )

    def _compute(
        self, predictions: Sequence[str], references: Sequence[str], documents: Sequence[str]
    ) -> dict[str, float]:
        found = [
            summary(document, said, reference=reference or None).metrics
            for document, said, reference in zip(documents, predictions, references, strict=True)
        ]
        columns = {name: [one[name] for one in found if name in one] for name in _COLUMNS}
        return {name: sum(values) / len(values) for name, values in columns.items() if values}


_COLUMNS = ("sound", "grounded", "rouge1", "rouge2", "rougeL")
