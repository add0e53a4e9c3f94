"""Statements that mean harm are contained on each engine: no file, no crash, the next one runs."""

from pathlib import Path

import pytest
from support.hostile_sql import DUCKDB, SQLITE

from harness.sql import Database, Judge, Question
from harness.sql.execute.database import Engine

SCRIPT = "CREATE TABLE emp(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO emp VALUES (1, 'Ann');"
QUICK = ("FROM sqlite_master", "readfile", "writefile", "SAVEPOINT", "\0", "read_csv", "COPY emp",
         "SET enable", "nextval", "DELETE FROM emp", "duckdb_secrets", "USE memory")  # fmt: skip
"""What is tried on every change; the rest takes its time limit or much memory."""


def contained(engine: Engine, statements: list[str], folder: Path) -> list[str]:
    """Return the statements after which something is not as it was, or that get no verdict."""
    database = Database(schema_sql=SCRIPT, engine=engine)
    same = Question(gold_sql="SELECT name FROM emp", database=database, dialect=engine)
    other = Question(gold_sql="SELECT 1 AS one", database=database, dialect=engine)
    before = sorted(folder.iterdir()), sorted(Path("/").iterdir())
    bad = []
    with Judge(seconds=0.5) as judge:
        for sql in statements:
            stopped = judge.judge(other, sql).outcome in {"refused", "incorrect"}
            runs = judge.judge(same, "SELECT name FROM emp").outcome == "correct"
            kept = (sorted(folder.iterdir()), sorted(Path("/").iterdir())) == before
            if not (stopped and runs and kept):
                bad.append(sql[:80])
    return bad


@pytest.mark.parametrize(
    "quick", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["quick", "all"]
)
@pytest.mark.parametrize(("engine", "statements"), [("sqlite", SQLITE), ("duckdb", DUCKDB)])
def test_hostile_statements_are_contained(
    engine: Engine,
    statements: tuple[str, ...],
    quick: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each gets a verdict, writes nothing, and leaves the worker able to judge the next answer."""
    if engine == "duckdb":
        pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    chosen = [sql for sql in statements if not quick or any(word in sql for word in QUICK)]
    assert len(chosen) > 4
    assert not contained(engine, chosen, tmp_path)
