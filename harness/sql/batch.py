"""Entry points of the judge: one answer, a stream of rows, and lm-eval's ``process_results``.

All share one judge per process, started when first needed.
"""

import atexit
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

from harness import content
from harness.errors import HarnessError
from harness.records import Verdict
from harness.sql.compare.policy import STRICT, Policy
from harness.sql.execute.database import Database
from harness.sql.execute.postgres import (
    PostgresServer,
    check_scratch,
    check_server,
    databases_at,
)
from harness.sql.judge import Judge
from harness.sql.question import SEED, Question, Rule, check_rule, database_on
from harness.sql.verdicts import METRICS, unscored

AHEAD = 32
"""Rows that are taken from a stream before the first of them is decided."""

BUILTIN_DATABASES = content.TASKS / "sql" / "databases"


@cache
def shared_judge() -> Judge:
    """Return the judge that all calls without one of their own share."""
    judge = Judge()
    atexit.register(judge.close)
    return judge


def judge(
    *,
    gold_sql: str,
    pred_text: str,
    database: Database,
    question: str = "",
    dialect: str = "sqlite",
    rule: Rule = "harness",
    policy: Policy = STRICT,
    seed: int = SEED,
) -> Verdict:
    """Judge one answer against a gold query.

    Args:
        gold_sql: The reference query.
        pred_text: What the model wrote, with whatever stands around the statement.
        database: What both run on.
        question: The question in words.
        dialect: The dialect of both queries; others than the engine's are translated.
        rule: ``harness``, or a published rule: ``spider`` or ``bird``.
        policy: Disputed differences that the judge accepts; none by default.
        seed: Seed of the neighbour instances, mixed with the gold.

    Returns:
        A verdict whose ``details`` hold ``base_match``, ``robust_match``, ``extracted_sql`` and
        ``witness``; ``metrics`` holds ``execution_accuracy`` (the database itself),
        ``robust_execution_accuracy`` (neighbour instances too: the score), and
        ``strict_execution_accuracy`` (also those that break what the data only show).
    """
    asked = Question(
        gold_sql=gold_sql, database=database, text=question, dialect=dialect, rule=rule,
        policy=policy, seed=seed,
    )  # fmt: skip
    return shared_judge().judge(asked, pred_text)


def judge_rows(
    rows: Iterable[Mapping[str, object]],
    *,
    databases: Path | PostgresServer | None = None,
    rule: Rule = "harness",
    policy: Policy = STRICT,
    judge: Judge | None = None,
) -> Iterator[Verdict]:
    """Judge rows as `harness rate sql` reads them, two at a time, verdicts in the rows' order.

    Args:
        rows: Mappings with ``gold_sql``, ``pred_text``, and ``schema_sql`` or ``db_id``; optional
            ``question``, ``dialect``, ``tables``.
        databases: Folder with ``<db_id>/<db_id>.sqlite`` (or ``.duckdb``, ``.sql``), or a server.
        rule: The comparison rule.
        policy: Disputed differences that the judge accepts.
        judge: A judge of the caller's own; default the shared one.

    Yields:
        One verdict for each row; a row whose database is missing or broken is ``unscored``.

    Raises:
        StudyError: If the rule is unknown, or a published one is to allow more.
    """
    check_rule(rule, policy)
    used = judge or shared_judge()
    pending: deque[Future[Verdict]] = deque()
    with ThreadPoolExecutor(used.workers) as pool:
        for row in rows:
            judged = partial(_judge_row, used, databases=databases, rule=rule, policy=policy)
            pending.append(pool.submit(judged, row, row.get("pred_text")))
            if len(pending) >= AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _judge_row(
    judge: Judge,
    row: Mapping[str, object],
    answer: object,
    *,
    databases: Path | PostgresServer | None = None,
    path: Path | None = None,
    rule: Rule = "harness",
    policy: Policy = STRICT,
) -> Verdict:
    try:
        question = Question.from_row(row, databases=databases, path=path, rule=rule, policy=policy)
        return judge.judge(question, answer if isinstance(answer, str) else "")
    except HarnessError as error:
        return unscored("database_error" if "gold_sql" in row else "gold_error", str(error))


def check_databases(
    rows: Iterable[Mapping[str, object]], databases: Path | PostgresServer | None
) -> None:
    """Check that what a server is to be asked for is there and may be used.

    Raises:
        InfrastructureError: If it cannot be reached, or is being written to.
        StudyError: If its role may do more than it should.
        DataError: If a row names no database, or a schema that is not there.
    """
    check_scratch()
    asked = [row for row in rows if not row.get("schema_sql")]
    if isinstance(databases, PostgresServer):
        for server in dict.fromkeys(database_on(databases, row) for row in asked):
            check_server(server)


def process_results(doc: Mapping[str, object], results: Sequence[str]) -> dict[str, float]:
    """Score one generation inside lm-eval.

    Args:
        doc: The data row: ``gold_sql``, and ``schema_sql``, ``database`` (a path) or ``db_id`` (of
            the built-in suite's databases).
        results: The generated text, alone in a list.

    Returns:
        ``execution_accuracy``, ``robust_execution_accuracy`` and ``strict_execution_accuracy``:
        1.0, 0.0, or nan where the item is unscored (aggregate with ``nanmean``).
    """
    verdict = judge_document(doc, results[0])
    return dict.fromkeys(METRICS, math.nan) | dict(verdict.metrics)


def judge_document(doc: Mapping[str, object], answer: str, *, policy: Policy = STRICT) -> Verdict:
    """Judge an answer to a row of the ``sql`` suite, built in or a user's own."""
    place = databases_at(str(doc["database"])) if doc.get("database") else None
    databases, path = (
        (place, None) if isinstance(place, PostgresServer) else (BUILTIN_DATABASES, place)
    )
    return _judge_row(shared_judge(), doc, answer, databases=databases, path=path, policy=policy)
