"""The judge's doors: rules, rows, lm-eval, what is unscored, and the evidence it keeps."""

import json
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import SHARED

from harness.errors import DataError, StudyError
from harness.sql import Database, Judge, Policy, Question, judge_rows, process_results
from harness.sql import judge as judge_one

CASES = SHARED / "sql_verdicts" / "cases.jsonl"

SCRIPT = """
CREATE TABLE dept(id INTEGER PRIMARY KEY, name TEXT NOT NULL, floor INTEGER);
CREATE TABLE emp(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, dept_id INTEGER REFERENCES dept(id), pay INTEGER
);
INSERT INTO dept VALUES (1, 'Sales', 2), (2, 'IT', 3), (3, 'Law', 3);
INSERT INTO emp VALUES (1, 'Ann', 1, 300), (2, 'Bob', 2, 400), (3, 'Cid', 2, 500), (4, 'Dee', 3, 250);
"""  # noqa: E501
DATABASE = Database(schema_sql=SCRIPT)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One judge for all tests."""
    with Judge() as judge:
        yield judge


def ask(gold: str, **more: object) -> Question:
    """Ask a question on the small database."""
    return Question(**{"gold_sql": gold, "database": DATABASE, **more})  # type: ignore[arg-type]


OWN_CASES = (
    # id, gold, answer, acceptable outcomes: those where careful people differ have several
    ("missing DISTINCT", "SELECT DISTINCT floor FROM dept", "SELECT floor FROM dept", "incorrect"),
    ("fan-out of a join", "SELECT COUNT(*) FROM dept",
     "SELECT COUNT(*) FROM dept d JOIN emp e ON e.dept_id = d.id", "incorrect"),
    ("the word value", "SELECT name FROM emp WHERE id = 1",
     "SELECT name FROM emp WHERE 'value' = 'value' AND id = 1", "correct"),
    ("ORDER BY in a literal", "SELECT name FROM emp WHERE name <> 'order by'",
     "SELECT name FROM emp WHERE name <> 'order by' ORDER BY id DESC", "correct"),
    ("ORDER BY in a subquery", "SELECT name FROM emp WHERE id IN (SELECT id FROM emp ORDER BY pay)",
     "SELECT name FROM emp ORDER BY name DESC", "correct"),
    ("order of tied rows", "SELECT name FROM dept ORDER BY floor",
     "SELECT name FROM dept ORDER BY floor, id DESC", "correct"),
    ("another order", "SELECT name FROM emp ORDER BY pay", "SELECT name FROM emp ORDER BY pay DESC",
     "incorrect"),
    ("columns exchanged", "SELECT id, name FROM emp", "SELECT name, id FROM emp", "correct"),
    ("floating-point noise", "SELECT 0.3 AS x FROM dept", "SELECT 0.1 + 0.2 FROM dept", "correct"),
    ("rounded", "SELECT pay / 7.0 FROM emp", "SELECT ROUND(pay / 7.0, 2) FROM emp", "incorrect"),
    ("beyond doubles", "SELECT 9007199254740993", "SELECT 9007199254740992", "incorrect"),
    ("NULL is not 0", "SELECT NULL FROM dept", "SELECT 0 FROM dept", "incorrect"),
    ("both empty by chance", "SELECT name FROM emp WHERE pay > 9000",
     "SELECT name FROM dept WHERE floor > 9000", "incorrect"),
    ("hard-coded key", "SELECT e.name FROM emp e JOIN dept d ON d.id = e.dept_id "
     "WHERE d.name = 'IT'", "SELECT name FROM emp WHERE dept_id = 2", "incorrect"),
    ("integer division", "SELECT pay / 7.0 FROM emp", "SELECT pay / 7 FROM emp", "incorrect"),
    ("boundary", "SELECT name FROM emp WHERE pay >= 250", "SELECT name FROM emp WHERE pay > 200",
     "incorrect"),
    ("extra column", "SELECT name FROM emp", "SELECT id, name FROM emp", "incorrect"),
    ("number as text", "SELECT pay FROM emp", "SELECT CAST(pay AS TEXT) FROM emp", "incorrect"),
    ("all ties", "SELECT name FROM dept ORDER BY floor DESC LIMIT 1",
     "SELECT name FROM dept WHERE floor = 3", "incorrect"),
    ("unordered LIMIT", "SELECT name FROM emp ORDER BY id LIMIT 1", "SELECT name FROM emp LIMIT 1",
     "correct incorrect"),
    ("write behind WITH", "SELECT name FROM emp",
     "WITH x AS (SELECT 1) DELETE FROM emp RETURNING name", "refused"),
    ("statement behind a query", "SELECT name FROM emp", "SELECT name FROM emp; DROP TABLE emp",
     "refused"),
    ("write words in a literal", "SELECT name FROM emp",
     "SELECT name FROM emp WHERE name <> 'DROP TABLE emp; --'", "correct"),
    ("unclosed fence", "SELECT name FROM emp", "Here:\n```sql\nSELECT name FROM emp", "correct"),
    ("thoughts", "SELECT name FROM emp", "<think>SELECT id FROM emp</think>SELECT name FROM emp",
     "correct"),
    ("endless", "SELECT name FROM emp",
     "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r",
     "incorrect"),
)  # fmt: skip


@pytest.mark.parametrize("case", OWN_CASES, ids=lambda case: case[0])
def test_own_verdict_cases(case: tuple[str, str, str, str], judge: Judge) -> None:
    """Where execution on one database, sets of rows or words of the text mislead, we are right."""
    _, gold, answer, acceptable = case
    verdict = judge.judge(ask(gold), answer)
    assert verdict.outcome in acceptable.split(), verdict


@pytest.mark.skipif(not CASES.is_file(), reason="the verdict cases are not in ../shared/data")
def test_verdict_cases(judge: Judge) -> None:
    """No uncontested case is judged wrong, and contested ones stay within what is acceptable."""
    rows = [json.loads(line) for line in CASES.read_text("utf-8").splitlines()]
    verdicts = list(judge_rows(rows, judge=judge))
    wrong = [
        (row["id"], verdict.outcome, verdict.labels)
        for row, verdict in zip(rows, verdicts, strict=True)
        if verdict.outcome not in row["acceptable"]
    ]
    assert not wrong


def test_verdict_carries_its_evidence(judge: Judge) -> None:
    """A coincidental match shows the database that refutes it, and the clause that repairs it."""
    verdict = judge.judge(
        ask("SELECT name FROM emp WHERE pay > 350"), "SELECT name FROM emp WHERE pay >= 350"
    )
    details = verdict.details
    assert (verdict.outcome, verdict.score) == ("incorrect", 0.0)
    assert verdict.labels == ("filter_operator", "coincidental_match")
    assert (details["base_match"], details["robust_match"]) == (True, False)
    assert verdict.metrics == {
        "execution_accuracy": 1.0,
        "robust_execution_accuracy": 0.0,
        "strict_execution_accuracy": 0.0,
    }
    assert details["repaired_by"] == ["where"]
    assert any(row[3] == 350 for row in details["witness"]["tables"]["emp"]["rows"])
    assert details["witness"]["gold"]["rows"] != details["witness"]["pred"]["rows"]
    assert json.loads(json.dumps(dict(details)))["extracted_sql"] == verdict.answer


def test_witness_tells_the_queries_apart(judge: Judge) -> None:
    """Replayed in plain SQLite, the witness gives the two results that it shows."""
    gold, pred = "SELECT COUNT(*) FROM emp", "SELECT COUNT(dept_id) FROM emp"
    witness = judge.judge(ask(gold), pred).details["witness"]
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCRIPT.split("INSERT", maxsplit=1)[0])
    for table, content in witness["tables"].items():
        marks = ", ".join("?" * len(content["columns"]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", content["rows"])
    for query, side in ((gold, "gold"), (pred, "pred")):
        assert [list(row) for row in connection.execute(query)] == witness[side]["rows"]
    connection.close()


def test_verdicts_repeat() -> None:
    """A new judge gives the same verdict with the same witness; another seed another witness."""
    asked = ask("SELECT DISTINCT name FROM emp")
    answer = "SELECT name FROM emp"
    seen = []
    for seed in (1, 1, 2):
        with Judge() as judge:
            question = ask("SELECT DISTINCT name FROM emp", seed=seed)
            seen.append(judge.judge(question, answer))
    assert seen[0] == seen[1]
    assert seen[0].details["witness"] != seen[2].details["witness"]
    assert asked.seed not in {1, 2}


@pytest.mark.parametrize(
    ("gold", "label"),
    [
        ("SELECT nothing FROM emp", "gold_error"),
        ("SELECT name FROM", "gold_error"),
        ("DELETE FROM emp", "gold_error"),
        ("SELECT 1; SELECT 2", "gold_error"),
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r) SELECT n FROM r",
         "gold_error"),
        ("SELECT name FROM emp ORDER BY random()", "gold_not_determined"),
        ("SELECT name FROM (SELECT name FROM emp LIMIT 2)", "gold_not_determined"),
        ("SELECT random()", "gold_not_determined"),
    ],
)  # fmt: skip
def test_bad_gold_is_never_the_models_fault(gold: str, label: str, judge: Judge) -> None:
    """A gold that fails or is not determined leaves every answer unscored, also a bad one."""
    for answer in ("SELECT name FROM emp", "no idea"):
        verdict = judge.judge(ask(gold), answer)
        assert (verdict.outcome, verdict.score, verdict.labels) == ("unscored", None, (label,))
        assert verdict.explanation


def test_missing_database_is_named(tmp_path: Path) -> None:
    """A database that is not there, or given twice, is one sentence."""
    with pytest.raises(DataError, match="no database file"):
        Database(path=tmp_path / "none.sqlite")
    with pytest.raises(DataError, match="got none of them"):
        Database()


def test_rows_are_judged_in_order(tmp_path: Path) -> None:
    """Rows with scripts, files and faults come back in order; faulty ones are unscored."""
    (tmp_path / "shop").mkdir()
    connection = sqlite3.connect(tmp_path / "shop" / "shop.sqlite")
    connection.executescript(
        "CREATE TABLE item(id INTEGER, name TEXT); INSERT INTO item VALUES (1, 'x')"
    )
    connection.close()
    (tmp_path / "broken.sqlite").write_bytes(b"this is no database" * 100)
    rows = [
        {"gold_sql": "SELECT name FROM item", "pred_text": "SELECT name FROM item",
         "db_id": "shop"},
        {"gold_sql": "SELECT name FROM item", "pred_text": "SELECT id FROM item", "db_id": "shop"},
        {"gold_sql": "SELECT name FROM emp", "pred_text": "SELECT name FROM emp",
         "schema_sql": SCRIPT},
        {"gold_sql": "SELECT 1", "pred_text": "SELECT 1", "db_id": "nowhere"},
        {"gold_sql": "SELECT 1", "pred_text": "SELECT 1", "db_id": "../shop"},
        {"gold_sql": "SELECT a FROM t", "pred_text": "SELECT 1", "schema_sql": "CREATE TABEL t(a)"},
        {"gold_sql": "SELECT a FROM t", "pred_text": "SELECT a FROM t", "db_id": "broken"},
        {"pred_text": "SELECT 1", "schema_sql": SCRIPT},
        {"gold_sql": "SELECT 1", "pred_text": None, "schema_sql": SCRIPT},
        {"gold_sql": "SELECT 1", "pred_text": "SELECT 1"},
        {"gold_sql": "SELECT 1", "pred_text": "SELECT 1", "schema_sql": SCRIPT,
         "dialect": "elvish"},
        {"gold_sql": "SELECT 1", "pred_text": "SELECT 2 - 1", "schema_sql": SCRIPT, "tables": {}},
    ]  # fmt: skip
    verdicts = list(judge_rows(iter(rows), databases=tmp_path))
    assert [v.outcome for v in verdicts] == [
        "correct", "incorrect", "correct", *["unscored"] * 5, "incorrect", *["unscored"] * 3,
    ]  # fmt: skip
    assert "nowhere" in verdicts[3].explanation
    assert "TABEL" in verdicts[5].explanation
    assert all(v.explanation and "Traceback" not in v.explanation for v in verdicts)


@pytest.mark.parametrize(
    ("rule", "gold", "pred", "same"),
    [
        ("spider", "SELECT DISTINCT name FROM emp", "SELECT name FROM emp", True),
        ("spider", "SELECT name, id FROM emp", "SELECT id, name FROM emp", True),
        ("spider", "SELECT name FROM emp ORDER BY pay", "SELECT name FROM emp", False),
        ("spider", "SELECT 0.3", "SELECT 0.1 + 0.2", False),
        ("spider", "SELECT name FROM emp WHERE id > = 3", "SELECT name FROM emp WHERE id>=3", True),
        ("spider", "SELECT name FROM emp WHERE 0", "SELECT id, pay FROM emp WHERE 0", True),
        ("bird", "SELECT floor FROM dept", "SELECT DISTINCT floor FROM dept", True),
        ("bird", "SELECT name, id FROM emp", "SELECT id, name FROM emp", False),
        ("bird", "SELECT name FROM emp ORDER BY pay", "SELECT name FROM emp", True),
        ("harness", "SELECT floor FROM dept", "SELECT DISTINCT floor FROM dept", False),
    ],
)
def test_published_rules(rule: str, gold: str, pred: str, same: bool, judge: Judge) -> None:
    """The published rules keep their own ideas of equality, and never test on neighbours."""
    verdict = judge.judge(ask(gold, rule=rule), pred)
    assert (verdict.score == 1.0) is same
    if rule != "harness":
        assert verdict.details["robust_match"] is not True


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("SELECT name, floor FROM dept ORDER BY floor DESC, id LIMIT 1", "correct"),
        ("SELECT name, floor FROM dept ORDER BY floor DESC, id DESC LIMIT 1", "correct"),
        ("SELECT name, floor FROM dept ORDER BY floor LIMIT 1", "incorrect"),
        ("SELECT name, MIN(floor) FROM dept", "incorrect"),
    ],
)
def test_a_column_beside_an_extreme_may_come_from_any_tied_row(
    answer: str, outcome: str, judge: Judge
) -> None:
    """SQLite takes the name from some row with the highest floor; two departments share it."""
    assert judge.judge(ask("SELECT name, MAX(floor) FROM dept"), answer).outcome == outcome


def test_unknown_rule_is_refused(judge: Judge) -> None:
    """A rule that does not exist is an error that names the nearest one."""
    with pytest.raises(StudyError, match="did you mean 'spider'"):
        judge.judge(ask("SELECT 1", rule="spiders"), "SELECT 1")


@pytest.mark.parametrize(
    ("name", "gold", "answer"),
    [
        ("extra_columns", "SELECT name FROM emp", "SELECT * FROM emp"),
        ("text_numbers", "SELECT pay FROM emp", "SELECT CAST(pay AS TEXT) FROM emp"),
        ("all_ties", "SELECT name FROM dept ORDER BY floor DESC LIMIT 1",
         "SELECT name FROM dept WHERE floor = (SELECT MAX(floor) FROM dept)"),
    ],
)  # fmt: skip
def test_what_is_allowed_decides_and_is_told(
    name: str, gold: str, answer: str, judge: Judge
) -> None:
    """A disputed difference is wrong unless it is allowed, and then the verdict says so."""
    strict = judge.judge(ask(gold), answer)
    assert strict.outcome == "incorrect"
    assert "allow" not in strict.details
    lenient = judge.judge(ask(gold, policy=Policy.allowing([name])), answer)
    assert lenient.outcome == "correct"
    assert lenient.details["allow"] == [name]
    assert name in lenient.explanation
    needless = judge.judge(ask(gold, policy=Policy.allowing([name])), gold)
    assert needless.details["allow"] == [name]
    assert name not in needless.explanation


def test_what_can_be_allowed_is_named(judge: Judge) -> None:
    """A policy that does not exist is refused, and so is any beside a published rule."""
    with pytest.raises(StudyError, match="did you mean 'extra_columns'"):
        Policy.allowing(["extra_column"])
    with pytest.raises(StudyError, match="published"):
        judge.judge(ask("SELECT 1", rule="bird", policy=Policy(all_ties=True)), "SELECT 1")


def test_random_answers_have_to_be_right_always(judge: Judge) -> None:
    """random() is no fault where order is free, and one where the answer depends on it."""
    free = judge.judge(ask("SELECT name FROM emp"), "SELECT name FROM emp ORDER BY random()")
    assert free.outcome == "correct"
    lucky = judge.judge(
        ask("SELECT name FROM emp ORDER BY pay LIMIT 1"),
        "SELECT name FROM emp ORDER BY random() LIMIT 1",
    )
    assert lucky.outcome == "incorrect"


def test_other_dialects_are_translated_and_marked(judge: Judge) -> None:
    """MySQL and PostgreSQL queries run on SQLite after translation, and the verdict says so."""
    mysql = ask("SELECT CONCAT(name, '!') FROM emp LIMIT 1, 2", dialect="mysql")
    verdict = judge.judge(mysql, "SELECT CONCAT(name, '!') FROM emp LIMIT 1, 2")
    assert verdict.outcome == "correct"
    assert verdict.details["translated_from"] == "mysql"
    assert verdict.explanation.endswith(
        "the gold and the answer ran in translation from mysql to SQLite"
    )
    postgres = ask("SELECT name FROM emp WHERE name ILIKE 'a%'", dialect="postgres")
    assert judge.judge(postgres, "SELECT name FROM emp WHERE id = 1").details["base_match"]


def test_a_failed_translation_is_never_the_answers_fault(judge: Judge) -> None:
    """What is no statement of its dialect is wrong; what is, but has no equivalent, is unscored."""
    asked = ask("SELECT name FROM emp", dialect="mysql")
    wrong = judge.judge(asked, "SELECT name FROM emp WHERE name LIKE LIKE 'A%'")
    assert (wrong.outcome, wrong.labels) == ("incorrect", ("syntax_error",)), wrong
    assert "cannot be parsed as mysql" in wrong.explanation
    for answer in ("SELECT SOUNDEX_OF(name) FROM emp", "SELECT STR_TO_MAP(name) FROM emp"):
        lost = judge.judge(asked, answer)
        assert (lost.outcome, lost.labels) == ("unscored", ("untranslated",)), lost
    unusable = judge.judge(ask("SELECT LIKE LIKE FROM", dialect="mysql"), "SELECT name FROM emp")
    assert unusable.outcome == "unscored"


def test_a_verdict_says_what_was_translated(judge: Judge) -> None:
    """An item of another dialect is marked, also where its gold does not run."""
    bad = judge.judge(ask("SELECT nothing FROM emp", dialect="mysql"), "SELECT 1")
    assert bad.details["translated_from"] == "mysql"
    assert "translated_from" not in judge.judge(ask("SELECT 1"), "SELECT 1").details


def test_a_match_that_no_neighbour_could_test_says_so(judge: Judge) -> None:
    """Where no neighbour can be made, `robust_match` is null and the explanation says why."""
    deep = f"SELECT name FROM emp WHERE id > {'(' * 61}0{')' * 61}"
    verdict = judge.judge(ask(deep), "SELECT name FROM emp")
    assert (verdict.outcome, verdict.details["robust_match"]) == ("correct", None)
    assert verdict.explanation.endswith("rests on the given one alone")


DUCK = Database(schema_sql="CREATE TABLE t(a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y')",
                engine="duckdb")  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("SELECT b, a FROM t", "correct"),
        ("SELECT a, b FROM t ORDER BY ALL", "correct"),
        ("SELECT a FROM t", "incorrect"),
        ("SELECT * FROM read_csv('/etc/passwd')", "refused"),
        ("SELECT * FROM glob('/*')", "refused"),
        ("COPY t TO 'pwn.csv'", "refused"),
        ("ATTACH 'pwn.db'", "refused"),
        ("INSTALL httpfs", "refused"),
        ("SET memory_limit='10GB'", "refused"),
        ("SELECT len(repeat('x', 3000000000)), 1", "incorrect"),
        ("SELECT count(*), 1 FROM range(10000000000) a, range(100000) b", "incorrect"),
        ("SELECT i, i FROM range(50000000) r(i)", "incorrect"),
    ],
)
def test_duckdb_is_locked_down(answer: str, outcome: str, judge: Judge) -> None:
    """DuckDB judges its own dialect; files, settings and bombs are out of reach."""
    question = Question(gold_sql="SELECT a, b FROM t", database=DUCK, dialect="duckdb")
    assert judge.judge(question, answer).outcome == outcome


def test_shared_judge_serves_single_calls() -> None:
    """The plain function needs no judge of one's own."""
    verdict = judge_one(
        gold_sql="SELECT COUNT(*) FROM emp", pred_text="SELECT 4", database=DATABASE
    )
    assert (verdict.outcome, verdict.details["base_match"]) == ("incorrect", True)
    assert verdict.labels[0] == "constant_answer"


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("SELECT name FROM emp", "SELECT name FROM emp", 1.0),
        ("SELECT name FROM emp", "SELECT id FROM emp", 0.0),
        ("SELECT nothing FROM emp", "SELECT id FROM emp", math.nan),
    ],
)
def test_process_results_is_what_lm_eval_aggregates(
    gold: str, answer: str, expected: float, tmp_path: Path
) -> None:
    """One number for each metric: 1, 0, or nan for an item that cannot be scored."""
    path = tmp_path / "emp.sql"
    path.write_text(SCRIPT, encoding="utf-8")
    for place in ({"schema_sql": SCRIPT}, {"database": str(path)}):
        found = process_results({"id": "1", "gold_sql": gold, **place}, [answer])
        assert set(found) == {
            "execution_accuracy",
            "robust_execution_accuracy",
            "strict_execution_accuracy",
        }
        assert found["execution_accuracy"] == pytest.approx(expected, nan_ok=True)
