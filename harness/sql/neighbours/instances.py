"""Neighbour instances: small generated databases on which a gold differs from its near misses.

Rows are drawn from the schema, the data and the gold's constants; some satisfy every condition of
the gold, some just miss one, some are random. Each table has its own random stream, seeded by the
item, the instance's number and the table's name: every arm meets the same rows.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.sql.execute.messages import Load
from harness.sql.neighbours.drawing import Drawer, Rows, parent_key
from harness.sql.neighbours.predicates import GoldPredicates
from harness.sql.neighbours.profile import TableProfile
from harness.sql.neighbours.values import fit


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
        built[name] = Drawer(profiles, name, predicates, built, rng, number).rows()
    for position, name in enumerate(tables):
        _refer_forwards(profiles[name], set(tables[position + 1 :]), built, f"{seed}:{number}")
    return Instance(number=number, tables=built)


def _refer_forwards(
    table: TableProfile, later: set[str], built: Mapping[str, Rows], seed: str
) -> None:
    """Point rows at parents that were drawn after them, where tables refer to each other."""
    rows = built[table.name.lower()]
    for reference in table.references:
        parents = built.get(reference.table, [])
        if reference.table not in later or not reference.declared or not parents:
            continue
        rng = random.Random(f"{seed}:{table.name}:{reference.columns}")
        single = any((i,) in table.keys for i in reference.columns)
        chosen = rng.sample(parents, len(parents)) if single else rng.choices(parents, k=len(rows))
        del rows[len(chosen) :]
        for row, parent in zip(rows, chosen, strict=False):
            for index, value in zip(reference.columns, parent_key(reference, parent), strict=True):
                row[index] = None if value is None else fit(value, table.columns[index])


def load_statements(
    instance: Instance, profiles: Mapping[str, TableProfile], *, shuffle: int | None = None
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
        if shuffle is not None:
            random.Random(f"{instance.number}:{shuffle}").shuffle(chosen)
        statements.append((sql, [[row[i] for i in insertable] for row in chosen]))
    return statements


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
