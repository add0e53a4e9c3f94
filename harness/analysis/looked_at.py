"""Which answers of a large run are looked at: some are drawn for all findings, more are listed.

Verdicts and scores are of all answers. What needs their texts would cost memory and time without
end, so of a large run it is found out from items that are drawn by the hashes of their documents:
the same ones for every candidate, whatever they answered.
"""

from collections.abc import Container, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256

from harness.records import Comparison, ItemKey, Pair, Transition

WHOLE = 150_000
"""Pairs of answers up to which all are looked at."""

LOOKED_AT = 50_000
"""Pairs that are drawn of more."""

LISTED = 20_000
"""Further pairs that changed between right and wrong and are listed."""

FLIPS: tuple[Transition, ...] = ("lost", "gained")


def looked_at(
    comparisons: Sequence[Comparison], *, rated: Container[ItemKey] = frozenset()
) -> tuple[Comparison, ...]:
    """Leave in each comparison of a large run the pairs that are looked at.

    Args:
        comparisons: All of a run, with all their pairs.
        rated: Items that people have rated, which are listed in any case.

    Returns:
        The same comparisons; of a large run those with the drawn pairs, the listed ones, and the
        counts of all.
    """
    total = sum(len(comparison.pairs) for comparison in comparisons)
    if total <= WHOLE:
        return tuple(comparisons)
    drawn = LOOKED_AT / total
    flips = sum(pair.transition in FLIPS for c in comparisons for pair in c.pairs)
    listed = drawn + (1.0 - drawn) * min(1.0, LISTED / max(1.0, flips * (1.0 - drawn)))
    place = cache(hashed_place)

    def is_listed(pair: Pair) -> bool:
        key = pair.base.item.key
        at = place(key.doc_hash)
        return drawn <= at and (key in rated or (at < listed and pair.transition in FLIPS))

    return tuple(
        replace(
            comparison,
            moved=comparison.counts,
            pairs=tuple(p for p in comparison.pairs if place(p.base.item.key.doc_hash) < drawn),
            listed=tuple(filter(is_listed, comparison.pairs)),
        )
        for comparison in comparisons
    )


def counted(comparison: Comparison) -> Comparison:
    """Leave of the pairs their counts."""
    return replace(comparison, moved=comparison.counts, pairs=(), listed=())


def hashed_place(doc_hash: str) -> float:
    """Return where a document stands among all, in [0, 1): what is drawn lies below a share."""
    return int(sha256(doc_hash.encode()).hexdigest()[:8], 16) / 16**8
