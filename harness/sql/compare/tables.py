"""When two result tables are the same answer.

The rule: as many columns as the gold, in any order; rows as a bag; row order only where the gold's
outermost query orders, and then tie group by tie group; integers exactly, floating-point numbers to
a relative 1e-9 on aligned rows, and to the ``noise`` that sums may leave; NULL equals only NULL.
Pure functions on lists of rows.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from harness.sql.compare.policy import STRICT, Policy, numeric
from harness.sql.execute.messages import Cell, Cells

RELATIVE = 1e-9
ABSOLUTE = 1e-12
EXACT_INTEGERS = 2**53
MAX_CHECKS = 4_000
"""Column assignments that are tried before a comparison gives up (it then does not match)."""

MAX_ORDERS = 64
"""Column assignments that are kept apart; where more fit, the columns are too alike to tell."""

MAX_ALIGNED = 400
"""Rows that differ only in floating-point noise are aligned pair by pair up to this many."""


Order = tuple[int, ...]
"""For each column of the gold, the column of the answer that stands for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TieGroup:
    """Rows among which the gold does not decide an order; ``take`` of them belong to the answer."""

    rows: tuple[Cells, ...]
    take: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """All answers that the gold allows: groups one behind the other, ``width`` columns wide.

    ``ordered`` says whether the gold's outermost query orders; without it there is one group.
    ``null_first`` says that it puts rows first because their order key is NULL; ``noise`` is what
    rounding may have left in the gold's sums, an absolute tolerance for every float.
    """

    groups: tuple[TieGroup, ...]
    width: int
    ordered: bool = False
    null_first: bool = False
    noise: float = 0.0

    @property
    def size(self) -> int:
        """Number of rows of an answer."""
        return sum(group.take for group in self.groups)

    @property
    def cuts_tie(self) -> bool:
        """Whether a LIMIT falls among rows that the order leaves tied."""
        return self.ordered and any(g.take < len(g.rows) for g in self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The outcome; ``reason`` is empty for a match, else what first differs.

    ``allowed`` names the policies without which there would be no match.
    """

    same: bool
    reason: str = ""
    allowed: tuple[str, ...] = ()


def unordered(rows: Iterable[Cells], width: int) -> Expectation:
    """Expect exactly these rows, in any order."""
    expected_rows = tuple(rows)
    return Expectation(groups=(TieGroup(rows=expected_rows, take=len(expected_rows)),), width=width)


def compare(
    expected: Expectation,
    rows: Sequence[Cells],
    width: int,
    *,
    policy: Policy = STRICT,
    orders: Sequence[Order] | None = None,
) -> Match:
    """Compare a result with what the gold allows; ``orders`` are the assignments still open.

    >>> compare(unordered([(1, "a"), (2, "b")], 2), [("b", 2), ("a", 1)], 2).same
    True
    """
    if orders is not None:
        found = fitting_orders(expected, rows, width, policy=policy, orders=orders)
        return Match(same=found is None or bool(found), reason="values")
    strict = _strictly(expected, rows, width)
    if strict.same or policy == STRICT:
        return strict
    singly = [Policy.allowing([name]) for name in policy.allowed]
    for tried in (*singly, policy):
        if _leniently(expected, rows, width, tried):
            return Match(same=True, allowed=tried.allowed)
    return strict


def fitting_orders(
    expected: Expectation,
    rows: Sequence[Cells],
    width: int,
    *,
    policy: Policy = STRICT,
    orders: Sequence[Order] | None = None,
) -> tuple[Order, ...] | None:
    """Return the column assignments under which a result is the gold's; None for any.

    A query has one meaning: the columns that stand for the gold's on one database do on all others.

    >>> fitting_orders(unordered([(3, 1), (2, 5)], 2), [(1, 3), (5, 2)], 2)
    ((1, 0),)
    """
    if width < expected.width or (width > expected.width and not policy.extra_columns):
        return ()
    expected, rows = _as_allowed(expected, rows, policy)
    if len(rows) != expected.size:
        return ()
    if not rows:
        return None if orders is None else tuple(orders)
    if orders is not None:
        return tuple(order for order in orders if _fits(expected, rows, order))
    found = _search(expected, rows, width, most=MAX_ORDERS)
    return None if len(found) >= MAX_ORDERS else tuple(found)


def _strictly(expected: Expectation, rows: Sequence[Cells], width: int) -> Match:
    if width == expected.width:
        if _assign(expected, rows, width):
            return Match(same=True)
        return Match(same=False, reason=_difference(expected, rows, width))
    if width > expected.width and _assign(expected, rows, width):
        return Match(same=False, reason="extra_column_only")
    return Match(same=False, reason="extra_column" if width > expected.width else "missing_column")


def _leniently(expected: Expectation, rows: Sequence[Cells], width: int, policy: Policy) -> bool:
    """Tell whether a result is an answer if some disputed differences do not count."""
    if width < expected.width or (width > expected.width and not policy.extra_columns):
        return False
    return _assign(*_as_allowed(expected, rows, policy), width)


def _as_allowed(
    expected: Expectation, rows: Sequence[Cells], policy: Policy
) -> tuple[Expectation, Sequence[Cells]]:
    """Rewrite both sides so that what a policy allows is equal."""
    if policy.text_numbers:
        expected, rows = _numbers_from_text(expected), [numeric(row) for row in rows]
    if policy.all_ties and len(rows) > expected.size:
        expected = _with_all_ties(expected)
    return expected, rows


def _difference(expected: Expectation, rows: Sequence[Cells], width: int) -> str:
    """Say what kind of difference two tables of one width have."""
    everything = [row for group in expected.groups for row in group.rows]
    if expected.ordered and _assign(unordered(everything, width), rows, width):
        return "row_order"
    if not everything or not rows:
        return "empty_result" if not rows else "not_empty"
    distinct, others = set(everything), set(rows)
    if distinct == others or _assign(unordered(distinct, width), tuple(others), width):
        return "duplicates"
    if len(rows) != expected.size:
        return "too_many_rows" if len(rows) > expected.size else "too_few_rows"
    return "values"


def _assign(expected: Expectation, rows: Sequence[Cells], width: int) -> bool:
    """Look for an assignment of the expected columns to the given ones under which rows fit."""
    if len(rows) != expected.size:
        return False
    if _fits(expected, rows, range(expected.width)):
        return True
    if width == 1 or not rows:
        return width >= expected.width and not rows
    return bool(_search(expected, rows, width, most=1))


def _search(expected: Expectation, rows: Sequence[Cells], width: int, *, most: int) -> list[Order]:
    """Return column assignments under which rows fit, up to ``most``; the given order first."""
    checks = 0
    chosen: list[int] = []
    found: list[Order] = []

    def extend() -> bool:
        nonlocal checks
        if len(chosen) == expected.width:
            found.append(tuple(chosen))
            return len(found) >= most
        for column in range(width):
            if column in chosen:
                continue
            checks += 1
            if checks > MAX_CHECKS:
                return True
            chosen.append(column)
            if _fits(expected, rows, chosen) and extend():
                return True
            chosen.pop()
        return False

    extend()
    return found


def _fits(expected: Expectation, rows: Sequence[Cells], columns: Sequence[int]) -> bool:
    """Tell whether the chosen columns of ``rows`` fit the first expected columns."""
    start = 0
    count = len(columns)
    whole = count == expected.width and list(columns) == list(range(len(rows[0]) if rows else 0))
    for group in expected.groups:
        part = rows[start : start + group.take]
        start += group.take
        given = part if whole else [tuple(row[c] for c in columns) for row in part]
        wanted = group.rows if count == expected.width else [row[:count] for row in group.rows]
        if not _within(given, wanted, expected.noise):
            return False
    return True


def _within(given: Sequence[Cells], wanted: Sequence[Cells], noise: float) -> bool:
    """Tell whether ``given`` is a sub-bag of ``wanted`` (equal where they are as long)."""
    bag, other = Counter(given), Counter(wanted)
    if bag == other or bag <= other:
        return True
    missing, spare = bag - other, other - bag
    if not any(isinstance(cell, float) for row in (*missing, *spare) for cell in row):
        return False
    return _aligned(list(missing.elements()), list(spare.elements()), noise)


def _aligned(given: list[Cells], wanted: list[Cells], noise: float) -> bool:
    """Match rows one to one up to floating-point noise; exact cells narrow the choice first."""
    noisy = {
        i for row in (*given, *wanted) for i, cell in enumerate(row) if isinstance(cell, float)
    }
    buckets: dict[Cells, tuple[list[Cells], list[Cells]]] = {}
    for side, rows in enumerate((given, wanted)):
        for row in rows:
            exact = tuple(cell for i, cell in enumerate(row) if i not in noisy)
            floats = tuple(cell for i, cell in enumerate(row) if i in noisy)
            buckets.setdefault(exact, ([], []))[side].append(floats)
    return all(_pair_up(left, right, noise) for left, right in buckets.values())


def _pair_up(given: list[Cells], wanted: list[Cells], noise: float) -> bool:
    if len(given) > len(wanted):
        return False
    given, wanted = sorted(given, key=_sortable), sorted(wanted, key=_sortable)
    pairs = zip(given, wanted, strict=False)
    if len(given) == len(wanted) and all(_close_rows(*pair, noise) for pair in pairs):
        return True
    if len(given) > MAX_ALIGNED:
        return False
    partner: dict[int, int] = {}

    def augment(row: int, seen: set[int]) -> bool:
        for other, candidate in enumerate(wanted):
            if other not in seen and _close_rows(given[row], candidate, noise):
                seen.add(other)
                if other not in partner or augment(partner[other], seen):
                    partner[other] = row
                    return True
        return False

    return all(augment(row, set()) for row in range(len(given)))


def _close_rows(left: Cells, right: Cells, noise: float) -> bool:
    return all(close(mine, other, noise) for mine, other in zip(left, right, strict=True))


def close(left: Cell, right: Cell, noise: float = 0.0) -> bool:
    """Tell whether two cells are equal: floats up to noise, everything else exactly.

    >>> close(3, 3.0000000000000004), close(2**53 + 1, float(2**53)), close("4", 4)
    (True, False, False)
    """
    if isinstance(left, float) or isinstance(right, float):
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            return False
        exact = (isinstance(cell, int) and abs(cell) >= EXACT_INTEGERS for cell in (left, right))
        if any(exact):
            return left == right
        return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=max(noise, ABSOLUTE))
    return bool(left == right)


def _sortable(row: Cells) -> tuple[tuple[str, float | str | bytes], ...]:
    """Return a sort key: cells of different types never meet."""
    return tuple(
        ("", 0)
        if cell is None
        else ("number", cell)
        if isinstance(cell, int | float)
        else (type(cell).__name__, cell)
        for cell in row
    )


def _with_all_ties(expected: Expectation) -> Expectation:
    """Expect all rows of every group that a LIMIT cuts."""
    groups = tuple(
        TieGroup(rows=g.rows, take=len(g.rows) if g.take else 0) for g in expected.groups
    )
    return replace(expected, groups=groups)


def _numbers_from_text(expected: Expectation) -> Expectation:
    groups = tuple(
        TieGroup(rows=tuple(numeric(row) for row in g.rows), take=g.take) for g in expected.groups
    )
    return replace(expected, groups=groups)


def tie_groups(
    rows: Sequence[Cells], keys: Sequence[Cells], noise: float = 0.0
) -> list[list[Cells]]:
    """Cut rows where the order keys change by more than floating-point noise.

    >>> tie_groups([("a",), ("b",), ("c",)], [(1,), (1,), (2,)])
    [[('a',), ('b',)], [('c',)]]
    """
    if not rows:
        return []
    groups = [[rows[0]]]
    for (before, after), row in zip(pairwise(keys), rows[1:], strict=True):
        if before == after or _close_rows(before, after, noise):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups
