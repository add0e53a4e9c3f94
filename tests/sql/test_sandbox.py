"""Nothing that generated SQL does reaches a file, the gold database, or the next item."""

import hashlib
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.command import python

from harness.errors import InfrastructureError
from harness.sql import Database, Judge, Question
from harness.sql.execute.sandbox import Sandbox, Source

SCRIPT = "CREATE TABLE emp(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO emp VALUES (1, 'Ann');"
SECONDS = 0.5
HANGS = 600.0
"""Wall seconds after which a verdict counts as never coming: a safety net, no machine needs it."""

ENDLESS = "SELECT instr(hex(zeroblob(4900000)), hex(zeroblob(2400000)) || '1')"
"""One opcode that compares 5 million times 4.8 million bytes, and looks at no progress handler."""

HOSTILE = {
    "delete": "DELETE FROM emp",
    "delete behind WITH": "WITH x AS (SELECT 1) DELETE FROM emp RETURNING id",
    "update returning": "UPDATE emp SET name = 'x' RETURNING 1",
    "insert returning": "INSERT INTO emp VALUES (2, 'x') RETURNING 1",
    "replace": "REPLACE INTO emp VALUES (1, 'x')",
    "drop": "DROP TABLE emp",
    "create": "CREATE TABLE pwn(a)",
    "temporary table": "CREATE TEMP TABLE pwn AS SELECT * FROM emp",
    "view": "CREATE VIEW pwn AS SELECT 1",
    "trigger": "CREATE TRIGGER t AFTER INSERT ON emp BEGIN SELECT 1; END",
    "attach": "ATTACH DATABASE 'pwn.db' AS pwn",
    "attach in a URI": "ATTACH 'file:pwn.db?mode=rwc' AS pwn",
    "vacuum into": "VACUUM INTO 'pwn.db'",
    "pragma": "PRAGMA writable_schema = 1",
    "pragma as a table": "SELECT * FROM pragma_table_list",
    "switch off the guard": "PRAGMA query_only = 0",
    "load extension": "SELECT load_extension('pwn')",
    "write a file": "SELECT writefile('pwn.txt', 'x')",
    "read a file": "SELECT readfile('/etc/passwd')",
    "tokenizer pointer": "SELECT fts3_tokenizer('simple', x'4141414141414141')",
    "several statements": "SELECT name FROM emp; DROP TABLE emp",
    "begin": "BEGIN EXCLUSIVE",
    "explain": "EXPLAIN SELECT 1",
    "endless count": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
    "SELECT count(*) FROM r",
    "endless rows": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
    "SELECT n FROM r",
    "cartesian": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 1000) "
    "SELECT count(*) FROM r a, r b, r c, r d",
    "one endless opcode": ENDLESS,
    "one long opcode": "SELECT printf('%.*c', 999999999, 'x')",
    "zero bomb": "SELECT zeroblob(2000000000)",
    "hex bomb": "SELECT hex(hex(hex(zeroblob(9000000))))",
    "replace bomb": "SELECT replace(hex(zeroblob(4000000)), '0', 'xxxxxxxxxxxxxxxx')",
    "concatenation bomb": "WITH RECURSIVE r(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM r) "
    "SELECT length(s) FROM r",
    "row bomb": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 5000000) "
    "SELECT n, zeroblob(1000) FROM r",
    "deep nesting": "SELECT " + "(" * 9_000 + "1" + ")" * 9_000,
    "deep CASE": "SELECT " + "CASE WHEN 1 THEN " * 3_000 + "1" + " END" * 3_000,
    "many terms": "SELECT " + "1 + " * 20_000 + "1",
    "many unions": " UNION ALL ".join(["SELECT 1"] * 3_000),
    "many columns": "SELECT " + ", ".join(["1"] * 20_000),
    "slow LIKE": "SELECT hex(zeroblob(4000000)) LIKE '" + "%0" * 45 + "1'",
    "null byte": "SELECT name FROM emp\0; DROP TABLE emp",
    "lone surrogate": "SELECT '\ud800' FROM emp",
    "invalid UTF-8": "SELECT CAST(x'ff41' AS TEXT)",
    "huge integer": "SELECT 99999999999999999999999999, -9223372036854775808 / -1",
    "infinity": "SELECT 9e999, -9e999",
}


