"""Drawing the rows of one table of a neighbour instance."""

import random
from collections.abc import Mapping
from contextlib import suppress

from harness.sql.execute.messages import Cell, Cells
from harness.sql.neighbours.inverse import UnknownValueError, evaluate, preimages
from harness.sql.neighbours.predicates import GoldPredicates, RowComparison
from harness.sql.neighbours.profile import ColumnProfile, Reference, TableProfile
from harness.sql.neighbours.values import (
    boundary,
    documents,
    fallback_pool,
    fit,
    fresh,
    has_times,
    missing,
    number_texts,
    rounded,
    satisfying,
    step,
    thin,
)
from harness.sql.parse.binding import ColumnRef

Rows = list[list[Cell]]

SIZES = (5, 9, 14, 7, 11, 4)
"""Rows of a table, by instance: small ones are readable witnesses, larger ones hold more cases."""

TIED = 3
"""Of four instances, the one on which what the query orders by is often equal."""

BARREN = 6
"""The instance on which rows just miss what they could satisfy."""

SMALL_LIMIT = 12
"""A LIMIT up to this is exceeded on every instance, a larger one on every third."""

LARGEST = 1_200
FEW = 8
"""A column of so few texts gets a new one."""

NULL_SHARE = 0.12
ORPHAN_SHARE = 0.35
RELATED_SHARE = 0.6
NO_CHILDREN = 0.2
WANTED_SHARE = 0.8
OUTLIER = 5
TRIES = 12


