"""Doors to the judge: one answer, a stream of rows, and lm-eval's ``process_results``.

All share one judge for the whole process, started when first needed and ended with it.
"""

import atexit
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from harness import content
from harness.errors import DataError, HarnessError
from harness.records import Verdict
from harness.sql.compare.policy import STRICT, Policy
from harness.sql.execute.database import Database, Engine
from harness.sql.judge import Judge
from harness.sql.question import SEED, Question, Rule, check_rule
from harness.sql.verdicts import unscored

AHEAD = 32
"""Rows that are taken from a stream before the first of them is decided."""


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
        question: The question in words; kept out of the verdict.
        dialect: The dialect of both queries; others than the engine's are translated.
        rule: ``harness``, or a published rule: ``spider`` or ``bird``.
        policy: Disputed differences that the judge accepts; none by default.
        seed: Seed of the neighbour instances, mixed with the gold.

    Returns:
        A verdict whose ``details`` hold ``base_match``, ``robust_match``, ``extracted_sql`` and
        ``witness``; ``metrics`` holds ``execution_accuracy`` (the database itself) and
        ``robust_execution_accuracy`` (neighbour instances too: the score).
    """
    asked = Question(
        gold_sql=gold_sql, database=database, text=question, dialect=dialect, rule=rule,
        policy=policy, seed=seed,
    )  # fmt: skip
    return shared_judge().judge(asked, pred_text)


def judge_rows(
    rows: Iterable[Mapping[str, Any]],
    *,
    databases: Path | None = None,
    rule: Rule = "harness",
    policy: Policy = STRICT,
    judge: Judge | None = None,
) -> Iterator[Verdict]:
    """Judge rows as `harness rate sql` reads them, two at a time, verdicts in the rows' order.

    Args:
        rows: Mappings with ``gold_sql``, ``pred_text``, and ``schema_sql`` or ``db_id``; optional
            ``question``, ``dialect``, ``tables``.
        databases: Folder with ``<db_id>/<db_id>.sqlite`` (or ``<db_id>.sqlite``, ``<db_id>.sql``).
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
            pending.append(pool.submit(_judge_row, used, row, databases, rule=rule, policy=policy))
            if len(pending) >= AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _judge_row(
    judge: Judge,
    row: Mapping[str, Any],
    databases: Path | None,
    *,
    rule: Rule = "harness",
    policy: Policy = STRICT,
) -> Verdict:
    try:
        asked = Question(
            gold_sql=_text(row, "gold_sql"),
            database=_database_of(row, databases),
            text=str(row.get("question") or ""),
            dialect=str(row.get("dialect") or "sqlite"),
            rule=rule,
            policy=policy,
        )
        answer = row.get("pred_text")
        return judge.judge(asked, answer if isinstance(answer, str) else "")
    except HarnessError as error:
        return unscored("database_error" if "gold_sql" in row else "gold_error", str(error))


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"a row needs a text {key!r}: found {type(value).__name__}")
    return value


def _database_of(row: Mapping[str, Any], databases: Path | None) -> Database:
    """Find a row's database: its own script, or a file by its ``db_id``.

    Raises:
        DataError: If there is none, or it is missing.
    """
    script, name = row.get("schema_sql"), row.get("db_id")
    engine: Engine = "duckdb" if row.get("dialect") == "duckdb" else "sqlite"
    tables = row.get("tables") if isinstance(row.get("tables"), Mapping) else None
    if isinstance(script, str):
        return Database(schema_sql=script, tables=tables, engine=engine)
    if not isinstance(name, str) or not name:
        raise DataError("a row needs 'schema_sql' or 'db_id': found neither")
    if databases is None:
        raise DataError(f"the database {name!r} is named but no folder of databases is given")
    if Path(name).name != name:
        raise DataError(f"a db_id is a plain name, not a path: {name!r}")
    places = (name, f"{name}/{name}.sqlite", f"{name}.sqlite", f"{name}.sql", f"{name}/{name}.sql")
    found = next((databases / place for place in places if (databases / place).is_file()), None)
    if found is None:
        raise DataError(f"no database {name!r} under {databases}: expected {name}/{name}.sqlite")
    return Database(path=found, tables=tables, engine=engine)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score one generation inside lm-eval.

    Args:
        doc: The data row: ``gold_sql``, and ``schema_sql``, ``database`` (a path) or ``db_id`` (of
            the built-in suite's databases).
        results: The generated text, alone in a list.

    Returns:
        ``execution_accuracy`` and ``robust_execution_accuracy``: 1.0, 0.0, or nan where the item is
        unscored (aggregate with ``nanmean``).
    """
    verdict = judge_doc(doc, results[0])
    missing = {"execution_accuracy": math.nan, "robust_execution_accuracy": math.nan}
    return missing | dict(verdict.metrics)


def judge_doc(doc: Mapping[str, Any], answer: str, *, policy: Policy = STRICT) -> Verdict:
    """Judge an answer to a row of the ``sql`` suite, built in or a user's own."""
    row = {**doc, "pred_text": answer}
    folder = content.TASKS / "sql" / "databases"
    if doc.get("database"):
        place = Path(str(doc["database"]))
        row["db_id"], folder = place.name, place.parent
    return _judge_row(shared_judge(), row, folder, policy=policy)
