"""Does a match hold on neighbour databases? If not, the witness is one on which it does not."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from harness.sql.compare.policy import STRICT, Policy
from harness.sql.compare.tables import compare
from harness.sql.compare.ties import GoldPlan, expectation
from harness.sql.execute.database import Schema
from harness.sql.execute.messages import Cell, Cells, SourceSpec
from harness.sql.execute.sandbox import QueryResult, Sandbox, Source
from harness.sql.neighbours.instances import (
    Instance,
    build_instance,
    load_statements,
    needed_tables,
)
from harness.sql.neighbours.predicates import GoldPredicates, collect_predicates
from harness.sql.neighbours.profile import TableProfile, profile
from harness.sql.parse.binding import bind
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS, parse

DRAWS_PER_INSTANCE = 1.6
"""Instances that may be drawn per informative one that is wanted."""

SHRINK_RUNS = 80
"""Rows whose removal is tried to minimize a witness."""

_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """What all instances of one gold have in common."""

    plan: GoldPlan
    schema: Schema
    predicates: GoldPredicates
    profiles: Mapping[str, TableProfile]
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeResult:
    """``instance`` is a witness, if any; ``informative`` counts instances that could have been."""

    informative: int = 0
    instance: Instance | None = None


def predicates_of(plan: GoldPlan, schema: Schema) -> GoldPredicates | None:
    """Return what a gold reveals of the data it is meant for; None where it cannot be parsed."""
    tree = parse(plan.sql, plan.dialect)
    if tree is None or not schema.tables:
        return None
    try:
        return collect_predicates(bind(tree, schema.columns))
    except PARSER_ERRORS:
        return None


def neighbourhood(
    plan: GoldPlan, schema: Schema, predicates: GoldPredicates, *, seed: str, relaxed: bool = False
) -> Neighbourhood:
    """Prepare the instances of a gold.

    ``relaxed`` keeps only declared constraints, where under the mined ones the gold has no rows.
    """
    profiles = profile(schema, predicates, relaxed=relaxed)
    return Neighbourhood(
        plan=plan, schema=schema, predicates=predicates, profiles=profiles, seed=seed
    )


class ShownTable(TypedDict):
    """A table or a result as plain data."""

    columns: list[str]
    rows: list[list[Cell]]


class Witness(TypedDict):
    """The rows of an instance by table, and what both queries return on it."""

    tables: dict[str, ShownTable]
    gold: ShownTable
    pred: ShownTable


class Challenger:
    """Runs one prediction against one gold on neighbour instances."""

    def __init__(
        self, sandbox: Sandbox, near: Neighbourhood, pred_sql: str, policy: Policy = STRICT
    ) -> None:
        self._sandbox, self._near, self._pred, self._policy = sandbox, near, pred_sql, policy
        self._tables = needed_tables(near.profiles, self._wanted())
        ddl = [near.profiles[name].ddl for name in self._tables] + list(near.schema.views)
        self._script = ";\n".join(ddl) + ";"

    def _wanted(self) -> set[str]:
        """Return the tables that both queries read; all of them where a query cannot be parsed."""
        tree = parse(self._pred, self._near.plan.dialect)
        if tree is None or self._near.schema.views:
            return set(self._near.profiles)
        try:
            used = set(bind(tree, self._near.schema.columns).tables)
        except PARSER_ERRORS:
            return set(self._near.profiles)
        return used | set(self._near.predicates.tables)

    def challenge(self, instances: int) -> ChallengeResult:
        """Try instances until one refutes or enough have agreed."""
        informative = 0
        for number in range(int(instances * DRAWS_PER_INSTANCE)):
            if informative >= instances:
                break
            instance = self._draw(number)
            outcome = self._try(instance)
            if outcome == "refuted":
                return ChallengeResult(informative=informative, instance=self._shrink(instance))
            informative += outcome == "agreed"
        return ChallengeResult(informative=informative)

    def _draw(self, number: int) -> Instance:
        near = self._near
        return build_instance(
            near.profiles, near.predicates, tables=self._tables, seed=near.seed, number=number
        )

    def _run(
        self, instance: Instance, statements: Sequence[str], *, twin: bool = False
    ) -> list[QueryResult]:
        rows = load_statements(instance, self._near.profiles, shuffled=twin)
        spec: SourceSpec = {"engine": self._near.plan.dialect, "script": self._script, "rows": rows}
        source = Source(key=f"instance:{next(_numbers)}", spec=spec)
        return self._sandbox.run(
            source, statements, backwards=len(statements) if twin else 0, forget=True
        )

    def _try(self, instance: Instance) -> str:
        """Return ``agreed``, ``refuted`` or ``uninformative``."""
        plan = self._near.plan
        statements = [plan.sql, self._pred, *([plan.full_sql] if plan.full_sql else [])]
        gold, pred, *full = self._run(instance, statements)
        if not gold.ok or not pred.ok:
            return "uninformative"
        width = len(gold.columns)
        wide = full[0].rows if full and full[0].ok else None
        expected = expectation(plan, gold.rows, width, wide)
        if expected.cuts_tie or (_is_uninformative(gold.rows) and _is_uninformative(pred.rows)):
            return "uninformative"
        if compare(expected, pred.rows, len(pred.columns), policy=self._policy).same:
            return "agreed"
        twin = self._run(instance, [plan.sql], twin=True)[0]
        determined = twin.ok and compare(expected, twin.rows, width).same
        return "refuted" if determined else "uninformative"

    def agree(self, instance: Instance, statements: Sequence[str]) -> list[bool]:
        """Return for each query whether it agrees with the gold on an instance."""
        plan = self._near.plan
        full = [plan.full_sql] if plan.full_sql else []
        gold, *others = self._run(instance, [plan.sql, *full, *statements])
        wide = others.pop(0) if full else None
        rows = wide.rows if wide is not None and wide.ok else None
        expected = expectation(plan, gold.rows, len(gold.columns), rows)
        return [
            r.ok and compare(expected, r.rows, len(r.columns), policy=self._policy).same
            for r in others
        ]

    def _shrink(self, instance: Instance) -> Instance:
        """Minimize a witness: drop tables and rows that the difference does not need."""
        for name in reversed(list(instance.tables)):
            emptied = replace(instance, tables={**instance.tables, name: []})
            if not self._is_referred_to(instance, name) and self._try(emptied) == "refuted":
                instance = emptied
        runs = 0
        for name in reversed(list(instance.tables)):
            for index in reversed(range(len(instance.tables[name]))):
                runs += 1
                if runs > SHRINK_RUNS or self._is_referred_to(instance, name, index):
                    continue
                smaller = _without(instance, name, index)
                if self._try(smaller) == "refuted":
                    instance = smaller
        return instance

    def show(self, instance: Instance) -> Witness:
        """Return an instance's rows and both results on it, as plain data."""
        gold, pred = self._run(instance, [self._near.plan.sql, self._pred])
        return {
            "tables": {
                self._near.profiles[name].name: {
                    "columns": [column.name for column in self._near.profiles[name].columns],
                    "rows": rows,
                }
                for name, rows in instance.tables.items()
                if rows
            },
            "gold": _shown(gold),
            "pred": _shown(pred),
        }

    def _is_referred_to(self, instance: Instance, name: str, index: int | None = None) -> bool:
        """Tell whether a row (any row) has children that would be orphans without it."""
        parents = instance.tables[name] if index is None else [instance.tables[name][index]]
        for child, rows in instance.tables.items():
            for reference in self._near.profiles[child].references:
                if reference.table == name and not reference.orphans:
                    keys = [[row[i] for i in reference.parents] for row in parents]
                    if any([row[i] for i in reference.columns] in keys for row in rows):
                        return True
        return False


def _without(instance: Instance, name: str, index: int) -> Instance:
    rows = [row for i, row in enumerate(instance.tables[name]) if i != index]
    return replace(instance, tables={**instance.tables, name: rows})


def _is_uninformative(rows: Sequence[Cells]) -> bool:
    """Tell whether a result is empty, or what an aggregate makes of emptiness."""
    return not rows or (len(rows) == 1 and all(cell in {None, 0} for cell in rows[0]))


def _shown(result: QueryResult) -> ShownTable:
    return {"columns": list(result.columns), "rows": [list(row) for row in result.rows[:50]]}
