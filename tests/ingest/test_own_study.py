"""A study begun from rows of one's own: recognised, split without leaks, planned as it is."""

import csv
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.command import harness

from harness import study
from harness.errors import DataError
from harness.ingest.own_study import begin_study

TOWNS = ("Riga", "Bonn", "Graz", "Tartu", "Bergen", "Porto", "Lyon", "Cork", "Bern", "Oslo", "Rome")
TABLE = "CREATE TABLE staff (name TEXT, city TEXT, age INTEGER);"


def said(asked: str, answer: str) -> list[dict[str, str]]:
    """Return a question and its answer as turns."""
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


def town(kind: str, n: int, name: str) -> dict[str, Any]:
    """Return one row of a shape."""
    ask, answer = f"Who is the mayor of the town {name}?", f"Mayor {n}"
    facts = {"question": ask, "A": "red", "B": answer, "C": "blue", "correct": "B"}
    where = f"SELECT name FROM staff WHERE city = '{name}'"
    shapes: dict[str, dict[str, Any]] = {
        "prompt and completion": {"prompt": ask, "completion": f" {answer}"},
        "question and answer": {"Question": ask, "Answer": answer, "Source": "a book"},
        "input and output": {"input": ask, "output": answer},
        "accepted answers": {"question": ask, "answers": [answer, str(n)]},
        "messages": {"messages": said(ask, answer)},
        "long messages": {
            "messages": said("Hello, I am new here.", "Welcome!") + said(ask, answer)
        },
        "choice columns": facts,
        "choice list": {"question": ask, "choices": ["red", answer], "answer": 1},
        "schema": {"question": f"Who lives in {name}?", "query": where, "schema_sql": TABLE},
        "db_id": {"question": f"Who lives in {name}?", "query": where, "db_id": "people"},
        "preference": {"prompt": ask, "chosen": answer, "rejected": "No idea."},
        "kto": {"prompt": ask, "completion": answer, "label": n % 3 > 0},
        "labels": {
            "Review": f"The mayor of {name} is {n * 7}.",
            "Sentiment": ["good", "bad"][n % 2],
        },
        "summaries": {
            "article": f"The town of {name} has {n} gates. Its mayor has {n * 7} hats.",
            "highlights": f"The mayor of {name} has {n * 7} hats.",
        },
        "text": {"text": f"The town of {name} has {n} gates and a mayor with {n * 7} hats."},
    }
    return shapes[kind]


