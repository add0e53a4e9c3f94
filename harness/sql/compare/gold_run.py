"""Running a gold query: what it allows, or why no answer can be held to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.errors import InfrastructureError
from harness.sql.compare.noise import has_floats, noise_of, size_queries
from harness.sql.compare.tables import Expectation, compare
from harness.sql.compare.ties import GoldPlan, expectation, needs_plan, plan_gold
from harness.sql.execute.messages import Cells
from harness.sql.execute.sandbox import QueryResult, Sandbox
from harness.sql.explain.failures import EXTRACTION
from harness.sql.parse.extract import classify
from harness.sql.parse.sqlglot_tree import parse
from harness.sql.question import Question

UNTRANSLATED_GOLD = ("untranslated", "the gold has no equivalent on the engine that runs it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """A gold query after its run: what it allows, or (``problem``) why it cannot be used."""

    plan: GoldPlan
    result: QueryResult
    expected: Expectation
    problem: str = ""
    reason: str = ""


def run_gold(sandbox: Sandbox, question: Question) -> Gold:
    """Run the gold forwards, without its LIMIT, and backwards.

    Raises:
        InfrastructureError: If the database cannot be opened.
    """
    found = classify(question.gold_sql)
    if found.problem or found.sql is None:
        return _bad_gold("gold_error", f"the gold is unusable: {EXTRACTION[found.problem]}")
    if question.problem(found.sql):
        return _bad_gold(*UNTRANSLATED_GOLD)
    sql, engine = question.runnable(found.sql), question.database.engine
    plan = plan_gold(sql, parse(sql, engine) if needs_plan(sql) else None, engine)
    full = [] if plan.full_sql is None else [plan.full_sql]
    results = sandbox.run(question.database.source, [plan.sql, *full, plan.sql], backwards=1)
    if results[0].kind == "database":
        raise InfrastructureError(f"the database cannot be opened: {results[0].error}")
    if not results[0].ok:
        return _bad_gold("gold_error", f"the gold does not run: {results[0].error}")
    rows, width = results[0].rows, len(results[0].columns)
    whole = results[1].rows if full and results[1].ok else None
    noise = _noise(sandbox, question, plan, [*rows, *(whole or ())])
    expected = expectation(plan, rows, width, whole, noise)
    gold = Gold(plan=plan, result=results[0], expected=expected)
    if question.rule == "harness":
        backwards = results[-1]
        same = backwards.ok and compare(expected, backwards.rows, width).same
        if results[0].unstable or not same:
            reason = "the gold's result is left to chance, or to the order in which rows are stored"
            return replace(gold, problem="gold_not_determined", reason=reason)
    return gold


def _noise(sandbox: Sandbox, question: Question, plan: GoldPlan, rows: Sequence[Cells]) -> float:
    """Return what rounding may have left in the sums of a gold, its order keys included."""
    if question.rule != "harness" or not has_floats(rows):
        return 0.0
    sizes = size_queries(parse(plan.sql, plan.dialect), plan.dialect)
    return noise_of(sandbox.run(question.database.source, sizes)) if sizes else 0.0


def _bad_gold(problem: str, reason: str) -> Gold:
    empty = Expectation(groups=(), width=0)
    result = QueryResult(kind="error")
    return Gold(
        plan=GoldPlan(sql=""), result=result, expected=empty, problem=problem, reason=reason
    )
