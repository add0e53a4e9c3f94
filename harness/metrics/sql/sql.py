"""Generated SQL, executed and compared with the gold's result by `harness.sql`.

`evaluate` reads the imports of this file line by line: one import a line.
"""

from collections.abc import Sequence

import datasets
import evaluate

from harness.sql import judge_rows

_INPUTS = """
Args:
    predictions: The responses, as the model wrote them.
    references: For each, the gold query.
    schemas: For each, a SQLite script that creates and fills the tables.
Returns:
    execution_accuracy, robust_execution_accuracy, strict_execution_accuracy: means over the items
        that can be judged.
    untried: the share of them that match but that no neighbour database could challenge.
    unscored: the number of items whose gold or database does not run.
"""


class SQL(evaluate.Metric):
    """``execution_accuracy`` of generated SQL, on databases given as scripts."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Does the query give the gold's result? (harness.sql)",
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Value("string"),
                    "schemas": datasets.Value("string"),
                }
            ),
        )

    def _compute(
        self, predictions: Sequence[str], references: Sequence[str], schemas: Sequence[str]
    ) -> dict[str, float]:
        rows = [
            {"gold_sql": gold, "pred_text": said, "schema_sql": schema}
            for gold, said, schema in zip(references, predictions, schemas, strict=True)
        ]
        verdicts = list(judge_rows(rows))
        scored = [verdict.metrics for verdict in verdicts if verdict.score is not None]
        names = list(scored[0]) if scored else []
        means = {name: sum(item[name] for item in scored) / len(scored) for name in names}
        if scored:
            means["untried"] = sum("untried" in v.labels for v in verdicts) / len(scored)
        return {**means, "unscored": len(verdicts) - len(scored)}