EXPECTED = {
    "prompt and completion": ("domain_qa", "sft"), "question and answer": ("domain_qa", "sft"),
    "input and output": ("domain_qa", "sft"), "accepted answers": ("domain_qa", "sft"),
    "messages": ("domain_qa", "sft"), "long messages": ("coherence", "sft"),
    "choice columns": ("arc_challenge", "sft"), "choice list": ("arc_challenge", "sft"),
    "schema": ("sql", "sft"), "db_id": ("sql", "sft"), "preference": ("coherence", "dpo"),
    "labels": ("classification", "sft"), "summaries": ("summary", "sft"),
    "kto": ("domain_qa", "kto"), "text": ("held_out", "sft"),
}  # fmt: skip
"""Shape -> the suite that asks such rows, and what is learnt from."""


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as the suffix says; lists are JSON text in a table."""
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            for row in rows:
                table.writerow(
                    {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()}
                )
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_in(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.model
@pytest.mark.parametrize(
    ("kind", "suffix"),
    [*((kind, ".csv") for kind in EXPECTED), ("messages", ".jsonl"), ("choice list", ".jsonl")],
)
def test_each_shape_becomes_a_study_that_is_planned_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str
) -> None:
    """From a raw file to ``plan`` without touching anything; nothing that is asked is learnt."""
    from harness.cli import init
    from harness.pipeline.plan import plan

    monkeypatch.chdir(tmp_path)
    if kind == "db_id":
        (tmp_path / "databases" / "people").mkdir(parents=True)
        with sqlite3.connect(tmp_path / "databases" / "people" / "people.sqlite") as made:
            made.executescript(f"{TABLE} INSERT INTO staff VALUES ('Ada', 'Riga', 31)")
    write(tmp_path / f"mine{suffix}", [town(kind, n, name) for n, name in enumerate(TOWNS)])
    init.command(Path("study.yaml"), data=f"mine{suffix}")

    loaded = study.load(tmp_path / "study.yaml")
    suite, objective = EXPECTED[kind]
    assert (loaded.suites[0].name, loaded.candidates[0].objective) == (suite, objective)
    assert loaded.suites[0].target
    planned = plan(loaded, out=tmp_path / "run")
    learnt = (tmp_path / "data" / "train.jsonl").read_text(encoding="utf-8")
    asked = planned.loaded[0].items
    assert asked
    assert len(rows_in(tmp_path / "data" / "train.jsonl")) >= 2 * len(asked)
    towns = {name for name in TOWNS for item in asked if name in json.dumps(dict(item.doc))}
    assert towns
    assert not {name for name in towns if name in learnt}
    assert not planned.candidates[0].card.copies  # type: ignore[union-attr]
    if kind == "question and answer":
        assert (planned.loaded[0].suite.name, "source" in learnt) == ("domain_qa", False)


@pytest.mark.parametrize("kind", ["labels", "summaries"])
def test_what_is_learnt_is_what_will_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The prompt of a row that is learnt is the suite's own prompt about it."""
    from harness.suites.load_suite import load_suite
    from harness.suites.text_tokenizer import TextTokenizer

    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine.csv", [town(kind, n, name) for n, name in enumerate(TOWNS)])
    for path, written in begin_study("mine.csv", "builtin:tiny").files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(written, encoding="utf-8")
    loaded = load_suite(
        study.load(tmp_path / "study.yaml").suites[0],
        engine_tokenizer=TextTokenizer(chat=False), template="none", seed=0, folder=tmp_path,
    )  # fmt: skip
    learnt = rows_in(tmp_path / "data" / "train.jsonl")[0]["prompt"][0]["content"]
    asked = loaded.items[0].prompt
    key = {"labels": "text", "summaries": "document"}[kind]
    about = str(loaded.items[0].doc[key])
    assert asked.partition(about)[0] == learnt[: asked.index(about)]
    assert learnt.endswith(asked.partition(about)[2])


def test_a_corpus_with_a_note_stays_a_corpus(tmp_path: Path) -> None:
    """Long texts, or a column with as many values as rows, are no classification."""
    rows: list[dict[str, Any]] = [
        {"text": f"The town of {name} has a mayor.", "topic": name} for name in TOWNS
    ]
    write(tmp_path / "mine.csv", rows)
    assert begin_study(str(tmp_path / "mine.csv"), "builtin:tiny").what == "rows of shape text"


def test_rows_that_belong_together_stay_together(tmp_path: Path) -> None:
    """By the values of a column that repeats, and by questions that are much alike."""
    rows = [
        {"question": f"What is said on page {page} about the {topic} number {page}?",
         "answer": f"{topic} {page}", "document": f"page-{page}"}
        for page in range(12) for topic in ("boats", "birds")
    ]  # fmt: skip
    rows += [{**row, "question": row["question"].upper(), "document": "other"} for row in rows[:2]]
    begun = begin_study(str(write(tmp_path / "rows.jsonl", rows)), "builtin:tiny")
    kept, held = (
        {json.loads(line)["question"].lower() for line in begun.files[name].splitlines()}
        for name in (Path("data", "train.jsonl"), Path("data", "test.jsonl"))
    )
    assert "column 'document'" in begun.by
    pages = [{words.split()[5] for words in side} for side in (kept, held)]
    assert pages[0].isdisjoint(pages[1])
    assert kept.isdisjoint(held)


def test_columns_of_any_name_are_said(tmp_path: Path) -> None:
    """Which column is which field, where names do not say so; fields may be missing in rows."""
    rows = [{"Frage Nr": f"Wer wohnt in {name}?", "Antwort": f"Frau {name}", "answer": "x"}
            for name in TOWNS]  # fmt: skip
    file = write(tmp_path / "rows.jsonl", [{"Frage Nr": "Wer?"}, *rows])
    columns = {"question": "Frage Nr", "answer": "antwort"}
    begun = begin_study(str(file), "builtin:tiny", columns=columns)
    learnt = [json.loads(line) for line in begun.files[Path("data", "train.jsonl")].splitlines()]
    assert {frozenset(row) for row in learnt} == {frozenset({"question", "answer"})}
    assert all(row["answer"].startswith("Frau ") for row in learnt)
    assert (begun.learnt + begun.asked, begun.empty) == (len(TOWNS), 1)
    with pytest.raises(DataError, match=r"no column 'antwrt' in .*did you mean 'antwort'"):
        begin_study(str(file), "builtin:tiny", columns={"answer": "antwrt"})
    done = harness("init", "--column", "question=Frage", folder=tmp_path)
    assert done.returncode == 2
    assert "--column, --group and --databases are about your rows" in done.stderr


