"""Column statistics and keys, mined from the rows of a table once per database."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.sql.execute.messages import Cell, Cells

ENOUGH_ROWS = 5
"""From this many rows on, what a column never shows counts as a constraint."""

ENOUGH_UNDECLARED = 3
"""The same in a database that declares no constraint: there, data is all there is to go by."""

POOL_SIZE = 24
"""Values of a column that are sampled from."""

Kind = Literal["int", "real", "text", "date", "blob"]
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_AFFINITY: tuple[tuple[str, Kind], ...] = (
    (r"BOOL", "int"), (r"DATE|TIME", "date"), (r"INT|SERIAL", "int"),
    (r"CHAR|CLOB|TEXT|STRING|ENUM", "text"), (r"REAL|FLOA|DOUB|NUM|DEC|MONEY", "real"),
    (r"BLOB|BINARY", "blob"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStats:
    """One column: ``count`` cells, of them ``nulls``, ``distinct`` values, some in ``pool``.

    ``kind`` is None where neither data nor declared type tell; ``flag`` for 0 and 1 only;
    ``few`` for a small set of values that repeat (codes, categories).
    """

    pool: Cells = ()
    kind: Kind | None = None
    count: int = 0
    nulls: int = 0
    distinct: int = 0
    flag: bool = False
    few: bool = False

    @property
    def never_repeats(self) -> bool:
        """Whether every cell holds a value of its own."""
        return self.distinct == self.count


def column_stats(cells: Sequence[Cell], declared: str) -> ColumnStats:
    """Collect the statistics of one column; ``declared`` is its declared type."""
    values = [cell for cell in cells if cell is not None]
    counts: Counter[Cell] = Counter(values)
    kind = _kind(values, declared)
    return ColumnStats(
        pool=_pool(counts),
        kind=kind,
        count=len(cells),
        nulls=len(cells) - len(values),
        distinct=len(counts),
        flag=kind == "int" and bool(values) and set(counts) <= {0, 1},
        few=bool(values) and len(values) >= 3 * len(counts) and len(counts) <= 8,
    )


def _pool(counts: Counter[Cell]) -> Cells:
    """Keep some values: evenly spaced ones of all that occur, in a fixed order.

    Bytes that are no UTF-8 text are read as lone surrogates and cannot be written back: left out.
    """
    writable = [v for v in counts if not (isinstance(v, str) and _SURROGATE.search(v))]
    values = sorted(writable, key=lambda v: (type(v).__name__, v))
    step = max(1, len(values) // POOL_SIZE)
    return tuple(values[::step][:POOL_SIZE])


def _kind(values: Sequence[Cell], declared: str) -> Kind | None:
    types = {type(value) for value in values}
    if types == {str}:
        return "date" if all(_DATE.match(str(value)) for value in values) else "text"
    if types and types <= {int, float}:
        return "int" if types == {int} else "real"
    if types == {bytes}:
        return "blob"
    found = (kind for pattern, kind in _AFFINITY if re.search(pattern, declared.upper()))
    return next(found, None)


def sound_keys(
    declared: Sequence[Sequence[int]], rows: Sequence[Sequence[Cell]], width: int
) -> tuple[tuple[int, ...], ...]:
    """Return the keys that the rows respect.

    A declared key that the rows break (Spider names one column of a composite key) is widened by
    the first column that mends it; without any key, rows that never repeat do not repeat here.
    """
    keys: list[tuple[int, ...]] = []
    for key in map(tuple, declared):
        wider = (key, *((*key, i) for i in range(width) if i not in key))
        sound = next((k for k in wider if is_unique([part(row, k) for row in rows])), None)
        if sound is not None:
            keys.append(sound)
    if not keys and len(rows) >= ENOUGH_ROWS and is_unique(list(map(tuple, rows))):
        keys.append(tuple(range(width)))
    return tuple(keys)


def part(row: Sequence[Cell], key: Sequence[int]) -> Cells:
    """Return some cells of a row."""
    return tuple(row[i] for i in key)


def is_unique(rows: Sequence[Cells]) -> bool:
    """Tell whether nothing occurs twice."""
    return len(set(rows)) == len(rows)
