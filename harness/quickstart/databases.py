"""The databases of the ``sql`` suite, as SQLite scripts."""

from __future__ import annotations

from functools import cache
from random import Random

from harness.quickstart.pools import pools
from harness.quickstart.sql_questions import TableSpec, suite_tables

ROWS = 60
_SEED = 23
_VALUES = {"train": 7, "validation": 4, "test": 8}
_OWN = {"validation": 3, "test": 5}


def _text_values(rng: Random, pool: str) -> list[str]:
    """Draw which values a column has: few enough that groups form."""
    values: list[str] = []
    for split, count in _VALUES.items():
        have = pools()[pool][split]
        values += rng.sample(have, min(count, len(have)))
    own = pools().get(f"own_{pool}", {})
    for split, count in (_OWN if own else {}).items():
        values += rng.sample(own[split], count)
    return values


def _column(rng: Random, source: str) -> list[str | int]:
    if not source[0].isdigit():
        values = _text_values(rng, source)
        cells: list[str | int] = [*values, *rng.choices(values, k=ROWS - len(values))]
        rng.shuffle(cells)
        return cells
    low, high = (int(part) for part in source.split("-"))
    numbers: list[str | int] = [rng.randint(low, high - 1) for _ in range(ROWS)]
    numbers[rng.randrange(ROWS)] = high  # one clear maximum, so that "the highest" has one answer
    return numbers


@cache
def table_rows(table: TableSpec) -> tuple[tuple[str | int, ...], ...]:
    """Return the rows of a suite table."""
    rng = Random(f"{_SEED}/{table.db_id}/{table.name}")
    columns = [_column(rng, source) for _, source in table.columns]
    return tuple(zip(*columns, strict=True))


def column_values(table: TableSpec, column: str) -> list[str | int]:
    """Return the values of one column, row by row."""
    place = [name for name, _ in table.columns].index(column)
    return [row[place] for row in table_rows(table)]


def scripts() -> dict[str, str]:
    """Return ``{db_id: SQLite script}``."""
    parts: dict[str, list[str]] = {}
    for table in suite_tables():
        kinds = ", ".join(
            f"{name} {'INTEGER' if source[0].isdigit() else 'TEXT'}"
            for name, source in table.columns
        )
        lines = [f"CREATE TABLE {table.name} ({kinds});"]
        for row in table_rows(table):
            cells = ", ".join(f"'{c}'" if isinstance(c, str) else str(c) for c in row)
            lines.append(f"INSERT INTO {table.name} VALUES ({cells});")
        parts.setdefault(table.db_id, []).append("\n".join(lines))
    return {db_id: "\n\n".join(tables) + "\n" for db_id, tables in parts.items()}
