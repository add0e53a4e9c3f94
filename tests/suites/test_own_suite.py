"""A suite about one's own database: begun, checked and named in a study."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command import harness_here
from support.postgres import running_postgres

from harness.engine import load_suite, load_tokenizer
from harness.errors import StudyError
from harness.pipeline.checks.suite_rows import check_databases
from harness.records import Response
from harness.study import BaseSection, SuiteSection, resolve_model
from harness.suites import score_answers
from harness.suites.load_suite import LoadedSuite
from harness.suites.own.near_misses import near_misses

SCRIPT = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, city VARCHAR(20));
CREATE TABLE "order" (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer(id),
  total DOUBLE PRECISION NOT NULL, "paid on" DATE);
"""
CITIES = ("Rome", "Oslo", "Bonn")


def statements() -> list[str]:
    """Return the script and its rows."""
    rows = [f"INSERT INTO customer VALUES ({i}, 'Name{i}', '{CITIES[i % 3]}')" for i in range(12)]
    rows += [
        f"INSERT INTO \"order\" VALUES ({i}, {i * i % 11}, {i * 1.5}, '2024-01-{1 + i % 28:02d}')"
        for i in range(40)
    ]
    return [*SCRIPT.strip().rstrip(";").split(";"), *rows]


def in_sqlite(folder: Path) -> str:
    """Make the shop as a SQLite file."""
    connection = sqlite3.connect(folder / "shop.sqlite")
    connection.executescript(";".join(statements()))
    connection.close()
    return str(folder / "shop.sqlite")


def in_duckdb(folder: Path) -> str:
    """Make the shop as a DuckDB file."""
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        connection.execute(";".join(statements()))
    return str(folder / "shop.duckdb")


@pytest.mark.parametrize("make", [in_sqlite, in_duckdb])
def test_a_suite_is_begun_checked_and_loaded(
    make: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its golds were run, hold no value of the data, and a study names its folder."""
    monkeypatch.chdir(tmp_path)
    source = make(tmp_path)
    done = harness_here("tasks", "new", "sql", "--database", source)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "tasks" / "shop"
    text = "".join(file.read_text() for file in made.rglob("*") if file.is_file())
    assert not any(city in text for city in (*CITIES, "Name1", "2024-01"))
    rows = [json.loads(line) for line in (made / "data" / "test.jsonl").read_text().splitlines()]
    assert [row["template"] for row in rows] == ["count", "group", "join", "average"]
    done = harness_here("tasks", "check", str(made), "--database", source)
    assert done.returncode == 0, done.stderr
    assert "shop-4: runs; near misses told apart: 1 of 1" in done.stdout, done.stdout
    suite = loaded(tmp_path, ".")
    assert (suite.suite.judge, len(suite.items)) == ("sql", 4)
    assert "customer(id INTEGER, name VARCHAR" in suite.items[0].prompt


def loaded(folder: Path, databases: str) -> LoadedSuite:
    """Load the suite as a study would that names its folder."""
    base = BaseSection(model="builtin:tiny")
    return load_suite(
        SuiteSection(name="shop", folder="tasks/shop", databases=databases),
        engine_tokenizer=load_tokenizer(resolve_model(base.model, folder), base),
        template="none", seed=0, folder=folder,
    )  # fmt: skip


def test_a_suite_is_begun_from_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader is enough, and no file holds its password."""
    monkeypatch.chdir(tmp_path)
    with running_postgres() as server:
        url = server.url("reader:secret")
        done = harness_here("tasks", "new", "sql", "--database", url)
        assert done.returncode == 0, done.stderr
        readme = (tmp_path / "tasks" / "shop" / "README.md").read_text()
        assert "secret" not in readme
        assert "reader:${SHOP_PASSWORD}@" in readme
        done = harness_here("tasks", "check", "tasks/shop", "--database", url)
        assert done.returncode == 0, done.stderr
        check_databases([loaded(tmp_path, url)])
        with pytest.raises(StudyError, match=r"row 1: .*'clerk' may write to"):
            check_databases([loaded(tmp_path, server.url("clerk"))])
        suite = loaded(tmp_path, url)
        golds = [(Response(text=str(item.doc["gold_sql"])),) for item in suite.items]
        verdicts = score_answers.judge(
            suite.recipe.task, suite.suite, suite.items, suite.instances, golds, url
        )
        assert {verdict.outcome for verdict in verdicts} == {"correct"}, verdicts
        refused = harness_here(
            "tasks", "new", "sql", "--name", "x", "--database", server.url("clerk")
        )
    assert refused.returncode == 2
    assert "'clerk' may write to" in refused.stderr


def test_a_gold_that_cannot_be_told_from_a_near_miss_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What passes is shown with the rows that would tell; a gold that does not run is exit 2."""
    monkeypatch.chdir(tmp_path)
    source = in_sqlite(tmp_path)
    harness_here("tasks", "new", "sql", "--database", source)
    golds = {
        "few": "SELECT name FROM customer ORDER BY id LIMIT 6",
        "bad": "SELECT nme FROM customer",
    }
    with (tmp_path / "tasks" / "shop" / "data" / "test.jsonl").open("a") as file:
        for name, gold in golds.items():
            row = {"id": name, "db_id": "shop", "schema": "", "question": "?", "gold_sql": gold}
            file.write(json.dumps(row) + "\n")
    done = harness_here("tasks", "check", "tasks/shop", "--database", source)
    assert done.returncode == 2
    assert "bad: the gold does not run: no such column: nme" in done.stdout
    assert "1 of this suite do not" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("new", "sqll", "--database", "shop.sqlite"), "did you mean 'sql'"),
        (("new", "sql", "--database", "shap.sqlite"), "no database at shap.sqlite"),
        (("new", "sql", "--name", "a/b", "--database", "shop.sqlite"), "letters, digits"),
        (("check", "tasks"), "tasks.yaml is not there"),
    ],
)
def test_what_cannot_be_begun_is_one_sentence(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong kind, file, name or folder ends with exit 2."""
    monkeypatch.chdir(tmp_path)
    in_sqlite(tmp_path)
    done = harness_here("tasks", *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


def test_near_misses_are_what_people_get_wrong() -> None:
    """One change each: joins, conditions, duplicates, limits, aggregates, direction."""
    gold = (
        "SELECT c.city, SUM(o.total) FROM customer AS c JOIN sale AS o ON o.customer_id = c.id "
        "WHERE c.id > 3 AND c.city <> 'Rome' GROUP BY c.city HAVING COUNT(o.id) >= 2 "
        "ORDER BY SUM(o.total) DESC LIMIT 3"
    )
    assert {miss.what for miss in near_misses(gold, "sqlite")} == {
        "LIMIT 4", "without HAVING", "without c.id > 3", "without c.city <> 'Rome'",
        "LEFT JOIN instead of JOIN", ">= instead of >", "> instead of >=",
        "AVG instead of SUM", "COUNT(*) instead of COUNT(o.id)", "ordered the other way",
    }  # fmt: skip
    assert near_misses("SELECT FROM", "sqlite") == []
