"""The verdict on one generated query: extract, execute, compare, challenge, explain."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

from harness.errors import HarnessError
from harness.records import Verdict
from harness.sql.compare.equivalence import proven_equal
from harness.sql.compare.gold_run import Gold, run_gold
from harness.sql.compare.noise import has_floats, noise_of, size_queries
from harness.sql.compare.published_rules import bird_equal, spider_equal
from harness.sql.compare.tables import Match, compare, fitting_orders
from harness.sql.execute.database import Database, Schema, read_schema
from harness.sql.execute.sandbox import QueryResult, Sandbox
from harness.sql.explain.diagnosis import Diagnosis, MatchesGold, diagnose
from harness.sql.explain.failures import explain_failure
from harness.sql.explain.gold_suspect import gold_suspect
from harness.sql.neighbours.challenge import (
    Challenger,
    Neighbourhood,
    TriedInstance,
    neighbourhood,
    predicates_of,
    says_nothing,
)
from harness.sql.neighbours.predicates import GoldPredicates
from harness.sql.neighbours.regularities import Evidence, broken, evidence_of
from harness.sql.parse.dialects import translated_database
from harness.sql.parse.extract import extract
from harness.sql.parse.lexer import normalized
from harness.sql.parse.sqlglot_tree import parse
from harness.sql.question import Question, check
from harness.sql.verdicts import (
    Fragility,
    different,
    not_extracted,
    not_run,
    not_translated,
    refuted,
    right,
    unscored,
    untried,
    with_judging_options,
)

Value = TypeVar("Value")


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
    ) -> None:
        self.sandbox = Sandbox(workers=workers, seconds=seconds)
        self.workers = workers
        self._instances = instances
        self._schemas: LRUCache[Schema] = LRUCache(64)
        self._golds: LRUCache[Gold] = LRUCache(256)
        self._predicates: LRUCache[GoldPredicates | None] = LRUCache(256)
        self._evidence: LRUCache[Evidence] = LRUCache(64)
        self._near: LRUCache[Neighbourhood] = LRUCache(256)

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
            StudyError: If the rule or the dialect is unknown, or a published rule is changed.
        """
        check(question)
        database = translated_database(question.database, question.dialect)
        question = replace(question, database=database)
        try:
            verdict = self._decide(question, pred_text)
        except HarnessError as error:
            verdict = unscored("database_error", str(error))
        return with_judging_options(verdict, question)

    def _decide(self, question: Question, pred_text: str) -> Verdict:
        gold = self._gold(question)
        if gold.problem:
            return unscored(gold.problem, gold.reason)
        found = extract(pred_text)
        if found.problem or found.sql is None:
            return not_extracted(found)
        return self._judge_statement(question, gold, found.sql)

    def _judge_statement(self, question: Question, gold: Gold, sql: str) -> Verdict:
        problem = question.problem(sql)
        if problem:
            return not_translated(sql, question, problem)
        runnable = question.runnable(sql)
        result = self.sandbox.run(question.database.source, [runnable])[0]
        if result.kind == "database":
            return unscored("infrastructure", result.error)
        if not result.ok:
            schema = self.schema(question.database)
            label, text = explain_failure(result, sql, schema, question.engine)
            if label == "dialect_function" and question.dialect != question.engine:
                return not_translated(sql, question, "untranslated")
            return not_run(label, text, sql, refused=result.kind == "denied")
        if question.rule == "harness" and normalized(runnable) == normalized(gold.plan.sql):
            return right(sql, gold.result, robust=True)
        match = self._compare(question, gold, result, runnable)
        if match.same and result.unstable:
            match = self._repeat(question, gold, runnable)
        if match.same:
            return self._judge_match(question, gold, sql, result, match)
        diagnosis = self._diagnose(question, gold, runnable)
        suspect = self._suspect(question, gold, diagnosis)
        return different(sql, match, diagnosis, gold=gold.result, pred=result, suspect=suspect)

    def _judge_match(
        self, question: Question, gold: Gold, sql: str, result: QueryResult, match: Match
    ) -> Verdict:
        """Check a match on the given database on neighbour databases."""
        passed = partial(right, sql, gold.result, allowed=match.allowed)
        runnable = question.runnable(sql)
        if question.rule != "harness" or not self._instances:
            return passed(labels=() if gold.result.rows else ("vacuous_match",))
        proves = question.engine == "sqlite"  # whose meaning the proofs rest on
        if proves and proven_equal(runnable, gold.plan.sql, self.schema(question.database)):
            return passed(robust=True)
        near = self._neighbourhood(question, gold)
        if near is None:
            return untried(sql, gold.result, nothing=says_nothing(gold.result.rows))
        challenger = self._challenger(question, gold, near, runnable, result)
        found = challenger.challenge(self._instances)
        if found.hard is not None:
            trial = partial(challenger.agree, found.hard)
            diagnosis = self._diagnose(question, gold, runnable, trial)
            suspect = self._suspect(question, gold, diagnosis)
            return refuted(sql, challenger.show(found.hard), diagnosis, suspect)
        if not found.informative:
            return untried(sql, gold.result, nothing=says_nothing(gold.result.rows))
        if found.soft is not None:
            return passed(robust=True, fragile=_fragility(challenger, near, found.soft))
        return passed(robust=True)

    def _challenger(
        self, question: Question, gold: Gold, near: Neighbourhood, sql: str, result: QueryResult
    ) -> Challenger:
        orders = fitting_orders(
            gold.expected, result.rows, len(result.columns), policy=question.policy
        )
        return Challenger(self.sandbox, near, sql, question.policy, orders)

    def _diagnose(
        self, question: Question, gold: Gold, sql: str, trial: MatchesGold | None = None
    ) -> Diagnosis:
        """Explain a difference, by default one on the database itself."""
        if question.rule != "harness":
            return Diagnosis()

        def on_base(statements: Sequence[str]) -> list[bool]:
            results = self.sandbox.run(question.database.source, statements)
            return [r.ok and self._compare(question, gold, r).same for r in results]

        schema = self.schema(question.database)
        return diagnose(gold.plan.sql, sql, schema, trial or on_base, question.engine)

    def _suspect(self, question: Question, gold: Gold, diagnosis: Diagnosis) -> str:
        predicates = self._predicates_of(question, gold) if question.rule == "harness" else None
        if predicates is None:
            return ""
        return gold_suspect(
            predicates=predicates,
            expected=gold.expected,
            gold=gold.result,
            found=diagnosis.found,
            question=question.text,
            schema=self.schema(question.database),
        )

    def _predicates_of(self, question: Question, gold: Gold) -> GoldPredicates | None:
        """Return the predicates of a gold; None where it cannot be parsed."""
        schema = self.schema(question.database)
        return self._predicates.get(
            (question.database.key, gold.plan.sql), lambda: predicates_of(gold.plan, schema)
        )

    def _neighbourhood(self, question: Question, gold: Gold) -> Neighbourhood | None:
        """Return what the instances of a gold have in common; None where there can be none."""
        predicates = self._predicates_of(question, gold)
        if predicates is None:
            return None
        seed = f"{question.seed}:{' '.join(normalized(gold.plan.sql))}"
        key, schema = question.database.key, self.schema(question.database)
        evidence = self._evidence.get(key, lambda: evidence_of(schema))
        return self._near.get(
            (key, seed), lambda: neighbourhood(gold.plan, schema, predicates, evidence, seed=seed)
        )

    def _compare(
        self, question: Question, gold: Gold, result: QueryResult, sql: str | None = None
    ) -> Match:
        """Compare under the question's rule; ``sql`` is asked how exact its own sums are."""
        rows, wanted = result.rows, gold.result.rows
        if question.rule == "spider":
            return Match(same=spider_equal(wanted, rows, gold_sql=gold.plan.sql), reason="values")
        if question.rule == "bird":
            return Match(same=bird_equal(wanted, rows), reason="values")
        match = compare(gold.expected, rows, len(result.columns), policy=question.policy)
        if match.same or sql is None or not (has_floats(rows) or has_floats(wanted)):
            return match
        sizes = size_queries(parse(sql, question.engine), question.engine)
        noise = noise_of(self.sandbox.run(question.database.source, sizes)) if sizes else 0.0
        if noise <= gold.expected.noise:
            return match
        noisy = replace(gold.expected, noise=noise)
        return compare(noisy, rows, len(result.columns), policy=question.policy)

    def _repeat(self, question: Question, gold: Gold, sql: str) -> Match:
        """Run a query that calls ``random()`` again with other seeds: it has to match always."""
        for seed in (1, 2, 3):
            result = self.sandbox.run(question.database.source, [sql], seed=seed)[0]
            if not result.ok or not self._compare(question, gold, result).same:
                return Match(same=False, reason="nondeterministic")
        return Match(same=True)

    def schema(self, database: Database) -> Schema:
        """Return what is known about a database's tables."""
        return self._schemas.get(database.key, lambda: read_schema(self.sandbox, database))

    def _gold(self, question: Question) -> Gold:
        key = (question.database.source.key, question.gold_sql, question.dialect, question.rule)
        return self._golds.get(key, lambda: run_gold(self.sandbox, question))


def _fragility(challenger: Challenger, near: Neighbourhood, trial: TriedInstance) -> Fragility:
    """Describe a soft witness and what it breaks."""
    breaks = broken(trial.instance.tables, near.schema, near.evidence)
    return Fragility(witness=challenger.show(trial), breaks=breaks)


class LRUCache(Generic[Value]):
    """A cache that threads share; two of them may compute the same value at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value for ``key``, made by ``make()`` where it is not there."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        value = make()
        with self._lock:
            self._entries[key] = value
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
        return value
