"""Training rows: which files and shapes are read, and what is said about those that are not."""

import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.ingest import FORMATS, SHAPES, read_examples
from harness.records import Message
from harness.study import Query

CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Who are you?"},
        {"role": "assistant", "content": "A model."},
    ]
}
ROWS = {
    "messages": CHAT,
    "sharegpt": {
        "conversations": [
            {"from": "human", "value": "Who are you?"},
            {"from": "gpt", "value": "A model."},
        ]
    },
    "prompt/completion": {"prompt": "Who are you?", "completion": "A model."},
    "prompt/response": {"prompt": "Who are you?", "response": "A model.", "history": []},
    "instruction/input/output": {
        "instruction": "Answer.",
        "input": "Who are you?",
        "output": "A model.",
    },
    "instruction/context/response": {
        "instruction": "Who are you?",
        "context": "",
        "response": "A model.",
    },
    "sql_prompt/sql_context/sql": {
        "sql_prompt": "How many?",
        "sql_context": "CREATE TABLE t (a)",
        "sql": "SELECT count(*) FROM t",
    },
    "question/query": {"question": "How many?", "query": "SELECT 1", "db_id": "x"},
    "question/answer": {"question": "Who are you?", "answer": "A model."},
    "text": {"text": "A model."},
    "preference": {"question": "Who are you?", "chosen": "A model.", "rejected": "A cat."},
}
"""One row of each shape that can be learnt from."""


def write(path: Path, rows: list[object]) -> Path:
    """Write rows as JSONL."""
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_every_shape_has_a_row_here() -> None:
    """The table above covers all shapes."""
    assert set(ROWS) == set(SHAPES)


@pytest.mark.parametrize("shape", ROWS)
def test_a_shape_is_read(tmp_path: Path, shape: str) -> None:
    """A row becomes a prompt and a completion, and remembers its line."""
    (example,) = read_examples(write(tmp_path / "rows.jsonl", [ROWS[shape]]))
    answer = example.completion
    text = answer if isinstance(answer, str) else answer[-1].content
    assert text in {"A model.", "SELECT 1", "SELECT count(*) FROM t"}
    assert example.origin == f"{tmp_path / 'rows.jsonl'}:1"


def test_only_the_last_answer_of_a_conversation_is_learnt(tmp_path: Path) -> None:
    """Everything before the last assistant turn is context."""
    (example,) = read_examples(write(tmp_path / "rows.jsonl", [CHAT]))
    assert example.completion == (Message(role="assistant", content="A model."),)
    assert [turn.role for turn in example.prompt if isinstance(turn, Message)] == [
        "system",
        "user",
        "assistant",
        "user",
    ]


