"""Rows from elsewhere than one data file: folders of texts, databases, the hub, large files."""

import json
import sqlite3
import tracemalloc
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.ingest import iter_examples, read_examples
from harness.ingest.file_formats import PIECE
from harness.study import Query


def test_a_folder_of_texts_is_cut_between_paragraphs(tmp_path: Path) -> None:
    """Every document becomes pieces of whole paragraphs, in order of file name, all learnt."""
    long = "\n".join(f"Line {i} of a long paragraph that goes on and on." for i in range(80))
    (tmp_path / "b.md").write_text("# Title\n\nFirst.\n\nSecond.\n", encoding="utf-8")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.txt").write_text(f"Short.\n\n{long}\n", encoding="utf-8")
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    found = read_examples(str(tmp_path))
    assert found[0].completion == "# Title\n\nFirst.\n\nSecond."
    assert {example.prompt for example in found} == {""}
    assert all(len(str(example.completion)) <= PIECE + 200 for example in found)
    text = "\n".join(str(example.completion) for example in found[1:])
    assert text.replace("\n\n", "\n") == f"Short.\n{long}"
    assert found[1].origin == f"{tmp_path / 'more' / 'c.txt'}:1"
    lines = (tmp_path / "more" / "c.txt").read_text(encoding="utf-8").splitlines()
    for example in found[1:]:
        line = int(example.origin.rpartition(":")[2])
        assert lines[line - 1] == str(example.completion).splitlines()[0]


@pytest.mark.parametrize(
    ("unit", "end"), [("It rains again today. ", "."), ("word ", "d"), ("x", "x"), ("雨。", "。")]
)
def test_a_line_beyond_a_piece_is_cut_where_it_may_be(tmp_path: Path, unit: str, end: str) -> None:
    """A long line ends with a sentence, else a word, else anywhere; nothing of it is lost."""
    text = unit * (5 * PIECE // len(unit))
    (tmp_path / "a.txt").write_text(f"Head.\n{text}\nTail.\n", encoding="utf-8")
    found = [str(example.completion) for example in read_examples(str(tmp_path))]
    assert all(len(one) <= PIECE + 10 for one in found)
    assert all(one.endswith(end) for one in found[1:-1])
    assert "".join("".join(found).split()) == "".join(f"Head.{text}Tail.".split())


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    """A folder of other files is no source of rows."""
    with pytest.raises(DataError, match=r"must hold \.txt or \.md files"):
        read_examples(str(tmp_path))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a SQLite file with three tickets."""
    path = tmp_path / "support.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE tickets (asked TEXT, said TEXT, closed INTEGER)")
        connection.executemany(
            "INSERT INTO tickets VALUES (?, ?, ?)",
            [("How?", "So.", 1), ("When?", "Now.", 1), ("Why?", "Hm.", 0)],
        )
    return path


def test_rows_come_from_a_query(database: Path) -> None:
    """The columns of a SELECT are the fields of a shape; relative files are the study's."""
    select = "SELECT asked AS question, said AS answer FROM tickets WHERE closed ORDER BY asked"
    found = read_examples(Query(url="sqlite:///support.db", query=select), database.parent)
    assert [turn.content for e in found for turn in e.completion] == ["So.", "Now."]  # type: ignore[union-attr]
    assert found[1].origin.endswith("support.db:row 2")


@pytest.mark.parametrize(
    ("url", "query", "message"),
    [
        ("sqlite:///none.db", "SELECT 1", "no database at"),
        ("sqlite:///support.db", "SELECT gone FROM tickets", "no such column: gone"),
        ("sqlite:///support.db", "DELETE FROM tickets", "readonly database"),
        ("sqlite:///support.db", "SELECT asked AS a FROM tickets", "unrecognised row at"),
        ("sqlite:///${NO_SUCH_FILE_SET}", "SELECT 1", "'NO_SUCH_FILE_SET' must be set"),
        ("nosuch://host/db", "SELECT 1", "nosuch"),
        ("not a url", "SELECT 1", "must be SQLAlchemy's"),
    ],
)
def test_a_database_that_cannot_be_read_is_told(
    database: Path, url: str, query: str, message: str
) -> None:
    """Each mistake is one sentence; nothing is written and no file is made."""
    before = database.read_bytes()
    with pytest.raises(DataError, match="(?i)" + message.replace("$", r"\$")) as caught:
        read_examples(Query(url=url, query=query), database.parent)
    assert "\n" not in str(caught.value)
    assert database.read_bytes() == before
    assert not (database.parent / "none.db").exists()


def test_a_hub_set_that_cannot_be_reached_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Offline, a data set that was never downloaded is named with a remedy."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(DataError, match="must be reachable or downloaded before: nobody/nothing"):
        read_examples("hub:nobody/nothing:train")


def test_rows_of_a_set_that_is_there_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The splits of a data set are read by name; `datasets` takes one laid out on disk as well."""
    folder = tmp_path / "owner" / "tickets"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        row = {"question": f"In {split}?", "answer": "Yes."}
        (folder / f"{split}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, split in (("hub:owner/tickets", "train"), ("hub:owner/tickets:test", "test")):
        (found,) = read_examples(name)
        assert found.prompt[0].content == f"In {split}?"  # type: ignore[union-attr]
        assert found.origin == f"{name}:row 1"


def test_an_empty_source_is_told(tmp_path: Path) -> None:
    """A file without a row has nothing to learn."""
    for name in ("rows.jsonl", "rows.csv", "rows.txt"):
        (tmp_path / name).write_text("", encoding="utf-8")
        with pytest.raises(DataError, match="at least one row"):
            read_examples(tmp_path / name)


def test_a_large_file_is_read_row_by_row(tmp_path: Path) -> None:
    """Reading 40 MB takes a small part of that in memory."""
    path = tmp_path / "rows.jsonl"
    row = json.dumps({"prompt": "why " * 250, "completion": "so " * 300}) + "\n"
    with path.open("w", encoding="utf-8") as out:
        out.writelines(row for _ in range(20_000))
    assert path.stat().st_size > 38_000_000
    tracemalloc.start()
    count = sum(1 for _ in iter_examples(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 2_000_000
