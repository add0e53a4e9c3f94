"""What every engine answers alike: why an answer is wrong, and that nothing may write."""

from collections.abc import Iterator

import pytest
from support.postgres import require_postgres

from harness.sql import Database, Judge, Question

SCRIPT = """
CREATE TABLE dept(id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL);
CREATE TABLE emp(id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, dept_id INTEGER, pay INTEGER);
INSERT INTO dept VALUES (1, 'Sales'), (2, 'IT');
INSERT INTO emp VALUES (1, 'Ann', 1, 30), (2, 'Bob', 2, 40), (3, 'Cid', 2, 50), (4, 'Dee', NULL, 20);
"""  # noqa: E501
ENGINES = ("sqlite", "duckdb", "postgres")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One judge for all engines."""
    with Judge(instances=4) as judge:
        yield judge


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine; PostgreSQL where it is installed."""
    if request.param == "postgres":
        require_postgres()
    return request.param


def ask(gold: str, engine: str) -> Question:
    """Ask on an engine, in its own dialect."""
    database = Database(schema_sql=SCRIPT, engine=engine)
    return Question(gold_sql=gold, database=database, dialect=engine)


@pytest.mark.parametrize(
    ("gold", "answer", "label"),
    [
        ("SELECT name FROM emp WHERE pay > 30", "SELECT name FROM emp WHERE pay > 40",
         "filter_value"),
        ("SELECT MAX(pay) FROM emp", "SELECT MIN(pay) FROM emp", "aggregate_function"),
        ("SELECT e.name FROM emp e LEFT JOIN dept d ON d.id = e.dept_id",
         "SELECT e.name FROM emp e JOIN dept d ON d.id = e.dept_id", "join_type"),
        ("SELECT name FROM emp ORDER BY pay DESC LIMIT 2",
         "SELECT name FROM emp ORDER BY pay LIMIT 2", "order_direction"),
        ("SELECT name FROM emp", "SELECT nme FROM emp", "unknown_column"),
        ("SELECT name FROM emp", "SELECT name FROM employee", "unknown_table"),
        ("SELECT name FROM emp", "SELECT NO_SUCH(name) FROM emp", "dialect_function"),
        ("SELECT name FROM emp", "SELECT name FROM emp, dept", "ambiguous_column"),
        ("SELECT name FROM emp", "SELECT name FROM emp WHERE SUM(pay) > 3", "aggregate_misuse"),
    ],
)  # fmt: skip
def test_every_engine_says_why(
    gold: str, answer: str, label: str, engine: str, judge: Judge
) -> None:
    """The same mistake has the same cause, and a clause that repairs it is found by running it."""
    verdict = judge.judge(ask(gold, engine), answer)
    assert verdict.outcome == "incorrect", verdict
    assert label in verdict.labels, verdict
    if label in {"filter_value", "aggregate_function", "order_direction"}:
        assert verdict.details["repaired_by"], verdict


@pytest.mark.parametrize(
    "answer",
    [
        "INSERT INTO dept VALUES (9, 'x')", "WITH d AS (SELECT 1) DELETE FROM emp",
        "CREATE SEQUENCE s", "DO $$ BEGIN END $$", "LOCK TABLE emp", "TRUNCATE emp",
        "COMMENT ON TABLE emp IS 'x'", "CREATE TABLE t AS SELECT 1", "COPY emp TO '/tmp/x'",
        "MERGE INTO emp USING dept ON true WHEN MATCHED THEN DELETE",
        "SELECT name FROM emp; DELETE FROM emp", "ALTER TABLE emp ADD z INTEGER",
    ],
)  # fmt: skip
def test_what_writes_is_refused_everywhere(answer: str, engine: str, judge: Judge) -> None:
    """Whatever its kind, it is refused, and nothing has changed."""
    verdict = judge.judge(ask("SELECT COUNT(*) FROM emp", engine), answer)
    assert verdict.outcome == "refused", verdict
