"""A finished run's evaluation in Trackio and in Weights & Biases, as their packages keep it."""

import json
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command import harness
from support.finished_runs import write_run

from harness.errors import StudyError
from harness.pipeline.exported.trackers import track, trackers_of
from harness.report import gate_json
from harness.study import Study

SECRET = "f00dfeedf00dfeedf00dfeedf00dfeedf00dfeed"  # a key's form, no key
ENVIRONMENT = {"WANDB_API_KEY": SECRET, "HF_TOKEN": SECRET, "OPENAI_API_KEY": SECRET}


def reported(folder: Path, tracker: str) -> tuple[Path, dict[str, Any]]:
    """Report a run of four suites to a tracker; return where it keeps it, and the gate's checks."""
    run = write_run(folder / "run", note="PRIVATE TEXT")
    done = harness("report", "run", "--to", tracker, folder=folder, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    kept = run.path / "adapters" / "_logs"
    assert f"the evaluation is logged: {Path('run', 'adapters', '_logs')}" in done.stdout
    for file in kept.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file
            assert b"PRIVATE TEXT" not in file.read_bytes(), file
    gate = json.loads((run.path / "gate.json").read_text())
    assert len(gate["checks"]) == 4
    return kept, {check["suite"]: check for check in gate["checks"]}


def expect(logged: dict[str, Any], said: dict[str, Any], checks: dict[str, Any]) -> None:
    """Hold what a tracker kept against the gate's checks."""
    for suite, check in checks.items():
        for name in ("base", "tuned", "delta", "ci_low", "ci_high"):
            assert logged[f"harness/{suite}/{name}"] == pytest.approx(check[name])
        for name in ("label", "verdict"):
            assert said[f"harness/{suite}/{name}"] == check[name]


def test_trackio_keeps_scores_verdicts_and_a_table(tmp_path: Path) -> None:
    """In its own database on this machine, without texts and keys."""
    pytest.importorskip("trackio", reason="needs the extra 'monitor'")
    kept, checks = reported(tmp_path, "trackio")
    with sqlite3.connect(kept / "trackio" / "harness.db") as database:
        ((run, metrics),) = database.execute("SELECT run_name, metrics FROM metrics")
        ((config,),) = database.execute("SELECT config FROM configs")
    assert run == "mixed-evaluation"
    logged, about = json.loads(metrics), json.loads(config)
    expect(logged, about, checks)
    assert about["report"] == str((tmp_path / "run" / "report.html").resolve())
    (suites,) = ([row["suite"] for row in logged["checks"]["_value"]],)
    assert suites == list(checks)


def records(data: bytes) -> Iterator[bytes]:
    """Yield the messages of a log in LevelDB's format, after W&B's own 7 bytes."""
    place, parts = 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left  # no header is cut by a block's end
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in {1, 4}:  # whole, or the last part
            yield parts
            parts = b""


def test_wandb_keeps_scores_verdicts_and_a_table_offline(tmp_path: Path) -> None:
    """Nothing is sent until WANDB_MODE says so; what it would send is read as W&B's messages."""
    pytest.importorskip("wandb", reason="needs the extra 'monitor'")
    from wandb.proto import wandb_internal_pb2

    kept, checks = reported(tmp_path, "wandb")
    (file,) = kept.glob("wandb/offline-run-*/*.wandb")
    logged, said, about = {}, {}, {}
    for data in records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        for item in record.history.item:
            logged[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        for item in record.summary.update:
            said[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        for item in record.run.config.update:
            about[item.key] = json.loads(item.value_json)
        assert not record.HasField("environment")
    expect(logged, said, checks)
    assert about["report"] == str((tmp_path / "run" / "report.html").resolve())
    (table,) = file.parent.rglob("*.table.json")
    assert [row[0] for row in json.loads(table.read_text())["data"]] == list(checks)


def test_a_study_that_reports_its_training_reports_its_evaluation(tmp_path: Path) -> None:
    """Of the reporters those that keep more than curves; another is refused by name."""
    pytest.importorskip("trackio", reason="needs the extra 'monitor'")
    pytest.importorskip("tensorboard", reason="needs the extra 'monitor'")
    trained = {"name": "a", "train": "a.jsonl"}
    both = {"report_to": ["tensorboard", "trackio"]}
    plain = {"name": "b", "train": "b.jsonl"}
    study = Study.model_validate(
        {"name": "s", "base": "b", "suites": ["sql"],
         "candidates": [trained | {"training": both}, plain]}
    )  # fmt: skip
    assert trackers_of(study) == ("trackio",)
    from harness.pipeline.conclude import reopen

    run = write_run(tmp_path / "run")
    result = reopen(run)[1]
    assert gate_json(result)["checks"]
    with pytest.raises(StudyError, match="'wandbb' is neither; did you mean 'wandb'"):
        track(run, result, ["wandbb"])
