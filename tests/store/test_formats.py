"""Format versions: today's files and older ones are read, newer ones refused in one sentence."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.example_result import example_result

from harness.errors import ComparisonError, DataError, InfrastructureError, StudyError
from harness.records import (
    AnswerTime,
    Arm,
    ItemKey,
    LossPoint,
    Request,
    Response,
    Sample,
    Suite,
    TrainingCost,
    Trial,
)
from harness.stats import Schedule
from harness.store import AnswerStore, read_samples, read_scores, write_samples
from harness.store.baseline_file import read_baseline, write_baseline
from harness.store.run_lock import (
    FORMAT,
    Declarations,
    RunLock,
    merge_declarations,
    read_lock,
    write_lock,
)

NEWER = "of format .* or older: .* is of format 99; update finetune-harness"
SQL = Suite(name="sql", metric="acc", slices=("template",), title="SQL")
KEY = ItemKey("sql", "none", "0123456789abcdef", 0)
DECLARED = Declarations(
    alpha=0.05,
    beta=0.1,
    suites={"sql": SQL},
    items={"sql": "ab"},
    must_pass={"sql": (KEY,)},
    schedules={"sql": Schedule(planned=40, order="cd", cluster_sizes=(20, 20), family=2)},
    overlap="warn",
)
LOCK = RunLock(
    study="s",
    base="builtin:tiny",
    declared=DECLARED,
    arms=(
        Arm(name="base", method="untuned"),
        Arm(
            name="mine",
            settings={"r": 8, "target_modules": ["q", "v"]},
            loss=(LossPoint(step=1, loss=2.0),),
            seconds=3.5,
            trials=(Trial(number=0, choice={"training.lr": 0.1}, state="finished",
                          losses=(1.0, 0.5), steps=2, seconds=1.0),),
            recipe="mix",
            cost=TrainingCost(steps=2, tokens=90, seconds=3.5, machine="a GPU", peak_bytes=7),
            data_sha256="ab",
        ),
    ),
    versions={"torch": "2"},
    base_path="/models/tiny",
    study_file={"name": "s", "suites": [{"name": "sql"}]},
    notes=("a note",),
    file="study.yaml",
    times=(AnswerTime(arm="mine", suite="sql", items=3, seconds=0.5, machine="a GPU"),),
)  # fmt: skip


def rewritten(path: Path, **changes: Any) -> Path:
    """Change keys of a JSON file; None takes one away."""
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))
    return path


def samples() -> list[Sample]:
    """Return a few scored items."""
    return [pair.base for pair in example_result(size=20).comparisons[0].pairs]


def test_a_lock_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every field of every record survives, and the file says its format."""
    path = tmp_path / "study.lock.json"
    write_lock(path, LOCK)
    assert read_lock(path) == LOCK
    assert json.loads(path.read_text())["format"] == FORMAT
    write_lock(path, RunLock(study="s", base="b"))
    assert read_lock(path) == RunLock(study="s", base="b")
    assert read_lock(tmp_path / "none") is None


def test_a_lock_without_a_format_is_read(tmp_path: Path) -> None:
    """Format 1 is the same file without the key; arms of then had no recipe."""
    path = tmp_path / "study.lock.json"
    write_lock(path, LOCK)
    arms = json.loads(path.read_text())["arms"]
    for arm in arms:
        del arm["recipe"]
    rewritten(path, format=None, arms=arms)
    expected = replace(LOCK, arms=tuple(replace(arm, recipe="") for arm in LOCK.arms))
    assert read_lock(path) == expected


def test_a_lock_of_the_future_or_of_something_else_is_refused(tmp_path: Path) -> None:
    """One sentence each, with what to do."""
    path = tmp_path / "study.lock.json"
    write_lock(path, LOCK)
    with pytest.raises(DataError, match=NEWER):
        read_lock(rewritten(path, format=99))
    with pytest.raises(StudyError, match=r"alpha: .* give another --out"):
        read_lock(rewritten(path, format=FORMAT, alpha="many"))
    path.write_text("[1]")
    with pytest.raises(InfrastructureError, match="give another --out"):
        read_lock(path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"alpha": 0.01}, "alpha"),
        ({"beta": 0.01}, "beta"),
        ({"suites": {"sql": replace(SQL, margin=0.2)}}, "sql"),
        ({"items": {"sql": "other"}}, "sql"),
        ({"must_pass": {"sql": ()}}, "sql"),
        ({"schedules": {"sql": Schedule(planned=30, order="cd")}}, "sql"),
        ({"overlap": "exclude"}, "overlap"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_changed_declaration_is_another_comparison(
    changes: dict[str, Any], named: str, tmp_path: Path
) -> None:
    """Whatever decides is fixed before the first answer."""
    with pytest.raises(ComparisonError, match=f"may not change: {named} differ"):
        merge_declarations(DECLARED, replace(DECLARED, **changes), lock_file=tmp_path)


def test_suites_may_join_and_look_otherwise(tmp_path: Path) -> None:
    """What is only shown may change, and a suite that is left out stays declared."""
    other = replace(SQL, name="qa", title="Questions")
    new = replace(DECLARED, suites={"sql": replace(SQL, title="Queries"), "qa": other})
    merged = merge_declarations(DECLARED, new, lock_file=tmp_path)
    assert merged.suites == new.suites
    again = merge_declarations(merged, DECLARED, lock_file=tmp_path)
    assert again.suites.keys() == {"sql", "qa"}
    with pytest.raises(ComparisonError, match="leave --until-decided out"):
        merge_declarations(replace(DECLARED, schedules={}), DECLARED, lock_file=tmp_path)


def test_answers_without_a_version_are_read_and_get_one(tmp_path: Path) -> None:
    """The table is the same, so nothing is asked again."""
    path = tmp_path / "answers.db"
    request = Request(
        kind="loglikelihood", item=KEY, index=0, context="", continuation="", context_ids=(1,)
    )
    AnswerStore(path).put("arm", [(request, Response(logprob=-1.0, is_greedy=True, tokens=1))])
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=0")
    assert AnswerStore(path).get("arm", [request])[request.key].logprob == -1.0
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(DataError, match=NEWER):
        AnswerStore(path)


def test_samples_without_a_format_are_read(tmp_path: Path) -> None:
    """As samples and as scores; a newer format is refused by both."""
    path = tmp_path / "samples_sql.jsonl"
    write_samples(path, samples())
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert {row.pop("harness_format") for row in rows} == {1}
    scores = read_scores(path)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [s.verdict for s in read_samples(path)] == [s.verdict for s in samples()]
    assert read_scores(path) == scores
    newer = [row | {"harness_format": 99} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in newer))
    for read in (read_samples, read_scores):
        with pytest.raises(DataError, match=NEWER):
            read(path)


def test_a_baseline_of_the_future_is_refused(tmp_path: Path) -> None:
    """Today's is read."""
    path = tmp_path / "baseline.jsonl"
    write_baseline(path, "s", "base", [(SQL, samples())], sql={"sqlite": "3.40.1"})
    assert read_baseline(path).sql == {"sqlite": "3.40.1"}
    assert read_baseline(path).declared["sql"]["metric"] == "acc"
    head, *lines = path.read_text().splitlines(keepends=True)
    assert json.loads(head)["baseline"] == 1
    path.write_text("".join([json.dumps(json.loads(head) | {"baseline": 99}) + "\n", *lines]))
    with pytest.raises(DataError, match=NEWER):
        read_baseline(path)
