"""What a neighbour database's rows look like: constraints declared and mined, and pools of values.

In the hard tier it is a database that might well be: it keeps declared keys, and what enough rows
show by convention (unique names, columns that are never NULL, closed sets of codes). In the soft
tier only what is declared holds.
"""

from dataclasses import dataclass
from typing import Literal

from harness.sql.execute.column_stats import ColumnStats, Kind
from harness.sql.execute.database import ForeignKey, Schema, TableSchema
from harness.sql.execute.messages import Cells
from harness.sql.neighbours.predicates import GoldPredicates
from harness.sql.neighbours.regularities import (
    ENOUGH_EVIDENCE,
    Evidence,
    Inherited,
    TableEvidence,
    Twins,
    has_orphans,
    parent_places,
    places,
)
from harness.sql.parse.binding import ColumnRef

Tier = Literal["hard", "null", "repeat", "orphan", "other", "soft"]
"""What an instance may break: nothing that the data show; one kind of it; or all (``soft``)."""

KINDS: tuple[Tier, ...] = ("null", "repeat", "orphan", "other")
"""The kinds of regularity that a soft witness breaks, one at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """How values of one column are drawn; ``decimals`` of a number, None for as many as come."""

    name: str
    kind: Kind
    pool: Cells
    nullable: bool
    unique: bool
    closed: bool
    filled: bool = False
    decimals: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Columns that draw from a parent table's rows; ``orphans`` if some have no parent.

    ``total`` if every parent has exactly one row here; ``declared`` by a foreign key.
    """

    columns: tuple[int, ...]
    table: str
    parents: tuple[int, ...]
    orphans: bool = False
    total: bool = False
    declared: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProfile:
    """How rows of one table are drawn; ``keys`` are column sets that stay unique."""

    name: str
    ddl: str
    columns: tuple[ColumnProfile, ...]
    keys: tuple[tuple[int, ...], ...]
    references: tuple[Reference, ...]
    twins: tuple[Twins, ...] = ()
    inherited: tuple[Inherited, ...] = ()


def profile(
    schema: Schema, predicates: GoldPredicates, evidence: Evidence, tier: Tier = "hard"
) -> dict[str, TableProfile]:
    """Profile every table, by lower-case name."""
    return {
        table.name.lower(): _profile_table(
            table, schema, predicates, evidence.get(table.name.lower(), TableEvidence()), tier
        )
        for table in schema.tables
    }


def _profile_table(
    table: TableSchema,
    schema: Schema,
    predicates: GoldPredicates,
    shown: TableEvidence,
    tier: Tier,
) -> TableProfile:
    name = table.name.lower()
    counted = {table.index(column) for owner, column in predicates.counted if owner == name}
    referred = _referred_to(table, schema)
    repeats = {i for i in counted if i is not None and i not in referred and _refers(table, i)}
    keys = tuple(key for key in table.keys if len(key) > 1 or key[0] not in repeats)
    single = {key[0] for key in keys if len(key) == 1} | referred | shown.identifies
    if tier not in {"repeat", "soft"}:
        places_repeated = {table.index(c) for owner, c in predicates.repeated if owner == name}
        single |= (shown.unique | shown.names) - counted - places_repeated
    columns = tuple(
        _profile_column(table, index, predicates, shown, tier, unique=index in single)
        for index in range(len(table.columns))
    )
    declared = {key[0] for key in keys if len(key) == 1}
    return TableProfile(
        name=table.name,
        ddl=table.ddl,
        columns=columns,
        keys=(*keys, *((i,) for i in sorted(single - declared))),
        references=_references(table, schema, predicates, shown, tier),
        twins=() if tier in {"other", "soft"} else shown.twins,
        inherited=() if tier in {"other", "soft"} else shown.inherited,
    )


