"""Intervals for what is described but not decided."""

from collections.abc import Sequence

from harness.records import Comparison, Pair
from harness.stats import decide, shared_clusters

FEW_CLUSTERS = 5
"""Clusters below which what is said of a group of items is said of these clusters alone."""

Interval = tuple[float, float, float]
"""Difference of the means (tuned - base) and the two ends of its interval."""


def scored(comparison: Comparison) -> tuple[Pair, ...]:
    """Return the pairs that both arms have a score for."""
    return tuple(pair for pair in comparison.pairs if pair.transition != "unscored")


def difference(
    pairs: Sequence[Pair],
    base: Sequence[float],
    tuned: Sequence[float],
    *,
    alpha: float,
    comparison: Comparison,
    is_group: bool = False,
    binary: bool = False,
) -> Interval:
    """Return the paired difference over some items, with an interval of level ``1 - 2 alpha``.

    Clusters count where items share one; the kind of score is the suite's, unless what is compared
    is whether answers have something (``binary``). A group of few
    clusters (one database) is about these alone: its items count.
    """
    suite = comparison.suite
    clusters = [pair.base.item.cluster for pair in pairs]
    if is_group and len(set(clusters)) < FEW_CLUSTERS:
        clusters = [str(place) for place in range(len(pairs))]
    decision = decide(
        base,
        tuned,
        margin=suite.margin,
        alpha=alpha,
        clusters=shared_clusters(clusters),
        kind="binary" if binary else suite.kind,
        tails=suite.tails,
    )
    return decision.delta, decision.ci_low, decision.ci_high