class Drawer:
    """Draws the rows of one table; ``built`` holds those of the tables before it."""

    def __init__(
        self,
        profiles: Mapping[str, TableProfile],
        name: str,
        predicates: GoldPredicates,
        built: Mapping[str, Rows],
        rng: random.Random,
        number: int,
    ) -> None:
        self.table, self.rng, self.number, self.parents = profiles[name], rng, number, built
        self.profiles, self.predicates, self.name = profiles, predicates, name
        places = [(name, column.name.lower()) for column in self.table.columns]
        self.places = places
        self.conditions = [
            [a for a in predicates.conditions if a.column == place] for place in places
        ]
        self.relations = [a for a in predicates.relations if a.column in places]
        self.ordered_by = [place in predicates.ordered_by for place in places]
        self.referred = [self._referred(place) for place in places]
        self.pools = [self._pool(index) for index in range(len(places))]
        self.weights = {ref: self._weights(ref) for ref in self.table.references}
        self.partners = [self._partners(index) for index in range(len(self.table.twins))]
        self.shift = rng.randint(0, 5)
        self.quotas = self._quotas()
        self.size = self._size()

    def _size(self) -> int:
        """Choose how many rows to draw: of each table another number."""
        if self.quotas:
            return max(map(len, self.quotas.values()))
        size = SIZES[self.number % len(SIZES)]
        if not self.table.references:
            size = max(4, size * 2 // 3)
        size += self.rng.randint(0, 3)
        limit = self.predicates.limit
        if limit and (limit <= SMALL_LIMIT or self.number % 3 == 1):
            size = max(size, min(limit, LARGEST) + self.rng.randint(3, 6))
        totals = [len(self.parents.get(r.table, [])) for r in self.table.references if r.total]
        return max(totals, default=size)

    def _quotas(self) -> dict[int, list[Cell]]:
        """Plan groups of as many rows as a COUNT is compared with, one less and one more."""
        if not self.predicates.counts or self.number % 3 != 2:
            return {}
        wanted = self.predicates.counts[self.number // 3 % len(self.predicates.counts)]
        sizes = [wanted + 1, wanted, wanted - 1, 1]
        counted = [
            i
            for i, place in enumerate(self.places)
            if place in self.predicates.counted and (i,) not in self.table.keys
        ]
        if not counted or sum(sizes) > LARGEST:
            return {}
        planned: dict[int, list[Cell]] = {}
        for index in counted:
            values = self._group_values(index)
            if len(values) >= len(sizes):
                chosen = self.rng.sample(values, len(sizes))
                planned[index] = [v for v, n in zip(chosen, sizes, strict=True) for _ in range(n)]
        return planned

    def _group_values(self, index: int) -> list[Cell]:
        reference = next((r for r in self.table.references if index in r.columns), None)
        if reference is not None and reference.table in self.parents:
            place = reference.parents[reference.columns.index(index)]
            values = [row[place] for row in self.parents[reference.table]]
        else:
            column = self.table.columns[index]
            made = [fresh(column, n, self.rng) for n in range(4)]
            values = [*self.pools[index], *([] if column.closed else made)]
        return list(dict.fromkeys(value for value in values if value is not None))

    def _pool(self, index: int) -> list[Cell]:
        """Choose this instance's values of a column: few of them, so that they repeat."""
        column, conditions = self.table.columns[index], self.conditions[index]
        spread = self.ordered_by[index] and self.number % 4 != TIED
        values = list(column.pool)
        if thin(column):
            more = number_texts(column) or fallback_pool(column)
            values += [value for value in more if value not in values]
        near = [value for condition in conditions for value in boundary(condition, column)]
        if column.closed:
            return values + [value for value in near if value not in values]
        if column.kind in {"int", "real"} and not column.unique:
            values += self._numbers(column, count=12 if spread else 4)
        joined = any(self.places[index] in pair for pair in self.predicates.equi_joins)
        if column.decimals is None and (joined or self.ordered_by[index]):
            near += number_texts(column)
        if column.kind == "text" and 0 < len(column.pool) <= FEW:
            near.append(self.rng.choice(fallback_pool(column)))
        near += documents(column, self._constants()) + self._shared(index)
        wide = spread or column.unique
        count = len(values) if wide else self.rng.randint(2, 6)
        chosen = self.rng.sample(values, min(count, len(values)))
        return chosen + near

    def _referred(self, place: ColumnRef) -> list[Cell]:
        """Return constants that the query wants of columns which refer to this one."""
        mine = [column.name.lower() for column in self.table.columns].index(place[1])
        linked = {
            (other, table.columns[theirs].name.lower())
            for other, table in self.profiles.items()
            for reference in table.references
            if reference.table == self.name
            for theirs, parent in zip(reference.columns, reference.parents, strict=True)
            if parent == mine
        }
        return [
            fit(value, self.table.columns[mine])
            for condition in self.predicates.conditions
            if condition.column in linked and condition.op in {"=", "in"} and not condition.wrapped
            for value in condition.values
        ]

    def _constants(self) -> list[Cell]:
        return [value for condition in self.predicates.conditions for value in condition.values]

    def _shared(self, index: int) -> list[Cell]:
        """Return values of columns in other tables that the query compares with this one."""
        found: list[Cell] = []
        for left, right in (*self.predicates.compared, *self.predicates.equi_joins):
            for mine, other in ((left, right), (right, left)):
                rows = self.parents.get(other[0])
                if mine == self.places[index] and other[0] != self.name and rows:
                    columns = [c.name.lower() for c in self.profiles[other[0]].columns]
                    theirs = [row[columns.index(other[1])] for row in rows]
                    column = self.table.columns[index]
                    found += [fit(value, column) for value in theirs[:4] if value is not None]
        return found

    def _numbers(self, column: ColumnProfile, count: int) -> list[Cell]:
        """Draw numbers from the range of a column and somewhat beyond."""
        known = [value for value in column.pool if isinstance(value, int | float)] or [0, 50]
        low, high = min(known), max(known)
        reach = (high - low) / 2
        start = low - reach if low < 0 else max(0, low - reach)
        drawn = [start + (high + reach - start) * self.rng.random() for _ in range(count)]
        if column.decimals is None:
            drawn[0] *= OUTLIER
        places = column.decimals if column.decimals is not None else self.rng.choice((1, 2, 3))
        return [int(value) if column.kind == "int" else round(value, places) for value in drawn]

    def _weights(self, reference: Reference) -> list[float]:
        """Draw weights by which few parents have many children, each another number, some none."""
        rows = self.parents.get(reference.table, [])
        weights = [0.0 if self.rng.random() < NO_CHILDREN else 1.0 + n for n in range(len(rows))]
        self.rng.shuffle(weights)
        return weights

    def _partners(self, index: int) -> tuple[dict[Cell, Cell], dict[Cell, Cell]]:
        pairs = self.table.twins[index].pairs
        return dict(pairs), {right: left for left, right in pairs.items()}

    def rows(self) -> Rows:
        """Draw rows that keep the table's keys."""
        seen: list[set[Cells]] = [set() for _ in self.table.keys]
        rows: Rows = []
        for number in range(self.size):
            for attempt in range(TRIES):
                row = self._row(number, attempt, rows)
                keys = [tuple(row[i] for i in key) for key in self.table.keys]
                clash = any(k in s and None not in k for k, s in zip(keys, seen, strict=True))
                if not clash:
                    rows.append(row)
                    for key, known in zip(keys, seen, strict=True):
                        known.add(key)
                    break
        return rows

    def _row(self, number: int, attempt: int, rows: Rows) -> list[Cell]:
        mode = self.rng.random()
        if self.quotas:
            mode *= 0.52
        elif self.number == BARREN:
            mode = 0.5 + 0.3 * mode
        targets = [i for i, conditions in enumerate(self.conditions) if conditions]
        spoiled = self.rng.choice(targets) if targets and 0.5 <= mode < 0.8 else None
        aimed = mode < 0.8
        row = [
            self._cell(index, number * TRIES + attempt, aimed=aimed, spoiled=index == spoiled)
            for index in range(len(self.table.columns))
        ]
        for reference in self.table.references:
            self._refer(row, reference, rows, number, aimed=aimed)
        for index, planned in self.quotas.items():
            row[index] = planned[number] if number < len(planned) else row[index]
        for relation in self.relations:
            if self.rng.random() < RELATED_SHARE:
                self._relate(row, relation)
        self._agree(row)
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
        if (
            self.ordered_by[index]
            and not column.closed
            and (self.size_hint > SMALL_LIMIT or self.number % 2 == 0)
        ):
            return self._spread(column, pool)
        return self.rng.choice(pool) if pool else fresh(column, number, self.rng)

    @property
    def size_hint(self) -> int:
        """Rows that the order has to tell apart."""
        return min(self.predicates.limit, LARGEST)

    def _spread(self, column: ColumnProfile, pool: list[Cell]) -> Cell:
        """Draw a value that is unlikely to occur twice, so that an order has few ties."""
        reach = 40 + 40 * self.size_hint
        value = self.rng.choice(pool) if pool else fresh(column, 0, self.rng)
        if column.kind == "int" and isinstance(value, int):
            return value + self.rng.randint(0, reach)
        if column.kind == "real" and isinstance(value, int | float):
            places = column.decimals if column.decimals is not None else 2
            return round(value + self.rng.randint(0, reach) / 4, places)
        if column.kind == "date":
            day = f"{self.rng.randint(1990, 2024)}-{self.rng.randint(1, 12):02d}"
            return f"{day}-{self.rng.randint(1, 28):02d}{' 10:30:00' if has_times(column) else ''}"
        if column.kind == "text" and self.size_hint > SMALL_LIMIT:
            return str(value) + str(self.rng.randint(0, reach))
        return value

    def _unique(self, column: ColumnProfile, pool: list[Cell], number: int) -> Cell:
        """Small numbers for keys, so that a join on the wrong column finds partners too."""
        wanted, row = self.referred[self.table.columns.index(column)], number // TRIES
        if row < len(wanted) and self.rng.random() < WANTED_SHARE:
            return wanted[row]
        if column.kind == "int" and self.rng.random() < 0.6:
            return self.shift + 1 + number // TRIES
        if pool and self.rng.random() < 0.8:
            return self.rng.choice(pool)
        return fresh(column, number + 1, self.rng)

    def _refer(
        self, row: list[Cell], reference: Reference, rows: Rows, number: int, *, aimed: bool
    ) -> None:
        """Point a row at a parent; conditions on the referring column itself come first."""
        parents = self.parents.get(reference.table, [])
        if aimed and any(self.conditions[i] for i in reference.columns):
            wanted = [row[i] for i in reference.columns]
            if wanted in [parent_key(reference, parent) for parent in parents]:
                return
        if not parents and not reference.declared:
            return  # the two tables are linked both ways, and this one comes first
        columns = [self.table.columns[i] for i in reference.columns]
        if reference.total and number < len(parents):
            values = parent_key(reference, parents[number])
        elif all(c.nullable for c in columns) and self.rng.random() < NULL_SHARE:
            values = [None] * len(columns)
        elif reference.orphans and self.rng.random() < ORPHAN_SHARE:
            keys = [value for parent in parents for value in parent_key(reference, parent)]
            first = reference.columns[0]
            numbers = [key for key in keys if isinstance(key, int | float)]
            if row[first] in keys and numbers:
                row[first] = fit(max(numbers) + 1, self.table.columns[first])
            return
        else:
            values = self._chosen_parent(reference, rows)
        for index, value in zip(reference.columns, values, strict=True):
            row[index] = None if value is None else fit(value, self.table.columns[index])

    def _chosen_parent(self, reference: Reference, rows: Rows) -> list[Cell]:
        own = reference.table == self.name
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
        return parent_key(reference, parent)

    def _relate(self, row: list[Cell], relation: RowComparison) -> None:
        """Make two sides of a comparison within a row equal, or nearly."""
        index = self.places.index(relation.column)
        values = dict(zip(self.places, row, strict=True))
        if index in {i for reference in self.table.references for i in reference.columns}:
            return
        with suppress(UnknownValueError):
            goal = evaluate(relation.right, values)
            if goal is None:
                return
            between = [goal + 0.5] if isinstance(goal, int | float) else []
            wanted = self.rng.choice((goal, goal, step(goal, 1), step(goal, -1), *between))
            found = preimages(relation.left, relation.column, wanted, values)
            if found:
                column = self.table.columns[index]
                row[index] = fit(rounded(self.rng.choice(found), column), column)

    def _agree(self, row: list[Cell]) -> None:
        """Let columns follow that always agree with another, in this row or its parent's."""
        for twin, (forwards, backwards) in zip(self.table.twins, self.partners, strict=True):
            back = bool(self.conditions[twin.right]) and not self.conditions[twin.left]
            lead, follower = (twin.right, twin.left) if back else (twin.left, twin.right)
            known, other = (backwards, forwards) if back else (forwards, backwards)
            value = row[lead]
            if value not in known:
                made = value if twin.copies else self._partner(follower, other)
                known[value] = made
                other[made] = value
            row[follower] = known[value]
        for item in self.table.inherited:
            reference = next(r for r in self.table.references if r.columns == item.reference)
            key = [row[i] for i in reference.columns]
            for parent in self.parents.get(reference.table, []):
                if parent_key(reference, parent) == key:
                    row[item.column] = parent[item.parent_column]
                    break

    def _partner(self, index: int, taken: Mapping[Cell, Cell]) -> Cell:
        """Make up what goes with a value that the data do not show."""
        column = self.table.columns[index]
        if column.kind in {"int", "real"}:
            return 1 + max((v for v in taken if isinstance(v, int | float)), default=0)
        return next(text for n in range(len(taken) + 1) if (text := f"other {n}") not in taken)


def parent_key(reference: Reference, parent: list[Cell]) -> list[Cell]:
    """Return the values by which rows refer to a parent."""
    return [parent[i] for i in reference.parents]
