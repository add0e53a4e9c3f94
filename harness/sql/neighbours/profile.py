"""What a database's rows look like: constraints declared and mined, and pools of values.

A neighbour instance has to be a database that could be: it keeps declared keys, and what the data
shows by convention (unique names, columns that are never NULL, closed sets of codes), once there
are enough rows to show it.
"""

from dataclasses import dataclass, replace

from harness.sql.execute.column_stats import ENOUGH_ROWS, ENOUGH_UNDECLARED, Kind, part
from harness.sql.execute.database import ForeignKey, Schema, TableSchema
from harness.sql.execute.messages import Cells
from harness.sql.neighbours.predicates import GoldPredicates


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """How values of one column are drawn."""

    name: str
    kind: Kind
    pool: Cells
    nullable: bool
    unique: bool
    closed: bool
    filled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Columns that draw from a parent table's rows; ``orphans`` if some have no parent."""

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


def profile(
    schema: Schema, predicates: GoldPredicates, *, relaxed: bool = False
) -> dict[str, TableProfile]:
    """Profile every table, by lower-case name; ``relaxed`` leaves out what was only mined."""
    if relaxed:
        places = {(t.name.lower(), c.name.lower()) for t in schema.tables for c in t.columns}
        predicates = replace(predicates, repeated=frozenset(places))
    return {
        table.name.lower(): _profile_table(table, schema, predicates) for table in schema.tables
    }


def _profile_table(table: TableSchema, schema: Schema, predicates: GoldPredicates) -> TableProfile:
    counted = {
        table.index(column) for name, column in predicates.counted if name == table.name.lower()
    }
    keys = tuple(key for key in table.keys if len(key) > 1 or key[0] not in counted)
    single = {key[0] for key in keys if len(key) == 1}
    strict = any(column.not_null for t in schema.tables for column in t.columns)
    columns = tuple(
        _profile_column(table, index, predicates, unique=index in single, strict=strict)
        for index, column in enumerate(table.columns)
    )
    mined = [(i,) for i, c in enumerate(columns) if c.unique and i not in single]
    return TableProfile(
        name=table.name,
        ddl=table.ddl,
        columns=columns,
        keys=(*keys, *mined),
        references=_references(table, schema, predicates),
    )


def _profile_column(
    table: TableSchema, index: int, predicates: GoldPredicates, *, unique: bool, strict: bool
) -> ColumnProfile:
    column, stats = table.columns[index], table.columns[index].stats
    name = column.name.lower()
    place = (table.name.lower(), name)
    refers = any(name in key.columns for key in table.foreign_keys)
    nullable = not (column.not_null or name in table.primary_key) and (
        stats.nulls > 0 or (strict and stats.count < ENOUGH_ROWS) or place in predicates.null_tested
    )
    enough = stats.count >= (ENOUGH_ROWS if strict else ENOUGH_UNDECLARED)
    mined = enough and stats.never_repeats and not refers and place not in predicates.repeated
    flag = stats.flag and not unique
    kind = stats.kind or _kind_by_constants(place, predicates)
    return ColumnProfile(
        name=column.name,
        kind=kind,
        pool=(0, 1) if flag else stats.pool,
        nullable=nullable,
        unique=unique or mined,
        closed=flag or (stats.few and stats.count >= ENOUGH_ROWS and kind == "text"),
        filled=column.filled,
    )


def _kind_by_constants(place: tuple[str, str], predicates: GoldPredicates) -> Kind:
    constants = [v for a in predicates.conditions if a.column == place for v in a.values]
    return "int" if any(isinstance(value, int | float) for value in constants) else "text"


def _references(
    table: TableSchema, schema: Schema, predicates: GoldPredicates
) -> tuple[Reference, ...]:
    found: list[Reference] = []
    for key in table.foreign_keys:
        reference = _reference(table, key, schema)
        if reference is not None:
            found.append(reference)
    taken = {column for reference in found for column in reference.columns}
    for left, right in predicates.equi_joins:
        for mine, other in ((left, right), (right, left)):
            reference = _linked(table, mine, other, schema)
            if reference is not None and not taken & set(reference.columns):
                found.append(reference)
                taken |= set(reference.columns)
    return tuple(found)


def _reference(table: TableSchema, key: ForeignKey, schema: Schema) -> Reference | None:
    parent = schema.table(key.table)
    if parent is None:
        return None
    names = key.parents if all(key.parents) else parent.primary_key
    columns = tuple(i for name in key.columns if (i := table.index(name)) is not None)
    parents = tuple(i for name in names if (i := parent.index(name)) is not None)
    if len(columns) != len(key.columns) or len(parents) != len(columns):
        return None
    orphans = _has_orphans(table, columns, parent, parents)
    return Reference(columns=columns, table=parent.name.lower(), parents=parents, orphans=orphans)


def _has_orphans(
    table: TableSchema, columns: tuple[int, ...], parent: TableSchema, parents: tuple[int, ...]
) -> bool:
    existing = {tuple(map(str, part(row, parents))) for row in parent.rows}
    mine = {part(row, columns) for row in table.rows}
    return any(tuple(map(str, key)) not in existing for key in mine if None not in key)


def _linked(
    table: TableSchema, mine: tuple[str, str], other: tuple[str, str], schema: Schema
) -> Reference | None:
    """Treat a column that the gold equates with a unique one elsewhere as referring to it."""
    parent = schema.table(other[0])
    if mine[0] != table.name.lower() or parent is None or parent is table:
        return None
    column, target = table.index(mine[1]), parent.index(other[1])
    if column is None or target is None or (column,) in table.keys:
        return None
    if not parent.columns[target].stats.never_repeats:
        return None
    orphans = _has_orphans(table, (column,), parent, (target,))
    return Reference(
        columns=(column,), table=parent.name.lower(), parents=(target,), orphans=orphans
    )
