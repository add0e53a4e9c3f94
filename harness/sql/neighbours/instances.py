"""Neighbour instances: small generated databases on which a gold differs from its near misses.

Rows are drawn from the schema, the data and the gold's constants; some satisfy every condition of
the gold, some just miss one, some are random. Each table has its own random stream, seeded by the
item, the instance's number and the table's name: every arm meets the same rows.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.sql.execute.messages import Cell, Cells, Load
from harness.sql.neighbours.predicates import Condition, GoldPredicates
from harness.sql.neighbours.profile import ColumnProfile, Reference, TableProfile
from harness.sql.neighbours.values import (
    boundary,
    fallback_pool,
    fit,
    fresh,
    missing,
    satisfying,
    thin,
)

Rows = list[list[Cell]]

SIZES = (5, 9, 14, 7, 11, 4)
"""Rows of a table, by instance: small ones are readable witnesses, larger ones hold more cases."""

NULL_SHARE = 0.12
ORPHAN_SHARE = 0.15
TRIES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One neighbour database: rows by lower-case table name."""

    number: int
    tables: Mapping[str, Rows]


def needed_tables(profiles: Mapping[str, TableProfile], wanted: Iterable[str]) -> list[str]:
    """Return the wanted tables and all they refer to, parents first."""
    order: list[str] = []
    visiting: set[str] = set()

    def visit(name: str) -> None:
        if name in order or name in visiting or name not in profiles:
            return
        visiting.add(name)
        for reference in profiles[name].references:
            visit(reference.table)
        order.append(name)

    for name in sorted(wanted):
        visit(name)
    return order


def build_instance(
    profiles: Mapping[str, TableProfile],
    predicates: GoldPredicates,
    *,
    tables: Sequence[str],
    seed: str,
    number: int,
) -> Instance:
    """Draw the rows of one instance; ``tables`` as `needed_tables` orders them."""
    built: dict[str, Rows] = {}
    for name in tables:
        rng = random.Random(f"{seed}:{number}:{name}")
        built[name] = _Drawer(profiles[name], predicates, built, rng, number).rows()
    return Instance(number=number, tables=built)


