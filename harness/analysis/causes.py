"""Which causes of wrong answers became more or less frequent."""

from collections import Counter, defaultdict
from dataclasses import replace

from harness.analysis.intervals import difference, scored
from harness.analysis.labels import plain
from harness.records import Comparison, Finding, ItemKey, Pair, Sample

UNLABELLED = "unlabelled"


def primary_label(sample: Sample) -> str | None:
    """Return why an answer is wrong, or None where it is right or unscored."""
    if sample.verdict.outcome in ("correct", "unscored"):
        return None
    return sample.verdict.labels[0] if sample.verdict.labels else UNLABELLED


def causes(comparison: Comparison) -> tuple[Finding, ...]:
    """Count each cause on both sides, with an interval for the change of its share.

    Only the primary label counts, so that shares add up to the wrong answers. ``keys`` are the
    items that show the cause now and did not before.

    Args:
        comparison: Base against one candidate on one suite.

    Returns:
        One finding per cause, the largest change of its share first.
    """
    pairs = scored(comparison)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    fresh: dict[str, list[ItemKey]] = defaultdict(list)
    for pair in pairs:
        base, tuned = primary_label(pair.base), primary_label(pair.tuned)
        if base:
            counts[base]["base"] += 1
        if tuned:
            counts[tuned]["tuned"] += 1
        if base and tuned != base:
            counts[base]["left"] += 1
            counts[base]["mended"] += tuned is None
        if tuned and tuned != base:
            counts[tuned]["entered"] += 1
            counts[tuned]["broken"] += base is None
            fresh[tuned].append(pair.base.item.key)
    found = [
        Finding(
            kind="cause",
            candidate=comparison.candidate,
            suite=comparison.suite.name,
            title=label,
            text=_sentence(label, count["base"], count["tuned"], len(pairs)),
            base_count=count["base"],
            tuned_count=count["tuned"],
            total=len(pairs),
            keys=tuple(fresh[label]),
            entered=count["entered"],
            broken=count["broken"],
            left=count["left"],
            mended=count["mended"],
        )
        for label, count in counts.items()
    ]
    with_intervals = [_with_interval(finding, pairs, comparison, len(found)) for finding in found]
    return tuple(sorted(with_intervals, key=lambda f: (-abs(f.delta or 0.0), f.title)))


def _sentence(label: str, base: int, tuned: int, total: int) -> str:
    return f"{plain(label)}: {base} of {total} items before, {tuned} after"


def _with_interval(
    finding: Finding, pairs: tuple[Pair, ...], comparison: Comparison, looks: int
) -> Finding:
    alpha = comparison.decision.alpha if comparison.decision else 0.05
    delta, low, high = difference(
        pairs,
        [float(primary_label(pair.base) == finding.title) for pair in pairs],
        [float(primary_label(pair.tuned) == finding.title) for pair in pairs],
        alpha=alpha / looks,
        comparison=comparison,
        binary=True,
    )
    return replace(finding, delta=delta, ci_low=low, ci_high=high)
