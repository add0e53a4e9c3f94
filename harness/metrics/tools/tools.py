"""Tool calls, judged by `harness.scoring.tools`.

`evaluate` reads the imports of this file line by line: one import a line.
"""

import json
from collections.abc import Sequence

import datasets
import evaluate

from harness.scoring.tools import read_tool_row, tool_use

_INPUTS = """
Args:
    predictions: The responses, as the model wrote them, in any model's format of calls.
    references: For each, the expected calls as JSON, or "null" where none is wanted.
    tools: For each, the tools on offer as JSON, in the OpenAI shape.
Returns:
    call_match: the share of responses with just the right calls, in [0, 1].
    names, arguments: where calls are wanted, the mean shares of right tools and arguments.
"""


class Tools(evaluate.Metric):
    """``call_match``, ``names`` and ``arguments`` of tool calls."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Are the right tools called rightly? (harness.scoring.tools)",
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Value("string"),
                    "tools": datasets.Value("string"),
                }
            ),
        )

    def _compute(
        self, predictions: Sequence[str], references: Sequence[str], tools: Sequence[str]
    ) -> dict[str, float]:
        found = []
        for said, expected, offered in zip(predictions, references, tools, strict=True):
            row = {"tools": json.loads(offered), "expected": json.loads(expected)}
            verdict = tool_use(*read_tool_row(row), said)
            found.append({"call_match": verdict.score or 0.0, **verdict.metrics})
        columns = {name: [one[name] for one in found if name in one] for name in _COLUMNS}
        return {name: sum(values) / len(values) for name, values in columns.items() if values}


_COLUMNS = ("call_match", "names", "arguments")