class _Drawer:
    """Draws the rows of one table."""

    def __init__(
        self,
        table: TableProfile,
        predicates: GoldPredicates,
        parents: Mapping[str, Rows],
        rng: random.Random,
        number: int,
    ) -> None:
        self.table, self.rng, self.number = table, rng, number
        name = table.name.lower()
        places = [(name, column.name.lower()) for column in table.columns]
        self.conditions = [
            [a for a in predicates.conditions if a.column == place] for place in places
        ]
        self.ordered_by = [place in predicates.ordered_by for place in places]
        self.parents = parents
        self.size = max(
            SIZES[number % len(SIZES)], predicates.limit + 3 if predicates.limit < 40 else 0
        )
        if not table.references:
            self.size = max(4, self.size * 2 // 3)
        drawn_from = zip(table.columns, self.conditions, self.ordered_by, strict=True)
        self.pools = [self._pool(*column) for column in drawn_from]
        self.weights = {ref: self._weights(ref) for ref in table.references}
        self.shift = rng.randint(0, 5)

    def _pool(
        self, column: ColumnProfile, conditions: list[Condition], ordered_by: bool
    ) -> list[Cell]:
        """Choose this instance's values of a column: few of them, so that they repeat."""
        values = list(column.pool)
        if thin(column):
            values += [value for value in fallback_pool(column) if value not in values]
        near = [value for condition in conditions for value in boundary(condition, column)]
        if column.closed:
            return values + [value for value in near if value not in values]
        if column.kind in {"int", "real"} and not column.unique:
            values += self._numbers(column, count=12 if ordered_by else 4)
        wide = ordered_by or column.unique
        count = len(values) if wide else self.rng.randint(2, 6)
        chosen = self.rng.sample(values, min(count, len(values)))
        return chosen + near

    def _numbers(self, column: ColumnProfile, count: int) -> list[Cell]:
        """Draw numbers from the range of a column and somewhat beyond."""
        known = [value for value in column.pool if isinstance(value, int | float)] or [0, 50]
        low, high = min(known), max(known)
        reach = (high - low) / 2
        start = low - reach if low < 0 else max(0, low - reach)
        drawn = [start + (high + reach - start) * self.rng.random() for _ in range(count)]
        return [int(value) if column.kind == "int" else round(value, 2) for value in drawn]

    def _weights(self, reference: Reference) -> list[float]:
        """Draw weights by which few parents have many children, and some none."""
        rows = self.parents.get(reference.table, [])
        return [self.rng.choice((0.0, 0.2, 1.0, 1.0, 4.0)) for _ in rows]

    def rows(self) -> Rows:
        """Draw rows that keep the table's keys."""
        seen: list[set[Cells]] = [set() for _ in self.table.keys]
        rows: Rows = []
        for number in range(self.size):
            for attempt in range(TRIES):
                row = self._row(number * TRIES + attempt, rows)
                keys = [tuple(row[i] for i in key) for key in self.table.keys]
                clash = any(k in s and None not in k for k, s in zip(keys, seen, strict=True))
                if not clash:
                    rows.append(row)
                    for key, known in zip(keys, seen, strict=True):
                        known.add(key)
                    break
        return rows

    def _row(self, number: int, rows: Rows) -> list[Cell]:
        mode = self.rng.random()
        targets = [i for i, conditions in enumerate(self.conditions) if conditions]
        spoiled = self.rng.choice(targets) if targets and 0.5 <= mode < 0.8 else None
        aimed = mode < 0.8
        row = [
            self._cell(index, number, aimed=aimed, spoiled=index == spoiled)
            for index in range(len(self.table.columns))
        ]
        for reference in self.table.references:
            self._refer(row, reference, rows, aimed=aimed)
        return row

    def _cell(self, index: int, number: int, *, aimed: bool, spoiled: bool) -> Cell:
        column, conditions, pool = (
            self.table.columns[index],
            self.conditions[index],
            self.pools[index],
        )
        if conditions and aimed:
            choose = missing if spoiled else satisfying
            value = choose(self.rng.choice(conditions), column, pool, self.rng)
            if value is not None or column.nullable:
                return value
        if column.nullable and self.rng.random() < NULL_SHARE:
            return None
        if column.unique:
            return self._unique(column, pool, number)
        return self.rng.choice(pool) if pool else fresh(column, number, self.rng)

    def _unique(self, column: ColumnProfile, pool: list[Cell], number: int) -> Cell:
        """Small numbers for keys, so that a join on the wrong column finds partners too."""
        if column.kind == "int" and self.rng.random() < 0.6:
            return self.shift + 1 + number // TRIES
        if pool and self.rng.random() < 0.8:
            return self.rng.choice(pool)
        return fresh(column, number + 1, self.rng)

    def _refer(self, row: list[Cell], reference: Reference, rows: Rows, *, aimed: bool) -> None:
        """Point a row at a parent; conditions on the referring column itself come first."""
        if aimed and any(self.conditions[i] for i in reference.columns):
            wanted = [row[i] for i in reference.columns]
            if wanted in [[p[i] for i in reference.parents] for p in
                          self.parents.get(reference.table, [])]:  # fmt: skip
                return
        columns = [self.table.columns[i] for i in reference.columns]
        if all(c.nullable for c in columns) and self.rng.random() < NULL_SHARE:
            values: list[Cell] = [None] * len(columns)
        elif reference.orphans and self.rng.random() < ORPHAN_SHARE:
            return
        else:
            values = self._parent_key(reference, rows)
        for index, value in zip(reference.columns, values, strict=True):
            row[index] = None if value is None else fit(value, self.table.columns[index])

    def _parent_key(self, reference: Reference, rows: Rows) -> list[Cell]:
        own = reference.table == self.table.name.lower()
        parents = rows if own else self.parents.get(reference.table, [])
        weights = None if own else self.weights[reference]
        if not parents:
            return [None if self.table.columns[i].nullable else 0 for i in reference.columns]
        if (
            weights is None
            or not any(weights)
            or any(self.table.columns[i].unique for i in reference.columns)
        ):
            parent = self.rng.choice(parents)
        else:
            parent = self.rng.choices(parents, weights)[0]
        return [parent[i] for i in reference.parents]


def load_statements(
    instance: Instance, profiles: Mapping[str, TableProfile], *, shuffled: bool = False
) -> list[Load]:
    """Return INSERT statements with their rows; the worker leaves out rows that break a rule."""
    statements: list[Load] = []
    for name, rows in instance.tables.items():
        table = profiles[name]
        insertable = [i for i, column in enumerate(table.columns) if not column.filled]
        names = ", ".join(_quoted(table.columns[i].name) for i in insertable)
        placeholders = ", ".join("?" * len(insertable))
        sql = f"INSERT INTO {_quoted(table.name)} ({names}) VALUES ({placeholders})"
        chosen = list(rows)
        if shuffled:
            random.Random(instance.number).shuffle(chosen)
        statements.append((sql, [[row[i] for i in insertable] for row in chosen]))
    return statements


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