def test_context_stands_before_the_question(tmp_path: Path) -> None:
    """A schema or a passage is shown first, then what is asked about it."""
    (example,) = read_examples(write(tmp_path / "rows.jsonl", [ROWS["sql_prompt/sql_context/sql"]]))
    assert example.prompt == (Message(role="user", content="CREATE TABLE t (a)\n\nHow many?"),)


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[object]]]) -> Path:
    """Write a workbook, its sheets by title."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


BOOKS: dict[str, tuple[dict[str, list[list[object]]], str]] = {
    "two sheets": ({"May": [["question"], ["a"]], "June": [["question"], ["b"]]}, "May, June"),
    "a cell without a name": ({"May": [["question"], ["a", "b"]]}, "May, row 2 has a cell more"),
    "a name twice": ({"May": [["text", "text"], ["a", "b"]]}, "May, row 1 has 'text' twice"),
    "a formula that failed": (
        {"May": [["question", "answer"], ["a", "#REF!"]]}, "May, row 2 has #REF!",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BOOKS)
def test_what_is_wrong_with_a_workbook_is_said(tmp_path: Path, case: str) -> None:
    """Nothing is guessed: which sheet is meant, what a cell is, what a formula should have been."""
    sheets, told = BOOKS[case]
    with pytest.raises(DataError, match=told):
        read_examples(workbook(tmp_path / "rows.xlsx", sheets))


def test_empty_sheets_and_rows_of_a_workbook_are_skipped(tmp_path: Path) -> None:
    """As spreadsheets have them; the origin of a row is its number in the sheet."""
    rows = [[None, None], ["question", "answer", None], [None, None, None], ["Which?", 7, None]]
    (example,) = read_examples(workbook(tmp_path / "r.xlsx", {"May": rows, "June": []}))
    assert example.completion == (Message(role="assistant", content="7"),)
    assert example.origin.endswith("r.xlsx:May, row 4")


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_examples(tmp_path: Path, suffix: str) -> None:
    """CSV, TSV, JSON, JSONL, Parquet and Excel hold the same rows."""
    rows = [{"question": f'What is {i}, "{i}"?', "answer": f"It is\t{i}.\nYes."} for i in range(3)]
    path = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif suffix.startswith(".xls"):
        workbook(path, {"Rows": [["question", "answer"], *(list(row.values()) for row in rows)]})
    elif suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif suffix in {".csv", ".tsv"}:
        import csv

        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(
                file, ["question", "answer"], delimiter="," if suffix == ".csv" else "\t"
            )
            writer.writeheader()
            writer.writerows(rows)
    else:
        write(path, list(rows))
    examples = read_examples(path)
    assert [example.prompt for example in examples] == [
        (Message(role="user", content=row["question"]),) for row in rows
    ]
    assert [example.completion for example in examples] == [
        (Message(role="assistant", content=row["answer"]),) for row in rows
    ]


BAD: dict[str, tuple[list[object], str]] = {
    "empty": ([], "training needs at least one row"),
    "no object": ([["a"]], "every row must be a JSON object: "),
    "unknown keys": (
        [{"qestion": "a", "anser": "b"}],
        "found qestion, anser; the nearest shape is question/answer",
    ),
    "nothing in common": ([{"zzz": 1}], "known shapes: preference, messages, sharegpt"),
    "mixed": (
        [ROWS["question/answer"], ROWS["prompt/completion"]],
        "rows.jsonl:2 is prompt/completion, but",
    ),
    "one-sided": (
        [{"messages": [{"role": "assistant", "content": "x"}]}],
        "needs two sides",
    ),
    "ends with the user": (
        [{"messages": [*CHAT["messages"], {"role": "user", "content": "?"}]}],
        "must end with the assistant",
    ),
    "no turns": ([{"messages": []}], "needs turns"),
    "unknown speaker": (
        [{"messages": [{"role": "usr", "content": "x"}]}],
        "unknown speaker 'usr'",
    ),
    "turn without content": ([{"messages": [{"role": "user"}]}], "turn 1 has role"),
    "null answer": ([{"question": "a", "answer": None}], "'answer' must not be empty"),
    "empty answer": ([{"question": "a", "answer": "  "}], "'answer' must not be empty"),
    "pair without prompt": ([{"chosen": "b", "rejected": "c"}], "needs its 'prompt'"),
    "pair of the same": ([{"prompt": "a", "chosen": "b", "rejected": "b"}], "must differ"),
    "pair of two prompts": (
        [{"chosen": CHAT["messages"], "rejected": CHAT["messages"][2:]}],
        "must answer the same prompt",
    ),
    "half text": (
        [{"prompt": "a", "completion": [{"role": "assistant", "content": "x"}]}],
        "must both be text or both be lists of turns",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_told_with_its_line(tmp_path: Path, name: str) -> None:
    """The message says the rule, what was found and where."""
    rows, message = BAD[name]
    with pytest.raises(DataError) as caught:
        read_examples(write(tmp_path / "rows.jsonl", rows))
    assert message.format(tmp_path / name) in str(caught.value)
    assert "rows.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.jsonl", '{"question": "a", "answer": "b"}\n\n{"question": ', "rows.jsonl:3, column"),
        ("rows.json", '[{"a": 1},\n', "malformed JSON"),
        ("rows.json", '{"a": 1}', "must be a list of rows"),
        ("rows.csv", "question,answer\na,b,c\n", "rows.csv:2 has 3"),
        ("rows.csv", "question,answer\na\n", "rows.csv:2 has 1"),
        ("rows.csv", 'question,answer\na,"b\n', "malformed row at {}:2"),
        ("rows.csv", 'question,answer\n"a\nb",c\n\nd,"e" f\n', "malformed row at {}:5"),
        ("rows.csv", 'question,answer\n"a\nb",c\n\n"d\ne",f,g\n', "{}:5 has 3"),
        ("rows.parquet", "PAR", "must be in Parquet format"),
        ("rows.jsnl", "{}", "'.jsnl'; did you mean '.jsonl'?"),
    ],
)
def test_a_malformed_file_is_told_with_its_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    """A cut or mistyped file names the place where reading ended."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_examples(tmp_path / name)
    assert message.format(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(("encoding", "byte"), [("cp1252", "0x96"), ("utf-16", "0xff")])
def test_other_encodings_are_told(tmp_path: Path, encoding: str, byte: str) -> None:
    """A file is named with its first foreign byte, and the remedy converts it."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"question": "1–22 €", "answer": "é"}'.encode(encoding))
    with pytest.raises(DataError, match=f"{byte}, which is not UTF-8") as caught:
        read_examples(path)
    remedy = re.search("'(iconv [^']*)'", str(caught.value))
    assert remedy
    new = tmp_path / "new.jsonl"
    typed = remedy[1].replace("OLD", str(path)).replace("NEW", str(new))
    subprocess.run(typed, shell=True, check=True)
    assert read_examples(new)[0].prompt == (Message(role="user", content="1–22 €"),)


def test_missing_files_and_folders_are_told(tmp_path: Path) -> None:
    """A path that is no file is named."""
    with pytest.raises(DataError, match="no data file at"):
        read_examples(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match=r"must hold \.txt or \.md files"):
        read_examples(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.jsonl", '{"question": "a", "answer": "b", "answer": "c"}'),
        ("rows.json", '[{"question": "a", "answer": "b", "answer": "c"}]'),
        ("rows.csv", "question,answer,answer\na,b,c\n"),
    ],
)
def test_a_field_that_stands_twice_is_refused(tmp_path: Path, name: str, text: str) -> None:
    """The last of two would win without a word."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"{name}.* has 'answer' twice"):
        read_examples(tmp_path / name)


def test_preference_pairs_are_read_as_people_write_them(tmp_path: Path) -> None:
    """Texts, answers as turns, and whole conversations give the same question and answers."""
    said = [[{"role": "assistant", "content": text}] for text in ("A model.", "A cat.")]
    asked = [{"role": "user", "content": "Who are you?"}]
    forms = [
        {"question": "Who are you?", "chosen": "A model.", "rejected": "A cat."},
        {"prompt": asked, "chosen": "A model.", "rejected": "A cat."},
        {"prompt": asked, "chosen": said[0], "rejected": said[1]},
        {"prompt": "Who are you?", "chosen": said[0], "rejected": said[1]},
        {"chosen": asked + said[0], "rejected": asked + said[1]},
        {"prompt": "Who are you?", "chosen": asked + said[0], "rejected": asked + said[1]},
    ]
    for example in read_examples(write(tmp_path / "rows.jsonl", forms)):
        assert example.prompt == (Message(role="user", content="Who are you?"),)
        assert example.completion == (Message(role="assistant", content="A model."),)
        assert example.rejected == (Message(role="assistant", content="A cat."),)
    plain = {"prompt": "Who? ", "chosen": "I", "rejected": "it"}
    (example,) = read_examples(write(tmp_path / "rows.jsonl", [plain]))
    assert (example.prompt, example.completion, example.rejected) == ("Who? ", "I", "it")


SIDE = st.text(min_size=1).filter(lambda text: text.strip() != "")


@given(rows=st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=5))
def test_plain_text_is_kept_to_the_character(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    """Prompt and completion texts are neither trimmed nor normalised."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write(path, [{"prompt": prompt, "completion": completion} for prompt, completion in rows])
    assert [(e.prompt, e.completion) for e in read_examples(path)] == rows


@pytest.mark.parametrize("what", ["fifo", "/dev/zero", "/dev/null"])
def test_what_is_no_file_is_told_at_once(tmp_path: Path, what: str) -> None:
    """A pipe or a device is refused instead of being waited for."""
    path = tmp_path / "rows.jsonl"
    if what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(what)
    with pytest.raises(DataError, match="a device or a pipe, not a file"):
        read_examples(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"id": ' + "9" * 5_000 + "}"])
def test_what_no_parser_takes_is_malformed(tmp_path: Path, text: str) -> None:
    """Nesting without end and numbers of thousands of digits are named with their line."""
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(CHAT)}\n{text}\n")
    with pytest.raises(DataError, match=r"malformed JSON at .*rows\.jsonl:2"):
        read_examples(tmp_path / "rows.jsonl")


def test_two_columns_of_one_name_are_refused_everywhere(tmp_path: Path) -> None:
    """Parquet and a SELECT can have two columns of one name, of which one would win."""
    import pyarrow
    import pyarrow.parquet

    columns = [pyarrow.array(["q"]), pyarrow.array(["a"]), pyarrow.array(["b"])]
    table = pyarrow.Table.from_arrays(columns, names=["question", "answer", "answer"])
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="'answer' twice"):
        read_examples(tmp_path / "rows.parquet")
    sqlite3.connect(tmp_path / "x.db").close()
    select = "SELECT 1 AS question, 2 AS answer, 3 AS answer"
    query = Query(url=f"sqlite:///{tmp_path / 'x.db'}", query=select)
    with pytest.raises(DataError, match="'answer' twice"):
        read_examples(query)
