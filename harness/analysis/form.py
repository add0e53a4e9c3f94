"""Whether an answer has the form that was asked for, apart from whether it is right."""

from collections.abc import Sequence
from typing import NamedTuple

from harness.analysis.intervals import difference, scored
from harness.records import Comparison, Pair, Sample

FORM_FAULTS = frozenset(
    {
        "ambiguous",
        "conflict",
        "empty",
        "format",
        "multi_statement",
        "no_answer",
        "no_sql",
        "only_thought",
        "not_a_query",
        "over_verbose",
        "refused_write",
        "repetition",
        "role_confusion",
        "syntax_error",
        "thought_until_limit",
        "truncated",
    }
)
"""Causes that say that nothing could be taken as the answer; a refusal is an answer."""


class FormShares(NamedTuple):
    """How many answers of each arm had the form asked for, and the change of the share."""

    base: int
    tuned: int
    total: int
    delta: float
    ci_low: float
    ci_high: float


def has_form(sample: Sample) -> bool:
    """Say whether something in the form asked for was answered, right or wrong."""
    return FORM_FAULTS.isdisjoint(sample.verdict.labels)


def is_generated(pair: Pair) -> bool:
    """Say whether answers are texts; a choice by likelihood always has its form."""
    return any(response.text is not None for response in pair.base.responses)


def form_shares(comparison: Comparison) -> FormShares | None:
    """Compare the arms by the form of their answers, item by item; None without generated ones."""
    pairs = [pair for pair in scored(comparison) if is_generated(pair)]
    if not pairs:
        return None
    base, tuned = ([float(has_form(sample)) for sample in arm] for arm in _sides(pairs))
    alpha = comparison.decision.alpha if comparison.decision else 0.05
    delta, low, high = difference(
        pairs, base, tuned, alpha=alpha, comparison=comparison, binary=True
    )
    return FormShares(int(sum(base)), int(sum(tuned)), len(pairs), delta, low, high)


def _sides(pairs: Sequence[Pair]) -> tuple[list[Sample], list[Sample]]:
    return [pair.base for pair in pairs], [pair.tuned for pair in pairs]
