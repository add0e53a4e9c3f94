"""Error analysis: which items moved, which causes changed, which groups of items differ.

Everything here is pure: samples in, pairs and findings out. Findings describe; only
``harness.stats`` decides.
"""

from collections.abc import Sequence
from typing import NamedTuple

from harness.analysis.causes import causes, primary_label
from harness.analysis.groups.facets import Facets, facets, named
from harness.analysis.groups.stand_out import stand_out
from harness.analysis.groups.themes import themes
from harness.analysis.labels import plain
from harness.analysis.led_dialogues import asked_and_said, led, script_of, script_text, shown_text
from harness.analysis.slices import slices
from harness.analysis.symptoms import symptoms
from harness.analysis.transitions import (
    TRANSITIONS,
    answer_text,
    asked_text,
    choices,
    pair,
    target_text,
    thought_text,
)
from harness.records import Comparison, Finding, ItemKey

__all__ = [
    "TRANSITIONS",
    "Analysis",
    "analyse",
    "answer_text",
    "asked_and_said",
    "asked_text",
    "choices",
    "findings",
    "led",
    "named",
    "pair",
    "plain",
    "primary_label",
    "script_of",
    "script_text",
    "shown_text",
    "target_text",
    "thought_text",
]


class Analysis(NamedTuple):
    """All findings, and the names of the groups that each item can be found by."""

    findings: tuple[Finding, ...]
    groups: dict[ItemKey, tuple[str, ...]]


def analyse(comparisons: Sequence[Comparison]) -> Analysis:
    """Run all error analyses on the comparisons of a run, suite by suite."""
    grouped: dict[str, Facets] = {}
    for suite in {comparison.suite.name: comparison.suite for comparison in comparisons}.values():
        pairs = (p for c in comparisons if c.suite.name == suite.name for p in c.pairs)
        items = {pair.base.item.key: pair.base.item for pair in pairs}
        grouped[suite.name] = facets(suite, list(items.values()))
    found = tuple(
        finding
        for comparison in comparisons
        for finding in findings(comparison, grouped[comparison.suite.name])
    )
    groups = {
        key: [named(group) for group in mine]
        for facets_ in grouped.values()
        for key, mine in facets_.items()
    }
    for theme in (finding for finding in found if finding.kind == "theme"):
        for key in theme.keys:
            groups[key].extend(map(named, theme.conditions))
    return Analysis(found, {key: tuple(names) for key, names in groups.items()})


def findings(comparison: Comparison, grouped: Facets | None = None) -> tuple[Finding, ...]:
    """Run all error analyses on one comparison.

    Args:
        comparison: Base against one candidate on one suite.
        grouped: The groups of its items, where they are known.

    Returns:
        Warnings first (something may be wrong with the measurement), then the causes of wrong
        answers by how much their share changed, the groups whose change is not that of the rest,
        every group from the largest loss to the largest gain, and what lost items share. Intervals
        within one kind hold jointly (Bonferroni), and none of them takes part in the decision.
    """
    if grouped is None:
        items = [pair.base.item for pair in comparison.pairs]
        grouped = facets(comparison.suite, items)
    return (
        *symptoms(comparison),
        *causes(comparison),
        *stand_out(comparison, grouped),
        *slices(comparison, grouped),
        *themes(comparison),
    )
