"""Groups of items that gained or lost otherwise than the rest of their suite.

Slices are searched on the *difference* between the arms, not on the errors: a group that is hard
for both arms is no news about the tuning. Every value of every declared field with enough items
is shown, and the intervals hold for all of them together, so looking at many does not mislead.
Smaller groups have counts and no interval.
"""

from collections import defaultdict

from harness.analysis.intervals import Interval, difference, scored
from harness.records import Comparison, Finding, Pair, Suite

MIN_ITEMS = 10
"""A slice with fewer items has no interval: it would be noise."""

MAX_SLICES = 60
"""The largest slices of a comparison that are examined."""


def slices(comparison: Comparison) -> tuple[Finding, ...]:
    """Break the change of the score down by the fields that the suite declares.

    Args:
        comparison: Base against one candidate on one suite.

    Returns:
        One finding per slice, from the largest loss to the largest gain, with right answers of
        either arm in ``base_count`` and ``tuned_count``. ``keys`` are the items that got worse
        where the slice lost, else those that got better. Then the slices too small for an
        interval, with counts alone (``delta`` is None).
    """
    pairs = scored(comparison)
    groups: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        for name, value in pair.base.item.slices.items():
            groups[name, value].append(pair)
    kept = [
        (group, found) for group, found in groups.items() if MIN_ITEMS <= len(found) < len(pairs)
    ]
    kept = sorted(kept, key=lambda entry: (-len(entry[1]), entry[0]))[:MAX_SLICES]
    findings = [_finding(group, found, comparison, len(kept)) for group, found in kept]
    gain = comparison.suite.gain
    small = [
        _counted(group, found, comparison)
        for group, found in sorted(groups.items(), key=lambda entry: (-len(entry[1]), entry[0]))
        if len(found) < min(MIN_ITEMS, len(pairs))
    ]
    shown = sorted(findings, key=lambda f: (gain(f.delta or 0.0), f.title))
    return (*shown, *small[:MAX_SLICES])


def _counted(group: tuple[str, str], pairs: list[Pair], comparison: Comparison) -> Finding:
    base, tuned = (
        sum(sample.verdict.outcome == "correct" for sample in arm)
        for arm in zip(*((pair.base, pair.tuned) for pair in pairs), strict=True)
    )
    return Finding(
        kind="slice",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title=f"{group[0]} = {group[1]}",
        text=f"{base} of {len(pairs)} right before, {tuned} after; too few for an interval",
        base_count=base,
        tuned_count=tuned,
        total=len(pairs),
        keys=tuple(pair.base.item.key for pair in pairs),
    )


def _finding(
    group: tuple[str, str], pairs: list[Pair], comparison: Comparison, looks: int
) -> Finding:
    decision = comparison.decision
    alpha = (decision.alpha if decision else 0.05) / looks
    base = [pair.base.verdict.score or 0.0 for pair in pairs]
    tuned = [pair.tuned.verdict.score or 0.0 for pair in pairs]
    delta, low, high = difference(pairs, base, tuned, alpha=alpha, comparison=comparison)
    overall = decision.delta if decision else None
    wanted = "lost" if comparison.suite.gain(delta) < 0 else "gained"
    return Finding(
        kind="slice",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title=f"{group[0]} = {group[1]}",
        text=_sentence((delta, low, high), overall, looks, comparison.suite),
        base_count=sum(pair.base.verdict.outcome == "correct" for pair in pairs),
        tuned_count=sum(pair.tuned.verdict.outcome == "correct" for pair in pairs),
        total=len(pairs),
        delta=delta,
        ci_low=low,
        ci_high=high,
        keys=tuple(pair.base.item.key for pair in pairs if pair.transition == wanted),
    )


def _sentence(change_of: Interval, overall: float | None, looks: int, suite: Suite) -> str:
    delta, low, high = change_of
    change = f"{delta * 100:+.1f} points (between {low * 100:+.1f} and {high * 100:+.1f}"
    change += f", jointly over {looks} slices)"
    if overall is None or low <= overall <= high:
        return f"{change}; no clear difference from the suite as a whole"
    relation = "worse" if suite.gain(delta - overall) < 0 else "better"
    return f"{change}; clearly {relation} than the suite as a whole ({overall * 100:+.1f})"
