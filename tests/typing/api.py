"""Code as a user would write it; mypy checks it, nothing runs it."""

from collections.abc import Iterator
from typing import Any, assert_type

import harness
from harness import errors, records, stats


def from_python() -> int:
    """Run a study, compare two files of scores, and rate answers."""
    try:
        result = harness.run("study.yaml", out="runs/mine", until_decided=True)
    except harness.HarnessError as error:
        return assert_type(error.exit_code, int)
    assert_type(result, records.Result)
    compared = harness.compare("base.jsonl", "tuned.jsonl", margin=0.03)
    for comparison in compared.comparisons:
        if comparison.decision is not None:
            assert_type(comparison.decision.delta, float)
            assert_type(comparison.decision.label, records.Label)
    row = {"id": "1", "question": "How many?", "answers": ["42"], "response": "It is 42."}
    assert_type(harness.rate("qa", [row]), Iterator[dict[str, Any]])
    harness.compare("base.jsonl", "tuned.jsonl", margn=0.03)  # type: ignore[call-arg]
    return result.exit_code


def with_numbers() -> bool:
    """Decide and plan from scores alone."""
    decision = stats.decide([1, 1, 0, 1], [1, 0, 0, 1], margin=0.03, alpha=0.05)
    assert_type(decision, records.Decision)
    power = stats.plan(margin=0.03, disagreement=0.1)
    assert_type(power, stats.Plan)
    return decision.verdict == "pass" and power.items < 1_000


def refused() -> str:
    """Tell a missing extra from a mistake in a study."""
    try:
        return str(next(harness.rate("sql", [])))
    except errors.MissingExtraError as missing:
        return str(missing)
