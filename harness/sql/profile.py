"""What a database's rows look like: constraints declared and mined, and pools of values.

A neighbour instance has to be a database that could be: it keeps declared keys, and what the data
shows by convention (unique names, columns that are never NULL, closed sets of codes), once there
are enough rows to show it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.sql.database import Column, ForeignKey, Schema, Table
from harness.sql.evidence import Evidence

ENOUGH_ROWS = 5
"""From this many rows on, what a column never shows is taken for a rule."""

POOL = 24
"""Values of a column that are kept for sampling."""

Kind = Literal["int", "real", "text", "date", "blob"]
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_AFFINITY: tuple[tuple[str, Kind], ...] = (
    (r"BOOL", "int"), (r"DATE|TIME", "date"), (r"INT|SERIAL", "int"),
    (r"CHAR|CLOB|TEXT|STRING|ENUM", "text"), (r"REAL|FLOA|DOUB|NUM|DEC|MONEY", "real"),
    (r"BLOB|BINARY", "blob"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """How values of one column are drawn."""

    name: str
    kind: Kind
    pool: tuple[Any, ...]
    nullable: bool
    unique: bool
    closed: bool
    filled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Columns that draw from a parent table's rows; ``orphans`` if some point nowhere."""

    columns: tuple[int, ...]
    table: str
    parents: tuple[int, ...]
    orphans: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProfile:
    """How rows of one table are drawn; ``keys`` are column sets that stay unique."""

    name: str
    ddl: str
    columns: tuple[ColumnProfile, ...]
    keys: tuple[tuple[int, ...], ...]
    references: tuple[Reference, ...]


def profile(schema: Schema, evidence: Evidence) -> dict[str, TableProfile]:
    """Profile every table, by lower-case name."""
    return {table.name.lower(): _profile_table(table, schema, evidence) for table in schema.tables}


def _profile_table(table: Table, schema: Schema, evidence: Evidence) -> TableProfile:
    keys = _keys(table)
    single = {key[0] for key in keys if len(key) == 1}
    strict = any(column.not_null for t in schema.tables for column in t.columns)
    columns = tuple(
        _profile_column(table, index, evidence, unique=index in single, strict=strict)
        for index, column in enumerate(table.columns)
    )
    mined = [(i,) for i, c in enumerate(columns) if c.unique and i not in single]
    return TableProfile(
        name=table.name,
        ddl=table.ddl,
        columns=columns,
        keys=(*keys, *mined),
        references=_references(table, schema, evidence),
    )


def _keys(table: Table) -> tuple[tuple[int, ...], ...]:
    """Return the keys that the rows respect.

    A declared key that the rows break (Spider names one column of a composite key) is widened by
    the first column that mends it; without any key, rows that never repeat do not repeat here.
    """
    keys: list[tuple[int, ...]] = []
    width = len(table.columns)
    for names in (table.primary_key, *table.unique):
        places = [table.index(name) for name in names]
        key = tuple(p for p in places if p is not None)
        if not key or len(key) != len(names):
            continue
        wider = (key, *((*key, i) for i in range(width) if i not in key))
        sound = next((k for k in wider if _is_unique([_part(row, k) for row in table.rows])), None)
        if sound is not None:
            keys.append(sound)
    if not keys and len(table.rows) >= ENOUGH_ROWS and _is_unique(table.rows):
        keys.append(tuple(range(width)))
    return tuple(keys)


def _part(row: Sequence[Any], key: Sequence[int]) -> tuple[Any, ...]:
    return tuple(row[i] for i in key)


def _is_unique(rows: Sequence[Any]) -> bool:
    return len(set(rows)) == len(rows)


