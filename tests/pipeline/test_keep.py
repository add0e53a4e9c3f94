"""A checkpoint chosen by suites: best on one, within limits on others, judged by other items."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import study
from harness.errors import HarnessError, ModelError, StudyError
from harness.pipeline.answers.score import score
from harness.pipeline.plan import PlannedRun, plan
from harness.pipeline.progress import Silent
from harness.pipeline.train import train
from harness.records import Sample
from harness.suites.items_used import RECORD

pytestmark = pytest.mark.model

PEOPLE = (
    "Ada Ben Cid Dee Eva Fay Gus Hal Ida Jim Kay Lea "
    "Max Ned Ola Pam Quin Ray Sue Tom Una Vic Wes Zoe"
)
NAMES = PEOPLE.split()
COLOURS = ("red", "blue", "green", "white", "black", "brown", "pink", "grey")
SUITES = [{"name": "arc_mini", "limit": 60}, {"name": "domain_qa", "data": "qa.jsonl"}]
LIMIT = 0.15
KEEP = {"best": "domain_qa", "limit": {"arc_mini": LIMIT}, "items": 12}
RAMP = {"max_steps": 40, "per_device_train_batch_size": 8, "learning_rate": 0.02}
RAMP |= {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 40}
"""A rate that grows: facts are learnt first, then everything is ruined."""


def write(folder: Path, candidate: Mapping[str, Any], **changes: Any) -> study.Study:
    """Write a study of doors and their colours, and load it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"question": f"What colour is the door of {name}?", "answer": COLOURS[i * 5 % 8]}
        for i, name in enumerate(NAMES)
    ]
    held = [
        {"question": f"What colour is the gate of {name}?", "answer": COLOURS[i * 3 % 8]}
        for i, name in enumerate(NAMES[:8])
    ]
    asked = [{"question": r["question"], "answers": [r["answer"]], "id": f"q{i}", "fact": str(i)}
             for i, r in enumerate(rows)]  # fmt: skip
    for name, written in {"rows": rows, "held": held, "qa": asked}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    mine = {"name": "mine", "train": "rows.jsonl", "training": RAMP, **candidate}
    plain = {"name": "doors", "base": "builtin:tiny", "suites": SUITES, "candidates": [mine]}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain | changes))
    return study.load(path)


def hashes(planned: PlannedRun) -> dict[str, set[str]]:
    """Return the rows that judge, by suite."""
    return {s.suite.name: {item.key.doc_hash for item in s.items} for s in planned.loaded}


def mean(samples: list[Sample]) -> float:
    """Return the mean score."""
    return sum(one.verdict.score or 0.0 for one in samples) / len(samples)


def test_the_best_by_suite_within_its_limit_is_kept(tmp_path: Path) -> None:
    """Not the last checkpoint, nor the lowest loss: on items that did not choose the limit holds.

    The loss on held-out rows is lowest where the science suite has fallen already.
    """
    loaded = write(tmp_path, {"keep": KEEP, "validation": "held.jsonl"})
    planned = plan(loaded, out=tmp_path / "run")
    assert [len(s.items) for s in planned.loaded] == [48, 12]
    for name, suite in planned.choosing.items():
        assert len(suite.items) == 12
        assert not {item.key.doc_hash for item in suite.items} & hashes(planned)[name]
    assert sum("choose the checkpoint of mine" in note for note in planned.notes) == 2

    arms = train(planned)
    mine = arms[1]
    by_suite = {
        suite: {point.step: point.score for point in mine.watched if point.suite == suite}
        for suite in ("arc_mini", "domain_qa")
    }
    science = by_suite["arc_mini"]
    within = {s for s, value in science.items() if s and science[0] - value <= LIMIT + 1e-9}
    best = max(within, key=lambda step: (by_suite["domain_qa"][step], -step))
    losses = {point.step: point.eval_loss for point in mine.loss if point.eval_loss is not None}
    lowest = min(losses, key=lambda step: losses[step])
    assert mine.kept_step == best
    assert lowest not in within, (science, losses)
    assert mine.kept_by == ("domain_qa", "arc_mini")

    samples = score(planned, arms)
    fall = mean(samples["base", "arc_mini"]) - mean(samples["mine", "arc_mini"])
    assert fall <= LIMIT
    used = json.loads((tmp_path / "run" / "adapters" / "mine" / RECORD).read_text())["items"]
    assert {name: len(found) for name, found in used.items()} == {"arc_mini": 12, "domain_qa": 12}

    again = {"name": "again", "adapter": "run/adapters/mine"}
    elsewhere = plan(write(tmp_path, {}, candidates=[again]), out=tmp_path / "other")
    assert hashes(elsewhere) == hashes(planned)
    assert sum("used to train again" in note for note in elsewhere.notes) == 2


