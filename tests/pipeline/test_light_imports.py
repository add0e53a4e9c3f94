"""What follows a run loads no library that trains or answers."""

import pytest
from support.command import python

HEAVY = {
    "torch", "transformers", "datasets", "lm_eval", "peft", "trl", "sqlglot", "duckdb", "ftfy",
    "harness.training", "harness.engine",
}  # fmt: skip


@pytest.mark.parametrize(
    "module",
    [
        "harness.pipeline.conclude",
        "harness.pipeline.finished.baseline",
        "harness.pipeline.finished.chat",
        "harness.pipeline.finished.compare_scores",
        "harness.report",
        "harness.review",
    ],
)
def test_comparing_and_reporting_import_no_model_library(module: str) -> None:
    """``compare``, ``gate``, ``report`` and ``review`` work where none is installed."""
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {HEAVY!r}))"
    done = python("-c", code)
    assert done.stdout == "[]\n", done.stderr
