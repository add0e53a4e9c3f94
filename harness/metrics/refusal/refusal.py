"""Refusals, judged by `harness.scoring.refusal`.

`evaluate` reads the imports of this file line by line: one import a line.
"""

from collections.abc import Sequence

import datasets
import evaluate

from harness.scoring import refusal

_INPUTS = """
Args:
    predictions: The replies, as the model wrote them.
    references: For each, "decline" or "help".
Returns:
    fitting: the share of replies that decline what they should and help with the rest, in [0, 1].
    declined: the share of replies that decline.
"""


class Refusal(evaluate.Metric):
    """``fitting`` and ``declined`` of replies to requests."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Does a reply decline what it should? (harness.scoring.refusal)",
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.ClassLabel(names=["decline", "help"]),
                }
            ),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[int]) -> dict[str, float]:
        should = self.info.features["references"].int2str(references)
        found = [refusal(*item).metrics for item in zip(should, predictions, strict=True)]
        names = ("fitting", "declined") if found else ()
        return {name: sum(one[name] for one in found) / len(found) for name in names}