def _referred_to(table: TableSchema, schema: Schema) -> set[int]:
    """Return the columns to which foreign keys refer: what is referred to is unique."""
    keys = [key for other in schema.tables for key in other.foreign_keys]
    mine = [parent_places(table, key) for key in keys if key.table == table.name.lower()]
    single = {columns[0] for columns in mine if len(columns) == 1}
    return {i for i in single if table.columns[i].stats.never_repeats}


def _refers(table: TableSchema, index: int) -> bool:
    name = table.columns[index].name.lower()
    return any(name in key.columns for key in table.foreign_keys)


def _profile_column(
    table: TableSchema,
    index: int,
    predicates: GoldPredicates,
    shown: TableEvidence,
    tier: Tier,
    *,
    unique: bool,
) -> ColumnProfile:
    column, stats = table.columns[index], table.columns[index].stats
    name = column.name.lower()
    place = (table.name.lower(), name)
    never_null = tier not in {"null", "soft"} and index in shown.filled
    nullable = not (column.not_null or name in table.primary_key or index in shown.identifies) and (
        stats.nulls > 0 or not never_null or place in predicates.null_tested
    )
    flag = stats.flag and not unique and stats.distinct > 1
    kind = _kind(stats, place, predicates)
    enough = stats.count >= ENOUGH_EVIDENCE and tier not in {"other", "soft"}
    return ColumnProfile(
        name=column.name,
        kind=kind,
        pool=(0, 1) if flag else stats.pool,
        nullable=nullable,
        unique=unique,
        closed=flag or (stats.few and enough and kind == "text"),
        filled=column.filled,
        decimals=_decimals(stats) if enough else None,
    )


def _decimals(stats: ColumnStats) -> int:
    """Return how many decimals the numbers of a column have at most."""
    texts = [repr(value) for value in stats.pool if isinstance(value, float)]
    ends = [text.partition(".")[2] for text in texts if "e" not in text]
    return max((len(end) for end in ends if end != "0"), default=0)


def _kind(stats: ColumnStats, place: ColumnRef, predicates: GoldPredicates) -> Kind:
    """Return a column's kind; what only its use in a query can tell, by that."""
    if place in predicates.dated and not stats.distinct and stats.kind in {None, "text"}:
        return "date"
    if stats.kind is not None:
        return stats.kind
    constants = [v for a in predicates.conditions if a.column == place for v in a.values]
    return "int" if any(isinstance(value, int | float) for value in constants) else "text"


def _references(
    table: TableSchema,
    schema: Schema,
    predicates: GoldPredicates,
    shown: TableEvidence,
    tier: Tier,
) -> tuple[Reference, ...]:
    found: list[Reference] = []
    for key in table.foreign_keys:
        reference = _reference(table, key, schema, shown, tier)
        if reference is not None:
            found.append(reference)
    taken = {column for reference in found for column in reference.columns}
    for left, right in predicates.equi_joins:
        for mine, other in ((left, right), (right, left)):
            linked = _linked(table, mine, other, schema, tier)
            if linked is not None and not taken & set(linked.columns):
                found.append(linked)
                taken |= set(linked.columns)
    return tuple(found)


def _reference(
    table: TableSchema, key: ForeignKey, schema: Schema, shown: TableEvidence, tier: Tier
) -> Reference | None:
    """Return a declared foreign key: an orphan is possible only where the data have some."""
    parent, columns = schema.table(key.table), places(table, key)
    if parent is None or not columns:
        return None
    parents = parent_places(parent, key)
    if len(parents) != len(columns):
        return None
    return Reference(
        columns=columns,
        table=parent.name.lower(),
        parents=parents,
        orphans=tier in {"orphan", "soft"} and columns in shown.orphans,
        total=tier not in {"orphan", "soft"} and columns in shown.total,
    )


def _linked(
    table: TableSchema, mine: ColumnRef, other: ColumnRef, schema: Schema, tier: Tier
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
    return Reference(
        columns=(column,),
        table=parent.name.lower(),
        parents=(target,),
        orphans=tier in {"orphan", "soft"} or has_orphans(table, (column,), parent, (target,)),
        declared=False,
    )
