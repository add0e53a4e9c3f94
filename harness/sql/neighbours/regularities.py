"""What the rows of a database show beyond what its schema declares.

A value that never repeats, a column without NULL, a code and its description: where about twenty
rows show it, a database that breaks it is possible but not to be expected. A witness that has to
break one is a soft one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.sql.execute.column_stats import part
from harness.sql.execute.database import ForeignKey, Schema, TableSchema
from harness.sql.execute.messages import Cell

ENOUGH_EVIDENCE = 20
"""From this many rows on, what the data never show counts as a regularity."""

ENOUGH_CELLS = 50
"""The same where no table declares NOT NULL: so many cells without a NULL, in all tables."""

LOOKED_AT = 1_000
"""Rows in which columns are compared with each other."""

LOOKUP_COLUMNS = 3
"""A table with no more columns, to which others refer, is a list of names for codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Two columns of a table of which each tells the other; ``copies`` if they are equal."""

    left: int
    right: int
    pairs: Mapping[Cell, Cell] = field(hash=False)
    copies: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """A column that repeats a column of the row's parent, by the foreign key at ``reference``."""

    column: int
    reference: tuple[int, ...]
    parent_column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEvidence:
    """What the rows of a table show; columns by their index.

    ``unique`` never repeat and ``filled`` are never NULL though both may be; ``names`` are the
    labels of a lookup table, ``identifies`` an undeclared key. ``total`` are foreign keys by which
    each parent has exactly one row here, ``orphans`` those that rows of the data break.
    """

    rows: int = 0
    unique: frozenset[int] = frozenset()
    filled: frozenset[int] = frozenset()
    names: frozenset[int] = frozenset()
    identifies: frozenset[int] = frozenset()
    twins: tuple[Twins, ...] = ()
    inherited: tuple[Inherited, ...] = ()
    total: frozenset[tuple[int, ...]] = frozenset()
    orphans: frozenset[tuple[int, ...]] = frozenset()


Tables = Mapping[str, Sequence[Sequence[Cell]]]
"""The rows of an instance, by lower-case name."""

Evidence = Mapping[str, TableEvidence]
"""What each table shows, by lower-case name."""


def evidence_of(schema: Schema) -> dict[str, TableEvidence]:
    """Look at all tables of a database, once."""
    referred = {key.table for table in schema.tables for key in table.foreign_keys}
    declared = any(column.not_null for table in schema.tables for column in table.columns)
    cells = sum(len(t.rows) * (len(t.columns) - len(t.primary_key)) for t in schema.tables)
    return {
        table.name.lower(): _table(
            table,
            schema,
            fills=len(table.rows) >= ENOUGH_EVIDENCE or not (declared or cells < ENOUGH_CELLS),
            lookup=table.name.lower() in referred and len(table.columns) <= LOOKUP_COLUMNS,
        )
        for table in schema.tables
    }


def _table(table: TableSchema, schema: Schema, *, fills: bool, lookup: bool) -> TableEvidence:
    enough = len(table.rows) >= ENOUGH_EVIDENCE
    stats = [column.stats for column in table.columns]
    single = {i for i, column in enumerate(stats) if column.count > 1 and column.never_repeats}
    keys = [key for key in table.foreign_keys if places(table, key)]
    no_key = not table.primary_key and not table.unique
    return TableEvidence(
        rows=len(table.rows),
        unique=frozenset(single if enough else ()),
        filled=frozenset(
            i for i, column in enumerate(stats) if fills and column.count and not column.nulls
        ),
        names=frozenset(i for i in single if lookup and stats[i].kind == "text"),
        identifies=frozenset(i for i in single if no_key and _is_named_as_key(table, i)),
        twins=tuple(_twins(table)) if enough else (),
        inherited=tuple(i for key in keys for i in _inherited(table, key, schema))
        if enough
        else (),
        total=frozenset(places(table, key) for key in keys if _is_total(table, key, schema)),
        orphans=frozenset(places(table, key) for key in keys if _is_broken(table, key, schema)),
    )


def places(table: TableSchema, key: ForeignKey) -> tuple[int, ...]:
    """Return the columns of a foreign key by their index; empty where the table has them not."""
    found = tuple(i for name in key.columns if (i := table.index(name)) is not None)
    return found if len(found) == len(key.columns) else ()


def parent_places(parent: TableSchema, key: ForeignKey) -> tuple[int, ...]:
    """Return the columns that a foreign key refers to, by default the primary key."""
    names = key.parents if all(key.parents) else parent.primary_key
    found = tuple(i for name in names if (i := parent.index(name)) is not None)
    return found if len(found) == len(key.columns) else ()


def has_orphans(
    table: TableSchema, columns: tuple[int, ...], parent: TableSchema, parents: tuple[int, ...]
) -> bool:
    """Tell whether rows refer to parents that are not there."""
    existing = {tuple(map(str, part(row, parents))) for row in parent.rows}
    mine = {part(row, columns) for row in table.rows}
    return any(tuple(map(str, key)) not in existing for key in mine if None not in key)


def _is_broken(table: TableSchema, key: ForeignKey, schema: Schema) -> bool:
    parent = schema.table(key.table)
    if parent is None or not parent_places(parent, key):
        return False
    return has_orphans(table, places(table, key), parent, parent_places(parent, key))


def _is_total(table: TableSchema, key: ForeignKey, schema: Schema) -> bool:
    """Tell whether every parent has exactly one row here."""
    parent = schema.table(key.table)
    if parent is None or parent is table or len(parent.rows) < ENOUGH_EVIDENCE:
        return False
    mine = [part(row, places(table, key)) for row in table.rows]
    known = {part(row, parent_places(parent, key)) for row in parent.rows}
    return len(set(mine)) == len(mine) and known <= set(mine)


