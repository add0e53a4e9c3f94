"""The verdict on one generated query: extract, run, compare, and say why."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlglot

from harness.errors import HarnessError, InfrastructureError, StudyError, nearest
from harness.records import Verdict
from harness.sql.cache import Recent
from harness.sql.compare import STRICT, Expectation, Match, Policy, compare
from harness.sql.database import Database, Schema, read_schema
from harness.sql.equivalence import proven_equal
from harness.sql.extract import Extraction, classify, extract
from harness.sql.failures import EXTRACTION, REFUSED, explain_failure
from harness.sql.gold import GoldPlan, expectation, parse, plan_gold
from harness.sql.robust import Challenger, Neighbourhood, Survival, neighbourhood
from harness.sql.rules import bird_equal, spider_equal, spider_text
from harness.sql.sandbox import QueryResult, Sandbox
from harness.sql.tokens import normalized

Rule = Literal["harness", "spider", "bird"]
RULES: tuple[Rule, ...] = ("harness", "spider", "bird")
SEED = 20_260_101
"""Seed of the generated instances where a caller names none."""

REASONS = {
    "row_order": "the right rows in the wrong order",
    "duplicates": "the right rows, but repeated a different number of times",
    "empty_result": "no rows where the gold has {gold}",
    "not_empty": "{pred} rows where the gold has none",
    "too_many_rows": "{pred} rows where the gold has {gold}",
    "too_few_rows": "{pred} rows where the gold has {gold}",
    "values": "as many rows as the gold, with other values",
    "extra_column": "{pred_width} columns where the gold has {gold_width}",
    "missing_column": "{pred_width} columns where the gold has {gold_width}",
    "unstable": "a random result that is not always the gold's",
}
"""What each difference between two results means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: everything of an item except the answer to be judged."""

    gold_sql: str
    database: Database
    text: str = ""
    dialect: str = "sqlite"
    rule: Rule = "harness"
    seed: int = SEED


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """A gold query after its run: what it allows, or (``problem``) why it cannot be used."""

    plan: GoldPlan
    result: QueryResult
    expected: Expectation
    problem: str = ""
    reason: str = ""


class Judge:
    """Judges generated SQL; one sandbox and its caches for many answers, from many threads.

    ``workers`` is the number of killable processes, ``seconds`` the processor time of one
    statement, ``instances`` how many neighbour databases a match has to survive (0: none).
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        seconds: float = 2.0,
        instances: int = 10,
        policy: Policy = STRICT,
    ) -> None:
        self.sandbox = Sandbox(workers=workers, seconds=seconds)
        self.workers = workers
        self._instances = instances
        self._policy = policy
        self._schemas: Recent[Schema] = Recent(64)
        self._golds: Recent[Gold] = Recent(256)
        self._near: Recent[Neighbourhood | None] = Recent(256)

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes."""
        self.sandbox.close()

    def judge(self, question: Question, pred_text: str) -> Verdict:
        """Judge one answer; never raises for anything that the answer holds.

        Raises:
            StudyError: If the rule is unknown.
        """
        if question.rule not in RULES:
            raise StudyError(f"no comparison rule {question.rule!r}{nearest(question.rule, RULES)}")
        try:
            gold = self._gold(question)
        except HarnessError as error:
            return unscored("database_error", str(error))
        if gold.problem:
            return unscored(gold.problem, gold.reason)
        found = extract(pred_text)
        if found.problem or found.sql is None:
            return _not_run(found)
        return self._judge_statement(question, gold, found.sql)

    def _judge_statement(self, question: Question, gold: Gold, sql: str) -> Verdict:
        runnable = _in_sqlite(sql, question) if question.rule != "spider" else spider_text(sql)
        result = self.sandbox.run(question.database.source, [runnable])[0]
        if result.kind == "database":
            return unscored("infrastructure", result.error)
        if not result.ok:
            label, text = explain_failure(result, sql, self.schema(question.database))
            return _wrong((label,), text, sql, refused=result.kind == "denied")
        match = self._compare(question, gold, result)
        if match.same and result.unstable:
            match = self._repeat(question, gold, runnable)
        if not match.same:
            return _wrong((match.reason,), _difference(match, gold, result), sql)
        return self._judge_match(question, gold, sql, runnable)

    def _judge_match(self, question: Question, gold: Gold, sql: str, runnable: str) -> Verdict:
        """Let a match on the database itself prove itself on its neighbours."""
        vacuous = not gold.result.rows
        if question.rule != "harness" or not self._instances:
            return right(sql, gold, None, labels=("vacuous_match",) if vacuous else ())
        if proven_equal(runnable, gold.plan.sql, self.schema(question.database)):
            return right(sql, gold, True)
        survival = self._challenge(question, gold, runnable)
        if survival.refuted:
            return refuted(sql, survival)
        if vacuous and not survival.informative:
            return unconfirmed(sql)
        return right(sql, gold, True if survival.informative else None)

    def _challenge(self, question: Question, gold: Gold, sql: str) -> Survival:
        key = (question.database.source.key, gold.plan.sql, question.seed)
        near = self._near.get(key, lambda: self._neighbourhood(question, gold))
        if near is None:
            return Survival()
        return Challenger(self.sandbox, near, sql, self._policy).challenge(self._instances)

    def _neighbourhood(self, question: Question, gold: Gold) -> Neighbourhood | None:
        seed = f"{question.seed}:{' '.join(normalized(gold.plan.sql))}"
        return neighbourhood(gold.plan, self.schema(question.database), seed)

    def _compare(self, question: Question, gold: Gold, result: QueryResult) -> Match:
        rows, wanted = result.rows, gold.result.rows
        if question.rule == "spider":
            return Match(same=spider_equal(wanted, rows, gold_sql=gold.plan.sql), reason="values")
        if question.rule == "bird":
            return Match(same=bird_equal(wanted, rows), reason="values")
        return compare(gold.expected, rows, len(result.columns), policy=self._policy)

    def _repeat(self, question: Question, gold: Gold, sql: str) -> Match:
        """Run a query that calls ``random()`` again with other seeds: it has to match always."""
        for seed in (1, 2, 3):
            result = self.sandbox.run(question.database.source, [sql], seed=seed)[0]
            if not result.ok or not self._compare(question, gold, result).same:
                return Match(same=False, reason="unstable")
        return Match(same=True)

    def schema(self, database: Database) -> Schema:
        """Return what is known about a database's tables."""
        key = (database.source.key, id(database.tables))
        return self._schemas.get(key, lambda: read_schema(self.sandbox, database))

    def _gold(self, question: Question) -> Gold:
        key = (question.database.source.key, question.gold_sql, question.dialect, question.rule)
        return self._golds.get(key, lambda: self._run_gold(question))

    def _run_gold(self, question: Question) -> Gold:
        """Run the gold forwards, without its LIMIT, and backwards."""
        found = classify(question.gold_sql)
        if found.problem or found.sql is None:
            return _bad_gold("gold_error", f"the gold is unusable: {EXTRACTION[found.problem]}")
        sql = (
            spider_text(found.sql) if question.rule == "spider" else _in_sqlite(found.sql, question)
        )
        plan = plan_gold(sql, parse(sql))
        source = question.database.source
        statements = [plan.sql] if plan.full_sql is None else [plan.sql, plan.full_sql]
        results = self.sandbox.run(source, statements)
        if results[0].kind == "database":
            raise InfrastructureError(f"the database cannot be opened: {results[0].error}")
        if not results[0].ok:
            return _bad_gold("gold_error", f"the gold does not run: {results[0].error}")
        rows, width = results[0].rows, len(results[0].columns)
        full = results[1].rows if len(results) > 1 and results[1].ok else None
        expected = expectation(plan, rows, width, full)
        gold = Gold(plan=plan, result=results[0], expected=expected)
        if question.rule == "harness":
            backwards = self.sandbox.run(source, [plan.sql], reverse=True, seed=1)[0]
            if not backwards.ok or not compare(expected, backwards.rows, width).same:
                reason = "the gold's result depends on the order in which rows are stored"
                return replace(gold, problem="gold_not_determined", reason=reason)
        return gold


