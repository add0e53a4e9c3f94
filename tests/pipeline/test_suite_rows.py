"""A study's own suite rows and databases: refused in the plan, not after all arms have answered."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.pipeline.checks.suite_rows import check_databases, check_suite_rows
from harness.pipeline.plan import plan
from harness.records import Response
from harness.study import Study

GOOD: dict[str, dict[str, Any]] = {
    "domain_qa": {"id": "1", "question": "Who?", "answers": ["Ann"], "fact": "a"},
    "sql": {
        "id": "1",
        "question": "How many?",
        "schema": "Table items ( n )",
        "gold_sql": "SELECT count(*) FROM items",
        "schema_sql": "CREATE TABLE items (n)",
        "template": "t",
    },
    "arc_mini": {
        "id": "1",
        "question": "Which?",
        "choices": {"text": ["a", "b"], "label": ["A", "B"]},
        "answerKey": "B",
        "fact": "f",
    },
    "coherence": {"id": "1", "messages": [{"role": "user", "content": "Hi"}]},
    "refusal": {"id": "1", "messages": [{"role": "user", "content": "Hi"}], "should": "help"},
    "tools": {
        "id": "1",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"name": "f", "parameters": {"type": "object"}}],
        "asks_for": ["a"],
    },
}
"""Suite -> a row that can be shown and judged."""

WITHOUT: list[tuple[str, dict[str, Any], str]] = [
    ("domain_qa", {"answers": None, "answer": "Ann"}, "needs 'answers'; is that its 'answer'?"),
    ("domain_qa", {"question": None, "qestion": "Who?"}, "is that its 'qestion'?"),
    ("domain_qa", {"answers": []}, "at least one accepted answer"),
    ("sql", {"gold_sql": None, "sql": "SELECT 1"}, "needs 'gold_sql'"),
    ("sql", {"schema": None, "shema": "Table"}, "needs 'schema'; is that its 'shema'?"),
    ("sql", {"schema_sql": None}, "needs 'schema_sql', or 'db_id'"),
    ("arc_mini", {"answerKey": None, "answer_key": "B"}, "is that its 'answer_key'?"),
    ("arc_mini", {"answerKey": "E"}, "one of the labels A, B: found 'E'"),
    ("arc_mini", {"choices": {"text": ["a", "b"], "label": ["A"]}}, "two lists of one length"),
    ("arc_mini", {"choices": ["a", "b"]}, "needs 'answer'"),
    ("coherence", {"messages": None, "message": []}, "is that its 'message'?"),
    ("coherence", {"messages": [{"role": "assistant", "content": "x"}]}, "a turn to answer"),
    ("refusal", {"should": "decide"}, "must be 'decline' or 'help'"),
    ("tools", {"tools": None}, "needs 'tools'"),
    ("tools", {"expected": [{"name": "g"}]}, "calls 'g', which is none of 'tools'"),
]


def study(folder: Path, suite: str, *rows: dict[str, Any], **section: Any) -> Study:
    """Return a study with one suite on rows of its own."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "mine.jsonl").write_text(text, encoding="utf-8")
    (folder / "rows.jsonl").write_text('{"question": "a", "answer": "b"}\n' * 4, encoding="utf-8")
    return Study.model_validate(
        {
            "name": "s",
            "base": "builtin:tiny",
            "candidates": [{"name": "c", "train": "rows.jsonl"}],
            "suites": [{"name": suite, "data": "mine.jsonl", **section}],
            "folder": folder,
        }
    )


@pytest.mark.parametrize(("suite", "change", "expected"), WITHOUT)
def test_a_field_that_prompt_or_judge_lacks_is_told_with_its_line(
    tmp_path: Path, suite: str, change: dict[str, Any], expected: str
) -> None:
    """File, line, field and the nearest name that is there, before anything is loaded."""
    good = GOOD[suite]
    bad = {key: value for key, value in {**good, **change}.items() if value is not None}
    check_suite_rows(study(tmp_path, suite, good, good))
    with pytest.raises(DataError, match=r"mine\.jsonl:2: ") as caught:
        check_suite_rows(study(tmp_path, suite, good, bad))
    assert expected in str(caught.value)


def test_a_turn_with_tools_says_what_is_right(tmp_path: Path) -> None:
    """A misspelt expectation is not taken for a turn that should call nothing."""
    row = {key: value for key, value in GOOD["tools"].items() if key != "asks_for"}
    check_suite_rows(study(tmp_path, "tools", GOOD["tools"], {**row, "expected": None}))
    with pytest.raises(DataError, match=r"mine\.jsonl:1: .*'expected'.* is that its 'expectd'"):
        check_suite_rows(study(tmp_path, "tools", {**row, "expectd": [{"name": "f"}]}))


@pytest.mark.parametrize("layout", ["shop.sqlite", "shop/shop.sqlite", "shop.sql"])
def test_a_database_is_found_wherever_rate_finds_it(tmp_path: Path, layout: str) -> None:
    """One resolver: flat files, folders and scripts work in a study as they do in `rate`."""
    path = tmp_path / "dbs" / layout
    path.parent.mkdir(parents=True)
    script = "CREATE TABLE items (n); INSERT INTO items VALUES (1), (2);"
    if path.suffix == ".sql":
        path.write_text(script)
    else:
        with sqlite3.connect(path) as connection:
            connection.executescript(script)
    row = {key: value for key, value in GOOD["sql"].items() if key != "schema_sql"}
    made = study(tmp_path, "sql", {**row, "db_id": "shop"}, databases="dbs")
    planned = plan(made, out=tmp_path / "run")
    (loaded,) = planned.loaded
    said = {
        (loaded.items[0].key, 0): Response(
            text="SELECT count(*) AS found FROM items", finish="stop"
        )
    }
    (sample,) = loaded.samples("base", said)
    assert sample.verdict.outcome == "correct", sample.verdict.explanation


def test_a_database_that_is_not_there_is_told_in_the_plan(tmp_path: Path) -> None:
    """An unknown ``db_id`` and a mistyped built-in one are refused, with the row."""
    row = {key: value for key, value in GOOD["sql"].items() if key != "schema_sql"}
    (tmp_path / "dbs").mkdir()
    rows = [{**GOOD["sql"], "db_id": None}, {**row, "db_id": "shop", "schema_sql": None}]
    with pytest.raises(DataError, match=r"suite 'sql', row 2: no database 'shop' under .*dbs"):
        plan(study(tmp_path, "sql", *rows, databases="dbs"), out=tmp_path / "run")
    made = study(tmp_path, "sql", {**row, "db_id": "offize"})
    with pytest.raises(DataError, match=r"row 1: no database 'offize'"):
        plan(made, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    check_databases(())
