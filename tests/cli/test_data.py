"""``harness data show``: what a person sees of training rows before a model learns them."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import DataError, HarnessError

pytestmark = pytest.mark.model

ROWS = [
    {"question": "Who keeps the lamp?", "answer": "Ada keeps it."},
    {"question": "Who paints the boats?", "answer": "Bo\u00a0does."},
    {"question": "Who paints the boats?", "answer": "Bo\u00a0does."},
    {"question": "Who answers mail?", "answer": "ann.lee@example.org " * 40},
]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def show(*arguments: str) -> str:
    """Run the command and return what it prints."""
    done = CliRunner().invoke(app, ["data", "show", *arguments])
    if done.exception:
        raise done.exception
    return done.output


def test_it_names_the_shape_and_counts_what_cleaning_does(tmp_path: Path) -> None:
    """Shape, rows, each step with its rows, and the lengths are there."""
    said = show(str(write(tmp_path / "rows.jsonl", ROWS)))
    assert "shape question/answer" in said
    assert "4 rows, of which 4 would be learnt" in said
    assert re.search(r"changed +special spaces +2 rows +rows.jsonl:2, rows.jsonl:3\n", said)
    assert re.search(r"pointed out exact repetition +1 rows +rows.jsonl:3\n", said)
    assert re.search(r"pointed out e-mail address +1 rows +rows.jsonl:4\n", said)
    assert sum(int(found) for found in re.findall(r"up to .* (\d+) rows", said)) == 4
    assert "0 rows (0.0%) exceed" in said


def test_it_marks_what_is_learnt(tmp_path: Path) -> None:
    """In plain text the learnt stretch of a row stands in brackets, with its end of turn."""
    said = show(str(write(tmp_path / "rows.jsonl", ROWS[:1])), "--rows", "1")
    assert "Who keeps the lamp?<|end|><|assistant|>⟦Ada keeps it.<|end|>⟧" in said


def test_it_tells_how_many_rows_a_base_cannot_see(tmp_path: Path, tiny_base: Path) -> None:
    """Rows beyond the context of another base are counted."""
    said = show(str(write(tmp_path / "rows.jsonl", ROWS)), "--base", str(tiny_base))
    assert "1 rows (25.0%) exceed the 256 tokens" in said
    assert "would be left out" in said


def test_a_plan_names_the_columns_that_are_not_learnt(tmp_path: Path) -> None:
    """What nothing is made of is told before it is paid for."""
    write(tmp_path / "rows.jsonl", [{**row, "tag": "x"} for row in ROWS[:3]])
    text = "name: s\nbase: builtin:tiny\ncandidates: [{name: mine, train: rows.jsonl}]\n"
    (tmp_path / "study.yaml").write_text(f"{text}suites: [{{name: domain_qa, limit: 5}}]\n")
    done = CliRunner().invoke(app, ["plan", str(tmp_path / "study.yaml"), "--no-probe"])
    assert done.exit_code == 0, done.output
    assert "columns that mine does not learn from: tag (3 rows)" in done.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one row: .*rows.jsonl is empty"),
        ('{"question": "a", "answer": "b"}\n{"prompt": "a", "completion": "b"}', "jsonl:2 is prom"),
        ('{"question": "a", "anwser": "b"}', "jsonl:1: .*nearest shape is question/answer"),
        ('{"question": "a", "answer": "b"}\n{"quest', "malformed JSON at .*rows.jsonl:2"),
    ],
)
def test_what_is_wrong_is_told_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    """An empty, mixed, mistyped or cut file is one sentence with the row."""
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        show(str(tmp_path / "rows.jsonl"))


def test_a_template_that_does_not_open_the_answer_is_refused(
    tmp_path: Path, tiny_base: Path
) -> None:
    """What the model would learn to write is never shown to it when it is asked."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    loop = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    base = tmp_path / "base"
    for name in ("config.json",):
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_bytes((tiny_base / name).read_bytes())
    rows = str(write(tmp_path / "rows.jsonl", ROWS))
    for template, message in (
        (loop, r"must open the assistant's turn .* does not write '<\|assistant\|>'"),
        ("{% for m in messages %}[{{ m['content'] }}]{% endfor %}", "does not write"),
        ("{% for m in messages %}{{ m['content'] }}<|end|>{% endfor %}", None),
    ):
        tokenizer.chat_template = template
        tokenizer.save_pretrained(base)
        if message is None:
            assert "Who" in show(rows, "--base", str(base))
            continue
        with pytest.raises(HarnessError, match=message):
            show(rows, "--base", str(base))
