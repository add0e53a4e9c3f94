"""What a plan says of cost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import harness_here
from support.example_result import example_result

from harness.cli.plan import _tell_copies, _tell_shards
from harness.records.training import Copy


def test_a_plan_says_how_many_shards_pay(capsys: pytest.CaptureFixture[str]) -> None:
    """Its start is a tenth of a shard's time; where no second one pays, nothing is said."""
    _tell_shards(answering=3600, starting=30)
    assert "up to 13 shards pay, of about 5 min each" in capsys.readouterr().out
    _tell_shards(answering=60, starting=30)
    assert capsys.readouterr().out == ""


def test_a_plan_says_that_its_figures_count_items_left_out(tmp_path: Path) -> None:
    """Where copied items are excluded, fewer decide than the plan has figures for."""
    rows = [{"question": f"Which town is number {n}?", "answer": f"Town {n}"} for n in range(30)]
    asked = [{"question": row["question"], "answers": [row["answer"]]} for row in rows]
    for name, found in (("train", rows), ("test", asked[:10])):
        lines = [json.dumps(row) + "\n" for row in found]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    study = {
        "name": "mine",
        "base": "builtin:tiny",
        "candidates": [{"name": "first", "method": "lora", "train": "train.jsonl"}],
        "suites": [{"name": "domain_qa", "data": "test.jsonl", "margin": 0.3}],
        "data": {"overlap": "exclude"},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    done = harness_here("plan", tmp_path / "study.yaml", "--no-probe")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert (
        "warning: 10 test items stand whole in the rows of first: left out of its verdict" in said
    )
    assert "exclude} leaves them out" not in said


def test_rows_of_one_template_are_no_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    """Test items that share words with rows are counted; a warning is kept for whole ones."""
    alike = [
        Copy(item=("s", "none", f"{n}", 0), kind="near", origin="rows:1", shared="words")
        for n in range(3)
    ]
    card = replace(example_result().data[-1], excluded=False)
    _tell_copies("first", replace(card, copies=tuple(alike)))
    said = capsys.readouterr().out
    assert "warning" not in said
    assert "3 test items share 13 words in a row, or most words, with a row of first" in said
    _tell_copies("first", replace(card, copies=(*alike, replace(alike[0], kind="exact"))))
    said = capsys.readouterr().out
    assert "warning: 1 test item stands whole in the rows of first: counted all the same" in said
    assert "'data: {overlap: exclude}' leaves them out" in said
