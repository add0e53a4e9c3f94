"""What a plan says of cost."""

import json
from pathlib import Path

import pytest
from support.command import harness_here

from harness.cli.plan import _tell_shards


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
    assert "hold 10 test items: left out of its verdict; the figures of suites below" in " ".join(
        done.stdout.split()
    )