WORDS = [
    *("SELECT", "FROM", "emp", "name", "id", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "(", ")"),
    *(",", "*", "=", "1", "'x'", "WITH", "AS", "UNION", "JOIN", "ON", "NOT", "IN", "LIKE", "NULL"),
    *("CASE", "WHEN", "THEN", "END", "COUNT", "MAX", "random()", "DELETE", "DROP", ";", "OVER"),
    *("RECURSIVE", "VALUES", "||", "/", "%"),
]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One judge that has to survive everything."""
    with Judge(seconds=SECONDS) as judge:
        yield judge


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A database file that must not change."""
    path = tmp_path / "emp.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SCRIPT)
    connection.close()
    return Database(path=path)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _digest(database: Database) -> str:
    assert database.path is not None
    return hashlib.sha256(database.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("sql", HOSTILE.values(), ids=HOSTILE)
def test_hostile_sql_is_contained(
    sql: str, judge: Judge, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets a verdict, touches no file, and the next answer is judged as ever."""
    monkeypatch.chdir(tmp_path)
    before = _digest(database), _names(tmp_path), _names(Path("/"))
    question = Question(gold_sql="SELECT 1 AS one", database=database)
    pool = ThreadPoolExecutor(1)
    verdict = pool.submit(judge.judge, question, sql).result(HANGS)
    pool.shutdown()
    assert verdict.outcome in {"refused", "incorrect"}, verdict
    assert (_digest(database), _names(tmp_path), _names(Path("/"))) == before
    after = judge.judge(Question(gold_sql="SELECT name FROM emp", database=database),
                        "SELECT name FROM emp")  # fmt: skip
    assert after.outcome == "correct"


@given(
    st.one_of(
        st.text(max_size=80),
        st.text(alphabet="()'\"`;-*/,=<>|% ", max_size=60).map(lambda s: "SELECT " + s),
        st.lists(
            st.sampled_from(WORDS),
            max_size=25,
        ).map(" ".join),
    )
)
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_gets_a_verdict(judge: Judge, text: str) -> None:
    """Random text and random SQL words never raise, hang or stay unjudged."""
    question = Question(gold_sql="SELECT name FROM emp", database=Database(schema_sql=SCRIPT))
    verdict = judge.judge(question, text)
    assert verdict.outcome in {"correct", "incorrect", "refused"}
    assert verdict.score in {0.0, 1.0}


def test_killed_worker_is_replaced() -> None:
    """An idle worker that the system kills is replaced without anybody noticing."""
    with Sandbox(workers=1, seconds=SECONDS) as sandbox:
        source = Source(key="emp", spec={"script": SCRIPT})
        assert sandbox.run(source, ["SELECT 1"])[0].rows == ((1,),)
        worker = next(iter(sandbox._alive))
        os.kill(worker.process.pid, signal.SIGKILL)
        assert sandbox.run(source, ["SELECT 2"])[0].rows == ((2,),)


def test_statements_behind_a_kill_are_run() -> None:
    """Only the statement that had its worker killed pays for it."""
    with Sandbox(workers=1, seconds=SECONDS) as sandbox:
        source = Source(key="emp", spec={"script": SCRIPT})
        results = sandbox.run(source, ["SELECT 1", ENDLESS, "SELECT 3"])
    assert [result.kind for result in results] == ["ok", "timeout", "ok"]


def test_threads_share_one_sandbox() -> None:
    """More threads than workers wait for each other and get their own rows."""
    wrong: list[int] = []
    with Sandbox(workers=2, seconds=SECONDS) as sandbox:
        source = Source(key="emp", spec={"script": SCRIPT})

        def ask(number: int) -> None:
            for _ in range(20):
                rows = sandbox.run(source, [f"SELECT {number}"])[0].rows
                wrong.extend(() if rows == ((number,),) else (number,))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_random_is_repeatable() -> None:
    """random() gives the same numbers for the same seed, and others for another."""
    with Sandbox(workers=1, seconds=SECONDS) as sandbox:
        source = Source(key="emp", spec={"script": SCRIPT})
        drawn = [sandbox.run(source, ["SELECT random()"], seed=s)[0] for s in (1, 1, 2)]
    assert drawn[0].rows == drawn[1].rows != drawn[2].rows
    assert all(result.unstable for result in drawn)


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABEL emp(a)",
        "ATTACH 'pwn.db' AS x; CREATE TABLE x.t(a)",
        "CREATE TABLE t AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r) "
        "SELECT count(*) FROM r",
    ],
)
def test_bad_schema_script_is_an_error(script: str) -> None:
    """A script that is wrong, reaches for files or never ends says so."""
    with (
        Sandbox(workers=1, seconds=0.2) as sandbox,
        pytest.raises(InfrastructureError, match=r"syntax|authorized|interrupted|open"),
    ):
        sandbox.describe(Source(key="bad", spec={"script": script}), sample=1)


PROGRAM = """
import os
from harness.sql import Database, judge
database = Database(schema_sql="CREATE TABLE t(a)")
ask = dict(gold_sql="SELECT 1", pred_text="SELECT 1", database=database)
print(judge(**ask).outcome, flush=True)
{more}
"""

FORK = """
child = os.fork()
print(judge(**ask).outcome, flush=True)
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""


@pytest.mark.parametrize(("more", "count"), [("", 1), (FORK, 3)])
def test_script_needs_no_main_guard_and_may_fork(more: str, count: int, tmp_path: Path) -> None:
    """A plain script can judge, before and after a fork, and ends by itself."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(more=more), encoding="utf-8")
    done = python(program)
    assert done.stdout.split() == ["correct"] * count, done.stderr
    assert done.returncode == 0
