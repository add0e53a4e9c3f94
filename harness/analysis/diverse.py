"""A few lost items that show different things, rather than the first ones of the file."""

from collections import Counter
from collections.abc import Mapping

from harness.analysis.causes import primary_label
from harness.records import Comparison, Pair


def diverse_losses(comparison: Comparison, count: int) -> tuple[Pair, ...]:
    """Return up to ``count`` lost items that differ in cause, group and cluster.

    The first has the most frequent cause; each next one shares as little as possible with those
    before it, frequent causes first. Short prompts come before long ones where all else is equal.
    """
    lost = [pair for pair in comparison.shown if pair.transition == "lost"]
    frequency = Counter(primary_label(pair.tuned) for pair in lost)
    ordered = sorted(
        lost,
        key=lambda pair: (
            -frequency[primary_label(pair.tuned)],
            len(pair.base.item.prompt),
            pair.base.item.doc_id,
        ),
    )
    traits = [_traits(pair) for pair in ordered]
    shared = [0] * len(ordered)
    left = list(range(len(ordered)))
    chosen: list[Pair] = []
    while left and len(chosen) < count:
        best = min(left, key=shared.__getitem__)  # the first of equals
        left.remove(best)
        chosen.append(ordered[best])
        for place in left:
            shared[place] += _shared(traits[place], traits[best])
    return tuple(chosen)


def _shared(mine: Mapping[str, str], other: Mapping[str, str]) -> int:
    """Count the traits that two items have in common; a cause weighs most."""
    return sum(
        (4 if name == "cause" else 1) for name, value in other.items() if mine.get(name) == value
    )


def _traits(pair: Pair) -> dict[str, str]:
    item = pair.base.item
    cause = primary_label(pair.tuned) or ""
    return {**item.slices, "cause": cause, "cluster": item.cluster}
