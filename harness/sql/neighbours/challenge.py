"""Does a match hold on neighbour databases? If not, the witness is one on which it does not.

A witness is hard if it breaks nothing that the database shows, soft if it has to.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlglot import exp

from harness.sql.compare.noise import has_floats, noise_of, size_queries
from harness.sql.compare.policy import STRICT, Policy
from harness.sql.compare.shown import BothResults, ShownTable, side_by_side
from harness.sql.compare.tables import Expectation, Order, compare, fitting_orders, unordered
from harness.sql.compare.ties import GoldPlan, expectation, tie_variants
from harness.sql.execute.database import Schema
from harness.sql.execute.messages import Cells, SourceSpec
from harness.sql.execute.sandbox import QueryResult, Sandbox, Source
from harness.sql.neighbours.drawing import Rows
from harness.sql.neighbours.instances import (
    Instance,
    build_instance,
    load_statements,
    needed_tables,
)
from harness.sql.neighbours.predicates import (
    GoldPredicates,
    adds_to,
    collect_predicates,
    combined,
)
from harness.sql.neighbours.profile import KINDS, TableProfile, Tier, profile
from harness.sql.neighbours.regularities import Evidence, broken, cell_breaks
from harness.sql.neighbours.values import fresh, is_foreign
from harness.sql.parse.binding import bind
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS, parse

DRAWS_PER_INSTANCE = 1.6
"""Instances that may be drawn per informative one that is wanted."""

ANSWERS_OWN = 4
"""Instances drawn from the constants of gold and answer, where the answer has some of its own."""

SOFT = 3
"""Instances for each kind of regularity that the data show, which break it."""

TWINS = 2
"""Orders of storage in which a gold has to give the same on a witness."""

SHRINK_RUNS = 60
"""Runs of rows whose removal is tried to minimize a witness."""

_numbers = itertools.count()
Outcome = Literal["agreed", "refuted", "uninformative"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """What all instances of one gold have in common."""

    plan: GoldPlan
    schema: Schema
    predicates: GoldPredicates
    evidence: Evidence
    profiles: Mapping[Tier, Mapping[str, TableProfile]] = field(hash=False)
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedInstance:
    """An instance and the tier that it was drawn in."""

    instance: Instance
    tier: Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeResult:
    """``hard`` and ``soft`` are witnesses, if any; ``informative`` counts what could have been."""

    informative: int = 0
    hard: TriedInstance | None = None
    soft: TriedInstance | None = None


def predicates_of(plan: GoldPlan, schema: Schema) -> GoldPredicates | None:
    """Return what a gold reveals of the data it is meant for; None where it cannot be parsed."""
    return _predicates(plan.sql, plan.dialect, schema) if schema.tables else None


def _predicates(sql: str, dialect: str, schema: Schema) -> GoldPredicates | None:
    tree = parse(sql, dialect)
    if tree is None:
        return None
    try:
        return collect_predicates(bind(tree, schema.columns))
    except PARSER_ERRORS:
        return None


def neighbourhood(
    plan: GoldPlan,
    schema: Schema,
    predicates: GoldPredicates,
    evidence: Evidence,
    *,
    seed: str,
) -> Neighbourhood:
    """Prepare the instances of a gold, in all tiers."""
    tiers: tuple[Tier, ...] = ("hard", *KINDS, "soft")
    profiles = {tier: profile(schema, predicates, evidence, tier) for tier in tiers}
    return Neighbourhood(
        plan=plan,
        schema=schema,
        predicates=predicates,
        evidence=evidence,
        profiles=profiles,
        seed=seed,
    )


class Witness(BothResults):
    """The rows of an instance by table, and what both queries return on it."""

    tables: dict[str, ShownTable]


@dataclass(slots=True)
class Challenger:
    """Runs one prediction against one gold on neighbour instances.

    ``orders`` are the column assignments under which the two agree so far (None: any).
    """

    sandbox: Sandbox
    near: Neighbourhood
    answer: str
    policy: Policy = STRICT
    orders: tuple[Order, ...] | None = None
    _tables: list[str] = field(init=False)
    _script: str = field(init=False)
    _own: GoldPredicates | None = field(init=False)

    def __post_init__(self) -> None:
        near = self.near
        self._own = _predicates(self.answer, near.plan.dialect, near.schema)
        profiles = near.profiles["hard"]
        everything = self._own is None or near.schema.views
        wanted = profiles if everything else {*near.predicates.tables, *self._read()}
        self._tables = needed_tables(profiles, wanted)
        ddl = [profiles[name].ddl for name in self._tables] + list(near.schema.views)
        self._script = ";\n".join(ddl) + ";"

    def _read(self) -> tuple[str, ...]:
        return self._own.tables if self._own is not None else ()

    def challenge(self, instances: int) -> ChallengeResult:
        """Try instances until one refutes or enough have agreed."""
        informative, hard = self._try_all(self.near, "hard", instances, self.near.seed)
        own = self._own_predicates()
        if hard is None and own is not None and adds_to(self.near.predicates, own):
            both = combined(self.near.predicates, own)
            wider = neighbourhood(
                self.near.plan, self.near.schema, both, self.near.evidence, seed=self.near.seed
            )
            more, hard = self._try_all(wider, "hard", ANSWERS_OWN, f"{self.near.seed}:answer")
            informative += more
        if hard is not None:
            return ChallengeResult(informative=informative, hard=hard)
        if not informative:  # the gold itself needs what the data do not show
            informative, found = self._try_all(self.near, "soft", SOFT, f"{self.near.seed}:soft")
            return ChallengeResult(informative=informative, hard=found)
        soft = next(filter(None, map(self._try_kind, KINDS)), None)
        if soft is not None and soft.tier == "hard":
            return ChallengeResult(informative=informative, hard=soft)
        return ChallengeResult(informative=informative, soft=soft)

    def _own_predicates(self) -> GoldPredicates | None:
        """Return the answer's predicates, without constants that are foreign to their column."""
        if self._own is None:
            return None
        columns = {
            (name, column.name.lower()): column
            for name, table in self.near.profiles["hard"].items()
            for column in table.columns
        }
        kept = [
            condition
            for condition in self._own.conditions
            if condition.column in columns and not is_foreign(condition, columns[condition.column])
        ]
        return replace(self._own, conditions=tuple(kept))

    def _try_kind(self, kind: Tier) -> TriedInstance | None:
        """Look for a witness that breaks one kind of regularity, where the tables show any."""
        hard, soft = self.near.profiles["hard"], self.near.profiles[kind]
        if all(hard[name] == soft[name] for name in self._tables):
            return None
        trial = self._try_all(self.near, kind, SOFT, f"{self.near.seed}:{kind}")[1]
        return None if trial is None else self._mend(trial)

    def _mend(self, trial: TriedInstance) -> TriedInstance:
        """Undo what a witness breaks and the difference does not need; it may turn out hard."""
        kept = self.orders
        mended = trial
        for number, cell in enumerate(cell_breaks(trial.instance.tables, self.near.evidence)):
            rows = [list(row) for row in mended.instance.tables[cell.table]]
            column = self.near.profiles["hard"][cell.table].columns[cell.column]
            rng = random.Random(f"{self.near.seed}:{number}")
            plain = fresh(replace(column, unique=True), 100 + number, rng)
            rows[cell.row][cell.column] = column.pool[0] if cell.is_null and column.pool else plain
            tried = _with_rows(mended, cell.table, rows)
            if number < SHRINK_RUNS and self._try(tried, settled=False) == "refuted":
                mended = tried
            self.orders = kept
        if mended is trial or self._try(mended) != "refuted":
            mended = trial
        self.orders = kept
        cells = trial.tier in {"null", "repeat"}  # of which nothing is left unseen
        if cells and not broken(mended.instance.tables, self.near.schema, self.near.evidence):
            return replace(mended, tier="hard")
        return mended

    def _try_all(
        self, near: Neighbourhood, tier: Tier, wanted: int, seed: str
    ) -> tuple[int, TriedInstance | None]:
        """Draw instances up to a number that can tell; return how many could, and a witness."""
        informative = 0
        for number in range(int(wanted * DRAWS_PER_INSTANCE)):
            if informative >= wanted:
                break
            instance = build_instance(
                near.profiles[tier], near.predicates, tables=self._tables, seed=seed, number=number
            )
            trial = TriedInstance(instance=instance, tier=tier)
            outcome = self._try(trial)
            if outcome == "refuted":
                return informative, self._shrink(trial)
            informative += outcome == "agreed"
        return informative, None

    def _run(
        self, trial: TriedInstance, statements: Sequence[str], *, shuffle: int | None = None
    ) -> list[QueryResult]:
        profiles = self.near.profiles[trial.tier]
        rows = load_statements(trial.instance, profiles, shuffle=shuffle)
        spec: SourceSpec = {"engine": self.near.plan.dialect, "script": self._script, "rows": rows}
        source = Source(key=f"instance:{next(_numbers)}", spec=spec)
        backwards = 0 if shuffle is None else len(statements)
        return self.sandbox.run(source, statements, backwards=backwards, forget=True)

    def _try(self, trial: TriedInstance, *, settled: bool = True) -> Outcome:
        """Run both queries on an instance; ``settled``: make sure that the gold is determined."""
        plan = self.near.plan
        statements = [plan.sql, self.answer, *([plan.full_sql] if plan.full_sql else [])]
        gold, pred, *full = self._run(trial, statements)
        if not gold.ok or not pred.ok or self._say_nothing(gold.rows, pred.rows):
            return "uninformative"
        wide = full[0].rows if full and full[0].ok else None
        expected = expectation(plan, gold.rows, len(gold.columns), wide)
        if self._agrees(expected, pred):
            return "uninformative" if expected.cuts_tie else "agreed"
        floats = has_floats((*gold.rows, *pred.rows, *(wide or ())))
        noise = self._noise(trial) if floats else 0.0
        if noise:
            expected = expectation(plan, gold.rows, len(gold.columns), wide, noise)
            if self._agrees(expected, pred):
                return "agreed"
        determined = self._is_determined(trial, expected) if settled else not expected.cuts_tie
        return "refuted" if determined else "uninformative"

    def _agrees(self, expected: Expectation, pred: QueryResult) -> bool:
        """Compare under the assignments still open, and close those that do not fit."""
        width = len(pred.columns)
        if not compare(expected, pred.rows, width, policy=self.policy, orders=self.orders).same:
            return False
        if self.orders is None or len(self.orders) > 1:
            self.orders = fitting_orders(
                expected, pred.rows, width, policy=self.policy, orders=self.orders
            )
        return True

    def _noise(self, trial: TriedInstance) -> float:
        dialect = self.near.plan.dialect
        queries = (parse(sql, dialect) for sql in (self.near.plan.sql, self.answer))
        sizes = [size for tree in queries for size in size_queries(tree, dialect)]
        return noise_of(self._run(trial, sizes)) if sizes else 0.0

    def _is_determined(self, trial: TriedInstance, expected: Expectation) -> bool:
        """Tell whether a gold leaves nothing open: no tie that is cut, no order of storage."""
        plan = self.near.plan
        if expected.cuts_tie or (expected.null_first and plan.limit is not None):
            return False
        results = [self._run(trial, [plan.sql], shuffle=n)[0] for n in range(TWINS)]
        if not all(r.ok and compare(expected, r.rows, expected.width).same for r in results):
            return False
        pairs = tie_variants(parse(plan.sql, plan.dialect), plan.dialect)
        broken = self._run(trial, [sql for pair in pairs for sql in pair]) if pairs else []
        return all(
            compare(unordered(one.rows, len(one.columns)), other.rows, len(other.columns)).same
            for one, other in zip(broken[::2], broken[1::2], strict=True)
            if one.ok and other.ok
        )

    def _say_nothing(self, gold: Sequence[Cells], pred: Sequence[Cells]) -> bool:
        """Tell whether both results are what a query makes of emptiness.

        No row, NULL and 0 are the same nothing, but for a 0 that becomes a NULL which is not that
        of an aggregate over no rows.
        """
        if not (says_nothing(gold) and says_nothing(pred)):
            return False
        if len(gold) == len(pred) == 1 == len(gold[0]) == len(pred[0]) and gold != pred:
            sql = self.answer if pred[0][0] is None else self.near.plan.sql
            return _is_null_when_empty(parse(sql, self.near.plan.dialect))
        return True

    def agree(self, trial: TriedInstance, statements: Sequence[str]) -> list[bool]:
        """Return for each query whether it agrees with the gold on an instance."""
        plan = self.near.plan
        full = [plan.full_sql] if plan.full_sql else []
        gold, *others = self._run(trial, [plan.sql, *full, *statements])
        wide = others.pop(0) if full else None
        rows = wide.rows if wide is not None and wide.ok else None
        expected = expectation(plan, gold.rows, len(gold.columns), rows)
        return [
            r.ok and compare(expected, r.rows, len(r.columns), policy=self.policy).same
            for r in others
        ]

    def _shrink(self, trial: TriedInstance) -> TriedInstance:
        """Minimize a witness: drop tables, runs of rows and rows that the difference can spare."""
        kept = self.orders
        runs = 0
        smallest = trial
        for name in reversed(list(trial.instance.tables)):
            step = len(smallest.instance.tables[name])
            while step:
                start = 0
                while start < len(smallest.instance.tables[name]) and runs < SHRINK_RUNS:
                    dropped = slice(start, start + step)
                    smaller = _without(smallest, name, dropped)
                    spared = not self._is_referred_to(smallest, name, dropped)
                    runs += spared
                    if spared and self._try(smaller, settled=False) == "refuted":
                        smallest = smaller
                    else:
                        start += step
                    self.orders = kept
                step //= 2
        settled = self._try(smallest) == "refuted"
        self.orders = kept
        return smallest if settled else trial

    def show(self, trial: TriedInstance) -> Witness:
        """Return an instance's rows and both results on it, as plain data."""
        gold, pred = self._run(trial, [self.near.plan.sql, self.answer])
        profiles = self.near.profiles[trial.tier]
        return {
            "tables": {
                profiles[name].name: {
                    "columns": [column.name for column in profiles[name].columns],
                    "rows": rows,
                }
                for name, rows in trial.instance.tables.items()
                if rows
            },
            **side_by_side(gold, pred),
        }

    def _is_referred_to(self, trial: TriedInstance, name: str, dropped: slice) -> bool:
        """Tell whether any of some rows has children that would be orphans without it."""
        tables, profiles = trial.instance.tables, self.near.profiles[trial.tier]
        parents = tables[name][dropped]
        # A key may be written as a number on one side and as its text on the other.
        for child, rows in tables.items():
            for reference in profiles[child].references:
                if reference.table == name and not reference.orphans:
                    keys = [[str(row[i]) for i in reference.parents] for row in parents]
                    if any([str(row[i]) for i in reference.columns] in keys for row in rows):
                        return True
        return False


def _without(trial: TriedInstance, name: str, dropped: slice) -> TriedInstance:
    tables = trial.instance.tables
    return _with_rows(trial, name, [*tables[name][: dropped.start], *tables[name][dropped.stop :]])


def _with_rows(trial: TriedInstance, name: str, rows: Rows) -> TriedInstance:
    tables = trial.instance.tables
    return replace(trial, instance=replace(trial.instance, tables={**tables, name: rows}))


def says_nothing(rows: Sequence[Cells]) -> bool:
    """Tell whether a result is empty, or what an aggregate makes of emptiness."""
    return not rows or (len(rows) == 1 and all(cell in {None, 0} for cell in rows[0]))


def _is_null_when_empty(tree: exp.Expression | None) -> bool:
    """Tell whether a query aggregates what is NULL over no rows, or gives NULL otherwise."""
    shown = getattr(tree, "selects", [])
    return not shown or any(item.find(exp.Sum, exp.Avg, exp.Max, exp.Min) for item in shown)
