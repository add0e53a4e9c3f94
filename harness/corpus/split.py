"""Hold out rows for validation by group, so that no group is on both sides."""

import hashlib
from collections.abc import Sequence

from harness.errors import DataError


def hold_out(groups: Sequence[str], *, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Split rows into kept and held-out ones; rows of one group stay together.

    Groups are taken in an order that depends only on their name and the seed, so that adding rows
    moves no group to the other side unless it must.

    Args:
        groups: The group of each row: its conversation, document, database or prompt.
        share: Wanted share of held-out rows, above 0 and below 1; met to within one group.
        seed: Decides which groups are held out.

    Returns:
        Positions of kept and of held-out rows, each in order.

    Raises:
        DataError: If there are fewer than two groups.
    """
    names = sorted(set(groups), key=lambda name: _place(name, seed))
    if len(names) < 2:
        raise DataError(
            f"holding rows out needs at least two groups: found {len(names)}; give each document "
            "or conversation its own"
        )
    sizes = dict.fromkeys(names, 0)
    for name in groups:
        sizes[name] += 1
    held: set[str] = set()
    taken = 0
    for name in names[:-1]:
        if held and taken + sizes[name] / 2 > share * len(groups):
            break
        held.add(name)
        taken += sizes[name]
    rows = range(len(groups))
    return [i for i in rows if groups[i] not in held], [i for i in rows if groups[i] in held]


def _place(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