def _in_sqlite(sql: str, question: Question) -> str:
    """Translate from another dialect; what cannot be translated runs as it is."""
    if question.dialect == question.database.engine:
        return sql
    try:
        return sqlglot.transpile(sql, read=question.dialect, write=question.database.engine)[0]
    except (sqlglot.errors.SqlglotError, RecursionError, ValueError, IndexError):
        return sql


def _bad_gold(problem: str, reason: str) -> Gold:
    empty = Expectation(groups=(), width=0)
    result = QueryResult(kind="error")
    return Gold(
        plan=GoldPlan(sql=""), result=result, expected=empty, problem=problem, reason=reason
    )


def _details(sql: str | None, **more: Any) -> dict[str, Any]:
    return {"base_match": None, "robust_match": None, "extracted_sql": sql, "witness": None} | more


def unscored(label: str, reason: str) -> Verdict:
    return Verdict(
        outcome="unscored", score=None, labels=(label,), explanation=reason, details=_details(None)
    )


def _wrong(
    labels: tuple[str, ...], text: str, sql: str | None, *, refused: bool = False
) -> Verdict:
    return Verdict(
        outcome="refused" if refused else "incorrect",
        score=0.0,
        labels=labels,
        answer=sql,
        explanation=text,
        metrics={"execution_accuracy": 0.0, "robust_execution_accuracy": 0.0},
        details=_details(sql, base_match=False, robust_match=False),
    )