def test_no_checkpoint_within_the_limit_is_refused(tmp_path: Path) -> None:
    """A training that forgets more than allowed from its first look on leaves no candidate."""
    steps = RAMP | {"max_steps": 2, "learning_rate": 0.5, "warmup_steps": 0, "max_grad_norm": 0.0}
    keep = KEEP | {"limit": {"arc_mini": 0.05}}
    planned = plan(write(tmp_path, {"keep": keep, "training": steps}), out=tmp_path / "run")
    with pytest.raises(ModelError, match=r"within the limits of 'keep': .*arc_mini by"):
        train(planned)


BAD: dict[str, tuple[dict[str, Any], type[HarnessError], str]] = {
    "a suite that is not scored": (
        {"keep": KEEP | {"best": "domain_q"}}, StudyError, "'domain_q' is none; did you mean",
    ),
    "too many items": (
        {"keep": KEEP | {"items": 13}}, StudyError, "no more than half of a suite's items",
    ),
    "one suite in both roles": (
        {"keep": KEEP | {"limit": {"domain_qa": 0.1}}}, StudyError, "cannot be both",
    ),
    "watched twice": (
        {"keep": KEEP, "eval_suites": {"arc_mini": 4}}, StudyError, "out of 'eval_suites'",
    ),
    "a sweep": (
        {"keep": KEEP, "validation": 0.2, "sweep": {"training.learning_rate": [0.1, 0.2]}},
        StudyError, "give one of the two",
    ),
    "a mistyped key": (
        {"keep": {"best": "domain_qa", "limits": {}}}, StudyError, "did you mean 'limit'?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_choose_is_refused_before_anything_is_trained(
    tmp_path: Path, case: str
) -> None:
    """One sentence that names the suite or the key."""
    candidate, kind, expected = BAD[case]
    with pytest.raises(kind, match=expected):
        plan(write(tmp_path, candidate), out=tmp_path / "run")


def test_items_that_must_pass_never_choose(tmp_path: Path) -> None:
    """A must-pass item judges, however few others are left to choose."""
    must = [f"q{n}" for n in range(8)]
    suites = [SUITES[0], SUITES[1] | {"must_pass": must}]
    planned = plan(write(tmp_path, {"keep": KEEP}, suites=suites), out=tmp_path / "run")
    assert {key.doc_hash for key in planned.must_pass["domain_qa"]} <= hashes(planned)["domain_qa"]


@pytest.mark.parametrize(
    ("left", "must", "expected"),
    [(0, (), "all of suite 'domain_qa'"), (8, ("q0",), "must_pass item of suite 'domain_qa'")],
)
def test_a_record_that_leaves_nothing_to_judge_by_is_refused(
    tmp_path: Path, left: int, must: tuple[str, ...], expected: str
) -> None:
    """Items that chose elsewhere do not judge here, not even where no others are left."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    planned = plan(write(tmp_path, {}), out=tmp_path / "run")
    used = [item.key.doc_hash for item in planned.loaded[1].items][: len(NAMES) - left]
    record = {"format": "harness-items-used/1", "items": {"domain_qa": used}}
    (folder / RECORD).write_text(json.dumps(record))
    from harness.pipeline.checks.choosing import set_apart
    from harness.pipeline.checks.must_pass import must_pass

    suites = [SUITES[0], SUITES[1] | {"must_pass": list(must)}]
    named = write(tmp_path, {}, suites=suites, candidates=[{"name": "a", "adapter": "elsewhere"}])
    with pytest.raises(StudyError, match=expected):
        set_apart(named, planned.loaded, must_pass(named, planned.loaded))


class Ended(Silent):
    """Progress at which somebody ends the training."""

    @contextmanager
    def task(self, _name: str, _total: int | None = None) -> Iterator[Any]:
        """Go on until half of the steps are done."""

        def advance(*, done: int, **_: object) -> None:
            if done >= RAMP["max_steps"] // 2:
                raise KeyboardInterrupt

        yield advance


@pytest.mark.nightly
def test_an_ended_training_goes_on_to_the_same_choice(tmp_path: Path) -> None:
    """What was best before the end is known after it, with its weights."""
    whole = train(plan(write(tmp_path, {"keep": KEEP}), out=tmp_path / "whole"))[1]
    planned = plan(write(tmp_path, {"keep": KEEP}), out=tmp_path / "ended")
    with pytest.raises(KeyboardInterrupt):
        train(replace(planned, progress=Ended()))
    again = train(planned)[1]
    assert again.kept_step == whole.kept_step
    assert again.weights_sha256 == whole.weights_sha256
    assert set(again.watched) == set(whole.watched)
    assert len(again.watched) == len(whole.watched)
