"""A study that several processes answer, and what one process makes of it."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.quickstart.row_sets import training_rows

CANDIDATES = ("first", "second")


def write_study(folder: Path) -> Path:
    """Write a study of two candidates that are trained, and enough items for a dozen shards."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = training_rows("sql_only")[:32]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = {"max_steps": 3, "per_device_train_batch_size": 8, "max_length": 192}
    plain = {
        "name": "small",
        "base": "builtin:tiny",
        "candidates": [
            {"name": name, "train": "rows.jsonl", "settings": {"r": rank}, "training": arguments}
            for name, rank in zip(CANDIDATES, (4, 8), strict=True)
        ],
        "suites": [{"name": name, "limit": 64} for name in ("arc_mini", "domain_qa", "sql")],
        "review": {"items_per_suite": 0},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain))
    return path


def answers(run: Path) -> dict[bytes, tuple[Any, ...]]:
    """Return every merged answer by its key."""
    with sqlite3.connect(run / "answers.db") as database:
        return {row[0]: row[1:] for row in database.execute("SELECT * FROM answers")}


def checks(run: Path) -> list[tuple[str, ...]]:
    """Return what was decided."""
    found = json.loads((run / "gate.json").read_text())["checks"]
    return [tuple(one[key] for key in ("candidate", "suite", "label", "delta")) for one in found]


def models(run: Path) -> dict[str, str]:
    """Return each arm's fingerprint: adapters that were trained alike are equal in all bits."""
    found: dict[str, str] = json.loads((run / "study.lock.json").read_text())["fingerprints"]
    return found


def assert_same(run: Path, alone: Path) -> None:
    """Hold a run of several processes to that of one.

    Models, requests, texts and verdicts are equal, log-likelihoods but for rounding.
    """
    one, merged = answers(alone), answers(run)
    assert models(run) == models(alone)
    assert merged.keys() == one.keys()
    for key, (_, logprob, _, text, *_) in one.items():
        assert merged[key][3] == text
        assert logprob is None or merged[key][1] == pytest.approx(logprob, abs=1e-4)
    assert checks(run) == checks(alone)
