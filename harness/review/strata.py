"""Strata of a draw: how small ones are joined, and how a draw's pairs are shared out among them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from harness.records import Pair, Transition

CHANGED = frozenset({"lost", "gained"})

_NAMES: dict[Transition, str] = {
    "lost": "lost",
    "gained": "gained",
    "both_wrong": "both wrong",
    "both_right": "both right",
    "unscored": "not scored",
}
_TOLD = 2
"""Values that a stratum's name tells."""
_LEAST, _WANTED = 2, 4
"""Pairs of a stratum without which nothing is known about how its ratings vary, and a good few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The ``size`` pairs of a stratum; ``dealt`` are those that may be drawn, with their lots.

    Lots order the draw. ``transitions`` and ``values`` (of the property by which strata are split)
    say what is in it.
    """

    transitions: tuple[Transition, ...]
    values: tuple[str, ...]
    size: int
    dealt: tuple[tuple[str, Pair], ...]

    @property
    def name(self) -> str:
        """What it is called in the key and for people."""
        moved = " + ".join(_NAMES[each] for each in self.transitions)
        values = [value for value in self.values if value]
        told = " + ".join(values) if len(values) <= _TOLD else f"{len(values)} others"
        return f"{moved}: {told}" if values else moved

    @property
    def is_changed(self) -> bool:
        """Whether all of its pairs are right on one side only."""
        return CHANGED.issuperset(self.transitions)


def joined(cells: Iterable[Cell], items: int) -> tuple[Cell, ...]:
    """Join the smallest strata until each can give some pairs to a draw.

    The small ones of a move become one. A move that is too small itself is joined with another of
    its kind (changed or not), else with the smallest.

    Args:
        cells: Strata as they were found.
        items: Pairs of the draw.

    Returns:
        Strata that have pairs to draw, as far as one has, and at most one for every four pairs.
    """
    found = list(cells)
    while len(found) > 1:
        least = min(found, key=lambda cell: (len(cell.dealt), cell.size, cell.name))
        if least.dealt and len(found) <= max(1, items // _WANTED):
            break
        found.remove(least)
        nearest = min(found, key=partial(_distance, least))
        found[found.index(nearest)] = _both(nearest, least)
    return tuple(found)


def allot(cells: Sequence[Cell], items: int) -> list[int]:
    """Share a draw's pairs out: half to what changed, within each half by the root of the sizes.

    What a stratum or a half does not have goes to the others. Roots stand between equal shares,
    which tell about small strata, and proportional ones, which tell about the whole (Bankier, The
    American Statistician 42 (1988) 174-177).
    """
    halves = [
        [i for i, cell in enumerate(cells) if cell.is_changed is side] for side in (True, False)
    ]
    room = [sum(len(cells[i].dealt) for i in half) for half in halves]
    counts = [0] * len(cells)
    for half, count in zip(halves, _shared(room, [1.0, 1.0], items), strict=True):
        rooms = [len(cells[i].dealt) for i in half]
        shares = _shared(rooms, [cells[i].size ** 0.5 for i in half], count)
        for i, share in zip(half, shares, strict=True):
            counts[i] = share
    return counts


def _shared(room: Sequence[int], weights: Sequence[float], count: int) -> list[int]:
    """Deal a count out by weights, as far as there is room; each gets some before one gets more.

    By the method of Sainte-Lague: the next goes where it misses a due share most.
    """
    found = [0] * len(room)
    for _ in range(min(count, sum(room))):
        due = [i for i, most in enumerate(room) if found[i] < most]
        few = [i for i in due if found[i] < _LEAST]
        found[max(few or due, key=lambda i: weights[i] / (2 * found[i] + 1))] += 1
    return found


def _distance(one: Cell, other: Cell) -> tuple[object, ...]:
    """Order what a stratum can be joined with: what shares its move, then what was joined."""
    shares = set(one.transitions) & set(other.transitions)
    return (
        not shares, one.is_changed is not other.is_changed, len(other.values) == 1, other.size,
        other.name,
    )  # fmt: skip


def _both(one: Cell, other: Cell) -> Cell:
    return Cell(
        transitions=tuple(dict.fromkeys((*one.transitions, *other.transitions))),
        values=tuple(dict.fromkeys((*one.values, *other.values))),
        size=one.size + other.size,
        dealt=tuple(sorted((*one.dealt, *other.dealt), key=itemgetter(0))),
    )
