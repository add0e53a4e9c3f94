"""A few lost items that show different things, rather than the first ones of the file."""

from collections import Counter
from collections.abc import Sequence

from harness.analysis.causes import primary_label
from harness.records import Comparison, Pair


def diverse_losses(comparison: Comparison, count: int) -> tuple[Pair, ...]:
    """Return up to ``count`` lost items that differ in cause, group and cluster.

    The first has the most frequent cause; each next one shares as little as possible with those
    before it, frequent causes first. Short prompts come before long ones where all else is equal.
    """
    lost = [pair for pair in comparison.pairs if pair.transition == "lost"]
    frequency = Counter(primary_label(pair.tuned) for pair in lost)
    ordered = sorted(
        lost,
        key=lambda pair: (
            -frequency[primary_label(pair.tuned)],
            len(pair.base.item.prompt),
            pair.base.item.doc_id,
        ),
    )
    chosen: list[Pair] = []
    while ordered and len(chosen) < count:
        best = min(ordered, key=lambda pair: _shared(pair, chosen))  # the first of equals
        ordered.remove(best)
        chosen.append(best)
    return tuple(chosen)


def _shared(pair: Pair, chosen: Sequence[Pair]) -> int:
    """Count the traits that an item has in common with those chosen; a cause weighs most."""
    mine = _traits(pair)
    return sum(
        (4 if name == "cause" else 1)
        for other in chosen
        for name, value in _traits(other).items()
        if mine.get(name) == value
    )


def _traits(pair: Pair) -> dict[str, str]:
    item = pair.base.item
    cause = primary_label(pair.tuned) or ""
    return {**item.slices, "cause": cause, "cluster": item.cluster}