BAD: dict[str, tuple[list[dict[str, Any]], str]] = {
    "unknown columns": ([{"frage": "a", "antwort": "b"}] * 12, "found frage, antwort; rename them"),
    "misspelt columns": (
        [{"questoin": "a", "compltion": "b", "answer": "c"}] * 12,
        r"found questoin, compltion, answer \(did you mean question, completion\?\); rename them",
    ),
    "too few": ([{"question": "a?", "answer": "b"}] * 3, "needs 10 rows or more"),
    "one question": ([{"question": "a?", "answer": "b"}] * 12, "at least two groups"),
    "an answer that is no choice": (
        [{"question": f"q{n}", "choices": ["a", "b"], "answer": "2"} for n in range(12)],
        "its letter or its number from 0: .*:1 has '2'",
    ),
    "sql without tables": (
        [{"question": f"q{n}", "query": "SELECT 1", "schema": "staff"} for n in range(12)],
        "needs a 'schema_sql' with CREATE TABLE",
    ),
    "sql without its database": (
        [{"question": f"q{n}", "query": "SELECT 1", "db_id": "x"} for n in range(12)],
        "give the folder with --databases",
    ),
    "two shapes": (
        [{"question": "a?", "answer": "b"}] * 5 + [{"text": "a"}] * 5, "must have one shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_begun_is_one_sentence(tmp_path: Path, case: str) -> None:
    """Names what was found and what would do."""
    rows, expected = BAD[case]
    with pytest.raises(DataError, match=expected):
        begin_study(str(write(tmp_path / "rows.jsonl", rows)), "builtin:tiny")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Rows that lie where the split is to be written are kept, unless --force says otherwise."""
    write(tmp_path / "mine.csv", [town("question and answer", n, t) for n, t in enumerate(TOWNS)])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("mine\n")
    refused = harness("init", "--data", "mine.csv", folder=tmp_path)
    assert refused.returncode == 2
    assert "train.jsonl exists; use --force" in refused.stderr
    assert not (tmp_path / "study.yaml").exists()
    missing = harness("init", "--data", "missing.csv", folder=tmp_path)
    assert (missing.returncode, "missing.csv" in missing.stderr) == (2, True), missing.stderr
    assert "study.yaml" not in missing.stderr
    forced = harness("init", "--data", "mine.csv", "--force", folder=tmp_path)
    assert forced.returncode == 0, forced.stderr
    assert "next: harness plan study.yaml" in forced.stdout
    alone = harness("init", "other.yaml", "--group", "x", folder=tmp_path)
    assert "name them by --data" in alone.stderr


@pytest.mark.model
@pytest.mark.nightly
def test_a_csv_is_run_to_a_verdict(tmp_path: Path) -> None:
    """One command from a table of one's own to a study, another to its report."""
    write(tmp_path / "mine.csv", [town("question and answer", n, t) for n, t in enumerate(TOWNS)])
    assert harness("init", "--data", "mine.csv", folder=tmp_path).returncode == 0
    done = harness("run", "study.yaml", folder=tmp_path)
    assert done.returncode in (0, 1, 4), done.stderr
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_of_a_spreadsheet_is_read_as_it_was_saved(tmp_path: Path, mark: str) -> None:
    """Many save CSV with semicolons; rows with an empty cell are left out, and counted."""
    rows = [f'"Who, or what, is {n}?"{mark}{"" if n % 10 == 3 else n}' for n in range(60)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([f"question{mark}answer", *rows]), encoding="utf-8-sig")
    begun = begin_study(str(path), "builtin:tiny")
    assert (begun.learnt + begun.asked, begun.empty) == (54, 6)
    assert '"Who, or what, is 1?"' in "".join(begun.files.values())