def _not_run(found: Extraction) -> Verdict:
    problem = found.problem or "no_sql"
    return _wrong((problem,), EXTRACTION[problem], found.sql, refused=problem in REFUSED)


def _difference(match: Match, gold: Gold, result: QueryResult) -> str:
    return REASONS[match.reason].format(
        gold=len(gold.result.rows),
        pred=len(result.rows),
        gold_width=len(gold.result.columns),
        pred_width=len(result.columns),
    )


def right(sql: str, gold: Gold, robust: bool | None, *, labels: tuple[str, ...] = ()) -> Verdict:
    """A match; ``robust`` is None where no neighbour instance had anything to say."""
    count = len(gold.result.rows)
    return Verdict(
        outcome="correct",
        score=1.0,
        labels=labels,
        answer=sql,
        explanation=f"the same {count} row{'s' if count != 1 else ''} as the gold",
        metrics={"execution_accuracy": 1.0, "robust_execution_accuracy": 1.0},
        details=_details(sql, base_match=True, robust_match=robust),
    )


def refuted(sql: str, survival: Survival) -> Verdict:
    """A match on the database itself that another database tells from the gold."""
    return Verdict(
        outcome="incorrect",
        score=0.0,
        labels=("coincidental_match",),
        answer=sql,
        explanation="the same result as the gold on this database, but not on a neighbouring one",
        metrics={"execution_accuracy": 1.0, "robust_execution_accuracy": 0.0},
        details=_details(sql, base_match=True, robust_match=False, witness=survival.witness),
    )


def unconfirmed(sql: str) -> Verdict:
    """Two empty results, and no instance on which the gold has rows."""
    return Verdict(
        outcome="incorrect",
        score=0.0,
        labels=("vacuous_match",),
        answer=sql,
        explanation="both results are empty, and no database was found on which the gold has rows",
        metrics={"execution_accuracy": 1.0, "robust_execution_accuracy": 0.0},
        details=_details(sql, base_match=True),
    )