def _is_named_as_key(table: TableSchema, index: int) -> bool:
    """Tell whether a column is the first and called an identifier."""
    name = table.columns[index].name.lower()
    return index == 0 and name.endswith(("id", "key", "code", "no", "nr", "number"))


def _twins(table: TableSchema) -> Iterable[Twins]:
    """Yield columns that always go together; of columns that never repeat, only copies."""
    rows = table.rows[:LOOKED_AT]
    stats = [column.stats for column in table.columns]
    taken: set[int] = set()
    for left in range(len(stats)):
        for right in range(left + 1, len(stats)):
            alike = stats[left].distinct == stats[right].distinct > 1
            if not alike or right in taken or stats[left].nulls != stats[right].nulls:
                continue
            pairs = {row[left]: row[right] for row in rows}
            copies = all(key == value for key, value in pairs.items())
            repeats = 2 * stats[left].distinct <= stats[left].count
            agree = all(pairs[row[left]] == row[right] for row in rows)
            if agree and (copies or (repeats and len(set(pairs.values())) == len(pairs))):
                taken.add(right)
                yield Twins(left=left, right=right, pairs=pairs, copies=copies)


def _inherited(table: TableSchema, key: ForeignKey, schema: Schema) -> Iterable[Inherited]:
    """Yield columns that repeat what stands in the parent's row."""
    parent, mine = schema.table(key.table), places(table, key)
    if parent is None or parent is table:
        return
    theirs = parent_places(parent, key)
    if not theirs:
        return
    known = {part(row, theirs): row for row in parent.rows}
    rows = [(row, known[k]) for row in table.rows[:LOOKED_AT] if (k := part(row, mine)) in known]
    if len(rows) < ENOUGH_EVIDENCE:
        return
    for column, stats in enumerate(c.stats for c in table.columns):
        for other, others in enumerate(c.stats for c in parent.columns):
            comparable = stats.kind == others.kind and stats.distinct > 1 and others.distinct > 1
            if column in mine or other in theirs or not comparable:
                continue
            if all(row[column] == row_above[other] for row, row_above in rows):
                yield Inherited(column=column, reference=mine, parent_column=other)


class CellBreak(NamedTuple):
    """A cell of an instance that breaks what its column shows, by being NULL or a repetition."""

    table: str
    row: int
    column: int
    is_null: bool


def cell_breaks(tables: Tables, evidence: Evidence) -> list[CellBreak]:
    """Return the cells that are NULL where the data have none, or repeat what never repeats."""
    found = []
    for name, rows in tables.items():
        shown = evidence.get(name, TableEvidence())
        seen: set[tuple[int, Cell]] = set()
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                is_null = cell is None and column in shown.filled
                single = column in shown.unique | shown.names and cell is not None
                if is_null or (single and (column, cell) in seen):
                    found.append(CellBreak(name, number, column, is_null))
                seen.add((column, cell))
    return found


def broken(tables: Tables, schema: Schema, evidence: Evidence) -> str:
    """Say in words what an instance breaks of what the data show; empty for nothing."""
    found: list[str] = []
    for cell in cell_breaks(tables, evidence):
        table = schema.table(cell.table)
        if table is not None:
            name = f"{table.name}.{table.columns[cell.column].name}"
            found.append(f"a NULL in {name}" if cell.is_null else f"a {name} that occurs twice")
    for name, rows in tables.items():
        table, shown = schema.table(name), evidence.get(name, TableEvidence())
        if table is not None:
            found += _twin_breaks(table, rows, shown)
            found += _other_breaks(table, rows, tables, schema, shown)
    return " and ".join(list(dict.fromkeys(found))[:2])


def _twin_breaks(
    table: TableSchema, rows: Sequence[Sequence[Cell]], shown: TableEvidence
) -> list[str]:
    names = [f"{table.name}.{column.name}" for column in table.columns]
    return [
        f"{names[twin.left]} and {names[twin.right]} that do not go together"
        for twin in shown.twins
        if any(
            row[twin.left] in twin.pairs and row[twin.right] != twin.pairs[row[twin.left]]
            for row in rows
        )
    ]


def _other_breaks(
    table: TableSchema,
    rows: Sequence[Sequence[Cell]],
    tables: Tables,
    schema: Schema,
    shown: TableEvidence,
) -> list[str]:
    """Name rows without a parent, parents without a row, and values that are new to a set."""
    found = []
    for key in table.foreign_keys:
        parent, mine = schema.table(key.table), places(table, key)
        if parent is None or not mine:
            continue
        theirs = parent_places(parent, key)
        known = {part(row, theirs) for row in tables.get(key.table, ())}
        used = {part(row, mine) for row in rows}
        if any(None not in k and k not in known for k in used):
            found.append(f"a row of {table.name} without its {parent.name}")
        if mine in shown.total and known - used:
            found.append(f"a row of {parent.name} without its {table.name}")
        above = {part(row, theirs): row for row in tables.get(key.table, ())}
        for item in shown.inherited:
            pairs = [(row, above.get(part(row, mine))) for row in rows]
            if item.reference == mine and any(
                parent_row and row[item.column] != parent_row[item.parent_column]
                for row, parent_row in pairs
            ):
                name = table.columns[item.column].name
                found.append(f"a {table.name}.{name} that is not its {parent.name}'s")
    for i, column in enumerate(table.columns):
        new = {row[i] for row in rows} - set(column.stats.pool) - {None}
        if column.stats.few and column.stats.count >= ENOUGH_EVIDENCE and new:
            found.append(f"a new value of {table.name}.{column.name}")
    return found
