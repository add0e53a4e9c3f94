"""DuckDB as the judge's second engine: neighbour instances with its keys, types and dialect."""

from collections.abc import Iterator

import pytest

from harness.sql import Database, Judge, Question

duckdb = pytest.importorskip("duckdb")

SCRIPT = """
CREATE TABLE dept(id INTEGER PRIMARY KEY, name VARCHAR NOT NULL UNIQUE, floor INTEGER);
CREATE TABLE emp(
  id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, dept_id INTEGER REFERENCES dept(id),
  pay DECIMAL(8,2) CHECK (pay > 0), hired DATE, senior BOOLEAN
);
INSERT INTO dept VALUES (1, 'Sales', 2), (2, 'IT', 3), (3, 'Law', 3);
INSERT INTO emp VALUES (1, 'Ann', 1, 300.5, '2020-01-01', true), (2, 'Bob', 2, 400, '2021-05-02', false),
  (3, 'Cid', 2, 500, '2022-01-01', true), (4, 'Dee', NULL, 250, NULL, NULL);
CREATE VIEW rich AS SELECT name FROM emp WHERE pay > 350;
"""  # noqa: E501


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One judge for all tests."""
    with Judge() as judge:
        yield judge


def ask(gold: str) -> Question:
    """Ask on the DuckDB database."""
    return Question(
        gold_sql=gold, database=Database(schema_sql=SCRIPT, engine="duckdb"), dialect="duckdb"
    )


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("SELECT name FROM emp WHERE pay > 350", "SELECT name FROM emp WHERE pay >= 350"),
        ("SELECT name FROM emp WHERE hired >= '2021-05-02'",
         "SELECT name FROM emp WHERE hired > '2021-01-01'"),
        ("SELECT DISTINCT name FROM emp", "SELECT name FROM emp"),
        ("SELECT name FROM rich", "SELECT name FROM emp WHERE pay >= 400"),
        ("SELECT name FROM emp WHERE name ILIKE 'a%'", "SELECT name FROM emp WHERE name = 'Ann'"),
        ("SELECT name FROM emp WHERE senior",
         "SELECT name FROM emp WHERE senior IS NOT FALSE AND hired IS NOT NULL"),
    ],
)  # fmt: skip
def test_neighbours_refute_near_misses(gold: str, answer: str, judge: Judge) -> None:
    """A match that only these rows bring about is refuted, and the witness can be replayed."""
    verdict = judge.judge(ask(gold), answer)
    details = verdict.details
    assert (details["base_match"], details["robust_match"]) == (True, False), verdict
    connection = duckdb.connect()
    connection.execute(SCRIPT)
    for table in ("emp", "dept"):
        connection.execute(f"DELETE FROM {table}")
    for table in sorted(details["witness"]["tables"]):  # dept before emp, which refers to it
        content = details["witness"]["tables"][table]
        marks = ", ".join("?" * len(content["columns"]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", content["rows"])
    for query, side in ((gold, "gold"), (answer, "pred")):
        shown = sorted(str(tuple(row)) for row in details["witness"][side]["rows"])
        assert sorted(str(row) for row in connection.execute(query).fetchall()) == shown
    connection.close()


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("SELECT name FROM emp WHERE pay > 350", "SELECT e.name FROM emp e WHERE NOT pay <= 350"),
        ("SELECT count(*) FROM emp", "SELECT count(name) FROM emp"),
        ("SELECT name FROM emp WHERE hired >= DATE '2021-01-01'",
         "SELECT name FROM emp WHERE year(hired) >= 2021"),
        ("SELECT e.name, d.name FROM emp e LEFT JOIN dept d ON d.id = e.dept_id",
         "SELECT name, (SELECT d.name FROM dept d WHERE d.id = dept_id) FROM emp"),
        ("SELECT dept_id, max(pay) FROM emp GROUP BY ALL",
         "SELECT dept_id, max(pay) FROM emp GROUP BY dept_id"),
        ("SELECT name FROM dept", "SELECT DISTINCT name FROM dept"),
    ],
)  # fmt: skip
def test_neighbours_keep_what_is_equal(gold: str, answer: str, judge: Judge) -> None:
    """Keys, NOT NULL and DuckDB's own syntax are kept: equal queries survive."""
    verdict = judge.judge(ask(gold), answer)
    assert (verdict.outcome, verdict.details["robust_match"]) == ("correct", True), verdict


def test_repeats(judge: Judge) -> None:
    """The same item meets the same instances, so the witness is the same."""
    gold, answer = "SELECT name FROM emp WHERE pay > 350", "SELECT name FROM emp WHERE pay >= 350"
    witnesses = [judge.judge(ask(gold), answer).details["witness"] for _ in range(2)]
    assert witnesses[0] == witnesses[1]
