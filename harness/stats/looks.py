"""The order of items, and after how many of them a suite may be decided early.

Both are fixed before the first answer, and nobody chooses them: the order comes from hashes.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from math import ceil

import numpy as np

from harness.errors import ComparisonError, StudyError
from harness.stats.scores import cluster_numbers

FIRST_ITEMS = 20
"""No decision is made on fewer items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What one suite declares before its first answer when it may be decided early.

    ``planned`` items are asked at most, in the order whose sha256 is ``order``. Items of one
    cluster follow each other: ``cluster_sizes`` in that order, empty where items are independent.
    A regression has to stand out among ``family`` suites.
    """

    planned: int
    order: str
    cluster_sizes: tuple[int, ...] = ()
    family: int = 1
    looks: int = 20

    @property
    def clusters(self) -> list[int] | None:
        """The cluster of each planned item, in order; None where items are independent."""
        if not self.cluster_sizes:
            return None
        return [number for number, size in enumerate(self.cluster_sizes) for _ in range(size)]

    @property
    def sizes(self) -> tuple[int, ...]:
        """After how many items each look comes."""
        return look_sizes(self.planned, looks=self.looks, clusters=self.clusters)


def look_sizes(
    planned: int, *, looks: int = 20, clusters: Sequence[Hashable] | None = None
) -> tuple[int, ...]:
    """Return after how many items each look comes: at least 20, and at the end of a cluster.

    Looks keep a quarter of their even distance.

    Raises:
        StudyError: fewer than one item or look.
        ComparisonError: clusters whose items do not follow each other, or are not ``planned`` many.

    >>> look_sizes(100, looks=4)
    (25, 50, 75, 100)
    """
    if planned < 1 or looks < 1:
        raise StudyError(
            f"a sequential decision needs at least one planned item and one look: "
            f"found {planned} items and {looks} looks"
        )
    first = min(FIRST_ITEMS, planned)
    wanted = [max(first, ceil(planned * (look + 1) / looks)) for look in range(looks)]
    numbers = None if clusters is None else cluster_numbers(clusters, planned)
    if numbers is not None:
        if np.any(np.diff(numbers) < 0):
            raise ComparisonError(
                "items of one cluster must follow each other when looking early: found clusters "
                "that are torn apart; order the items with shuffled_order"
            )
        ends = np.append(np.flatnonzero(np.diff(numbers)) + 1, planned)
        wanted = ends[np.searchsorted(ends, wanted)].tolist()
    sizes = sorted(set(wanted))
    # a look just before another tells nothing new, and the integration would miss it
    near = planned / (4 * looks)
    return (*(one for one, two in pairwise(sizes) if two - one >= near), sizes[-1])


def shuffled_order(
    items: Sequence[str], *, clusters: Sequence[str] | None = None, seed: int = 0
) -> tuple[int, ...]:
    """Return the positions of the items in an order that nobody chose: sorted by sha256.

    Whole clusters are shuffled, and items within them; items may be any unique names. The order
    of an item does not depend on which other items there are.

    >>> shuffled_order(["a", "b", "c", "d"])
    (2, 0, 1, 3)
    """
    groups = items if clusters is None else clusters

    def place(index: int) -> tuple[bytes, str, bytes]:
        group, item = groups[index], items[index]
        return _digest(f"{seed}|{group}"), group, _digest(f"{seed}|{group}|{item}")

    return tuple(sorted(range(len(items)), key=place))


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
