"""What a statement gets never depends on what its worker ran or held before."""

import os
import resource
from collections.abc import Iterator

import pytest

from harness.sql import Database, Judge, Question
from harness.sql.execute.sandbox import Sandbox, Source

SCRIPT = """
CREATE TABLE randomized_trials(a INTEGER, b TEXT);
INSERT INTO randomized_trials VALUES (1, 'x'), (4, 'y'), (7, 'z');
"""
CHANCE = (
    SCRIPT
    + """
CREATE VIEW lots AS SELECT a, random() AS r FROM randomized_trials;
CREATE SEQUENCE numbers;
CREATE MACRO jitter(x) AS x + random();
CREATE VIEW jittered AS SELECT jitter(a) AS j FROM randomized_trials;
"""
)
MANY_FILES = 1_100


def duck(script: str = CHANCE, number: int = 0) -> Source:
    """Return a DuckDB database of its own for each number."""
    pytest.importorskip("duckdb")
    return Source(key=f"duck {number}", spec={"engine": "duckdb", "script": script})


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One worker for all tests: whatever one leaves behind meets the next."""
    with Sandbox(workers=1) as sandbox:
        yield sandbox


def test_every_duckdb_database_is_judged_in_any_order() -> None:
    """More databases than one worker can hold, forwards and backwards: the same verdicts."""
    pytest.importorskip("duckdb")
    questions = [
        Question(
            gold_sql="SELECT b FROM randomized_trials WHERE a > 4",
            database=Database(schema_sql=f"{SCRIPT} -- {number}", engine="duckdb"),
            dialect="duckdb",
        )
        for number in range(5)
    ]
    near_miss = "SELECT b FROM randomized_trials WHERE a >= 4"
    verdicts: list[dict[int, str]] = []
    for order in (range(5), reversed(range(5))):
        with Judge(workers=1, instances=1) as judge:
            verdicts.append({n: judge.judge(questions[n], near_miss).outcome for n in order})
    assert verdicts[0] == verdicts[1] == dict.fromkeys(range(5), "incorrect")


def test_a_worker_without_memory_left_is_replaced() -> None:
    """SQLite's limit on memory is the process's: what others hold is no fault of a database."""
    script = "CREATE TABLE t(a); " + "INSERT INTO t VALUES (zeroblob(9000000)); " * 5
    with Sandbox(workers=1) as sandbox:
        found = [
            sandbox.run(Source(key=str(n), spec={"script": script}), ["SELECT count(*) FROM t"])
            for n in range(8)
        ]
        hungry = "SELECT length(hex(zeroblob(4900000)) || hex(zeroblob(50)))"
        found += [sandbox.run(Source(key="9", spec={"script": script}), [hungry])]
    assert [results[0].rows for results in found] == [((5,),)] * 8 + [((9_800_100,),)]


def test_a_broken_database_does_not_break_its_worker(sandbox: Sandbox) -> None:
    """A script that fails is that database's error each time, and nobody else's."""
    broken = Source(key="broken", spec={"script": "CREATE TABEL t(a)"})
    sound = Source(key="sound", spec={"script": SCRIPT})
    for source, kind in [(sound, "ok"), (broken, "database"), (sound, "ok"), (broken, "database")]:
        assert sandbox.run(source, ["SELECT 1"])[0].kind == kind


def test_many_open_files_are_no_obstacle() -> None:
    """The judge waits for its workers in a process that has over a thousand files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * MANY_FILES:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * MANY_FILES, hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(MANY_FILES)]
    try:
        with Sandbox(workers=1) as sandbox:
            source = Source(key="files", spec={"script": SCRIPT})
            assert sandbox.run(source, ["SELECT 1"])[0].rows == ((1,),)
    finally:
        for file in opened:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("sql", "chance"),
    [
        ("SELECT a FROM randomized_trials", False),
        ("SELECT 'random()' AS random FROM randomized_trials -- random()", False),
        ("SELECT 'é', random () FROM randomized_trials", True),
        ("SELECT gen_random_uuid()", True),
        ("SELECT a FROM lots", True),
        ("SELECT j FROM jittered", True),
        ("SELECT a FROM randomized_trials USING SAMPLE 1", True),
        ("SELECT a FROM randomized_trials TABLESAMPLE reservoir(1)", True),
    ],
)
def test_chance_is_a_function_that_is_called(sandbox: Sandbox, sql: str, chance: bool) -> None:
    """A table's name, a literal or a comment leaves nothing to chance; a view may."""
    result = sandbox.run(duck(), [sql])[0]
    assert (result.kind, result.unstable) == ("ok", chance)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nextval('numbers')",
        "WITH new AS (INSERT INTO randomized_trials VALUES (9, 'n') RETURNING a) SELECT * FROM new",
        "WITH old AS (DELETE FROM randomized_trials RETURNING a) SELECT * FROM old",
    ],
)
def test_a_select_that_writes_is_denied(sandbox: Sandbox, sql: str) -> None:
    """To the parser each is a SELECT; the transaction cannot write, and the next finds nothing."""
    seen = "SELECT count(*) FROM randomized_trials"
    denied, after = sandbox.run(duck(), [sql, seen])
    assert (denied.kind, after.rows) == ("denied", ((3,),))


@pytest.mark.parametrize(
    "sql",
    ["", "FROM randomized_trials", "PIVOT randomized_trials ON b USING sum(a)", "SELECT '\ud800'"],
)
def test_the_next_statement_runs_whatever_came_before(sandbox: Sandbox, sql: str) -> None:
    """Nothing, DuckDB's own queries and text that is no UTF-8 leave the worker as it was."""
    assert sandbox.run(duck(), [sql, "SELECT 1"])[1].rows == ((1,),)