def _profile_column(
    table: Table, index: int, evidence: Evidence, *, unique: bool, strict: bool
) -> ColumnProfile:
    column = table.columns[index]
    place = (table.name.lower(), column.name.lower())
    cells = [row[index] for row in table.rows]
    values = [cell for cell in cells if cell is not None]
    counts = Counter(values)
    enough = len(cells) >= ENOUGH_ROWS
    in_key = column.name.lower() in table.primary_key
    refers = any(column.name.lower() in key.columns for key in table.foreign_keys)
    nullable = not (column.not_null or in_key) and (
        len(values) < len(cells) or (not enough and strict) or place in evidence.null_tested
    )
    mined = enough and not refers and len(counts) == len(cells) and place not in evidence.repeated
    few = enough and len(values) >= 3 * len(counts) and len(counts) <= 8
    kind = _kind(column, values, evidence, place)
    flag = kind == "int" and bool(values) and set(values) <= {0, 1} and not unique
    return ColumnProfile(
        name=column.name,
        kind=kind,
        pool=(0, 1) if flag else _pool(counts),
        nullable=nullable,
        unique=unique or mined,
        closed=flag or bool(values and few and kind == "text"),
        filled=column.filled,
    )


def _pool(counts: Counter[Any]) -> tuple[Any, ...]:
    """Keep some values: evenly spaced ones of all that occur, in a fixed order."""
    values = sorted(counts, key=lambda v: (type(v).__name__, v))
    step = max(1, len(values) // POOL)
    return tuple(values[::step][:POOL])


def _kind(column: Column, values: list[Any], evidence: Evidence, place: tuple[str, str]) -> Kind:
    types = {type(value) for value in values}
    if types == {str}:
        return "date" if all(_DATE.match(value) for value in values) else "text"
    if types == {int}:
        return "int"
    if types and types <= {int, float}:
        return "real"
    if types == {bytes}:
        return "blob"
    for pattern, kind in _AFFINITY:
        if re.search(pattern, column.type.upper()):
            return kind
    constants = [v for a in evidence.atoms if a.place == place for v in a.values]
    return "int" if any(isinstance(value, int | float) for value in constants) else "text"


def _references(table: Table, schema: Schema, evidence: Evidence) -> tuple[Reference, ...]:
    found: list[Reference] = []
    for key in table.foreign_keys:
        reference = _reference(table, key, schema)
        if reference is not None:
            found.append(reference)
    taken = {column for reference in found for column in reference.columns}
    for left, right in evidence.links:
        for mine, other in ((left, right), (right, left)):
            reference = _linked(table, mine, other, schema)
            if reference is not None and not taken & set(reference.columns):
                found.append(reference)
                taken |= set(reference.columns)
    return tuple(found)


def _reference(table: Table, key: ForeignKey, schema: Schema) -> Reference | None:
    parent = schema.table(key.table)
    if parent is None:
        return None
    names = key.parents if all(key.parents) else parent.primary_key
    columns = tuple(i for name in key.columns if (i := table.index(name)) is not None)
    parents = tuple(i for name in names if (i := parent.index(name)) is not None)
    if len(columns) != len(key.columns) or len(parents) != len(columns):
        return None
    existing = {tuple(map(str, _part(row, parents))) for row in parent.rows}
    mine = {_part(row, columns) for row in table.rows}
    orphans = {tuple(map(str, values)) for values in mine if None not in values} - existing
    return Reference(
        columns=columns, table=parent.name.lower(), parents=parents, orphans=bool(orphans)
    )


def _linked(
    table: Table, mine: tuple[str, str], other: tuple[str, str], schema: Schema
) -> Reference | None:
    """Treat a column that the gold equates with a unique one elsewhere as referring to it."""
    parent = schema.table(other[0])
    if mine[0] != table.name.lower() or parent is None or parent is table:
        return None
    column, target = table.index(mine[1]), parent.index(other[1])
    if column is None or target is None or (column,) in _keys(table):
        return None
    values = {str(row[column]) for row in table.rows if row[column] is not None}
    pool = [str(row[target]) for row in parent.rows]
    if not _is_unique(pool) and (values or pool):
        return None
    return Reference(
        columns=(column,),
        table=parent.name.lower(),
        parents=(target,),
        orphans=not values <= set(pool),
    )
