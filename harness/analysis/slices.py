"""How every group of one condition moved.

Every group with enough items has an interval, and the intervals hold for all of them together, so
looking at many does not mislead. Smaller groups have counts and no interval. What stands out among
them, and under two conditions, is searched for by `harness.analysis.groups.stand_out`.
"""

from collections import defaultdict

from harness.analysis.groups.facets import MIN_ITEMS, Facets
from harness.analysis.intervals import Interval, difference, scored
from harness.analysis.transitions import right_counts
from harness.records import Comparison, Finding, Pair, Suite

MAX_SLICES = 40
"""The largest slices of a comparison that have an interval."""


def slices(comparison: Comparison, facets: Facets) -> tuple[Finding, ...]:
    """Break the change of the score down by everything that the items can be grouped by.

    Args:
        comparison: Base against one candidate on one suite.
        facets: The groups that each item is in.

    Returns:
        One finding per slice, from the largest loss to the largest gain, with right answers of
        either arm in ``base_count`` and ``tuned_count``. ``keys`` are the items that got worse
        where the slice lost, else those that got better. Then the slices too small for an
        interval, and the smallest where there are many, with counts alone (``delta`` is None),
        those that lost most items first.
    """
    pairs = scored(comparison)
    groups: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        for group in facets.get(pair.base.item.key, ()):
            groups[group].append(pair)
    parts = {group: found for group, found in groups.items() if len(found) < len(pairs)}
    large = [entry for entry in parts.items() if len(entry[1]) >= MIN_ITEMS]
    kept = sorted(large, key=lambda entry: (-len(entry[1]), entry[0]))[:MAX_SLICES]
    shown = {group for group, _ in kept}
    findings = [_finding(group, found, comparison, len(kept)) for group, found in kept]
    gain = comparison.suite.gain
    small = [
        _counted(group, found, comparison) for group, found in parts.items() if group not in shown
    ]
    small.sort(key=lambda f: (f.tuned_count - f.base_count, -f.total, f.title))
    findings.sort(key=lambda f: (gain(f.delta or 0.0), f.title))
    return (*findings, *small)


def _counted(group: tuple[str, str], pairs: list[Pair], comparison: Comparison) -> Finding:
    base, tuned = right_counts(pairs)
    return Finding(
        kind="slice",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title=f"{group[0]} = {group[1]}",
        text=f"{base} of {len(pairs)} right before, {tuned} after",
        base_count=base,
        tuned_count=tuned,
        total=len(pairs),
        keys=tuple(pair.base.item.key for pair in pairs),
        conditions=(group,),
    )


def _finding(
    group: tuple[str, str], pairs: list[Pair], comparison: Comparison, looks: int
) -> Finding:
    decision = comparison.decision
    alpha = (decision.alpha if decision else 0.05) / looks
    base = [pair.base.verdict.score or 0.0 for pair in pairs]
    tuned = [pair.tuned.verdict.score or 0.0 for pair in pairs]
    delta, low, high = difference(
        pairs, base, tuned, alpha=alpha, comparison=comparison, is_group=True
    )
    overall = decision.delta if decision else None
    wanted = "lost" if comparison.suite.gain(delta) < 0 else "gained"
    base_right, tuned_right = right_counts(pairs)
    return Finding(
        kind="slice",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title=f"{group[0]} = {group[1]}",
        text=_sentence((delta, low, high), overall, looks, comparison.suite),
        base_count=base_right,
        tuned_count=tuned_right,
        total=len(pairs),
        delta=delta,
        ci_low=low,
        ci_high=high,
        keys=tuple(pair.base.item.key for pair in pairs if pair.transition == wanted),
        conditions=(group,),
    )


def _sentence(change_of: Interval, overall: float | None, looks: int, suite: Suite) -> str:
    delta, low, high = change_of
    change = f"{delta * 100:+.1f} points (between {low * 100:+.1f} and {high * 100:+.1f}"
    change += f", jointly over {looks} slices)"
    if overall is None or low <= overall <= high:
        return f"{change}; no clear difference from the suite as a whole"
    relation = "worse" if suite.gain(delta - overall) < 0 else "better"
    return f"{change}; clearly {relation} than the suite as a whole ({overall * 100:+.1f})"
