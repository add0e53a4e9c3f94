"""Several processes answer parts of one study: merged, they say what one process says."""

import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import harness_here
from support.killing import harness_killed
from support.tiny_models import lora

from harness import content, study
from harness.engine import arm_fingerprints
from harness.errors import ComparisonError, ModelError, StudyError
from harness.pipeline.answers.shards import Shard, answer_shard, shard_origin
from harness.pipeline.answers.until_decided import schedules
from harness.pipeline.plan import PlannedRun, plan
from harness.pipeline.run import carry_out
from harness.pipeline.train import trained
from harness.records import Response, Result
from harness.store.shard_file import ShardFile

pytestmark = pytest.mark.model

SUITES = [{"name": name, "limit": 8} for name in ("arc_mini", "sql")]


def write_study(folder: Path, **changes: Any) -> study.Study:
    """Write a study of two adapters made elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {
        "name": "shared_out",
        "base": "builtin:tiny",
        "candidates": [{"name": name, "adapter": name} for name in ("worse", "other")],
        "suites": SUITES,
        "review": {"items_per_suite": 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(plain | changes))
    return study.load(folder / "study.yaml")


def answer(planned: PlannedRun, text: str) -> Path:
    """Answer one shard."""
    return answer_shard(planned, trained(planned), Shard.parse(text))


def answers(file: Path) -> dict[bytes, tuple[Any, ...]]:
    """Return every stored answer by its key."""
    with sqlite3.connect(file) as database:
        return {row[0]: row[1:] for row in database.execute("SELECT * FROM answers")}


def checks(result: Result) -> list[tuple[object, ...]]:
    """Return what was decided."""
    return [
        (one.candidate, one.suite.name, one.verdict, one.decision and one.decision.delta)
        for one in result.comparisons
    ]


class Loads:
    """How often weights were loaded."""

    def __init__(self) -> None:
        self.count = 0

    def since(self) -> int:
        """Return the loads since the last look."""
        found, self.count = self.count, 0
        return found


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Count how often the base's weights are loaded."""
    from harness.engine import model

    counted, load = Loads(), model.load_model_for_scoring

    def load_and_count(*arguments: Any, **options: Any) -> Any:
        counted.count += 1
        return load(*arguments, **options)

    monkeypatch.setattr(model, "load_model_for_scoring", load_and_count)
    return counted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two adapters of the built-in base."""
    folder = tmp_path_factory.mktemp("shards")
    base = content.BUILTIN_MODELS["tiny"]
    lora(base, folder / "worse", seed=3, lora_alpha=32)
    lora(base, folder / "other", seed=5, lora_alpha=4)
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> tuple[Path, Result]:
    """Return a run of one process, and its result."""
    return folder / "alone", carry_out(plan(write_study(folder), out=folder / "alone"))


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.nightly)])
def test_shards_merged_say_what_one_process_says(
    folder: Path, alone: tuple[Path, Result], loads: Loads, count: int
) -> None:
    """One is killed, started again, and one runs twice: verdicts and texts are equal all the same.

    Numbers are equal but for rounding, and nothing is asked or loaded again.
    """
    loaded, run = write_study(folder), folder / f"in_{count}"
    options = ("--shard", f"2/{count}", "--out", run)
    harness_killed("score", folder / "study.yaml", *options, batches=3, folder=folder)
    [killed] = (run / "answers").glob("*.db")
    kept = answers(killed)
    planned = plan(loaded, out=run)
    files = [answer(planned, f"{number}/{count}") for number in (*range(1, count + 1), 2)]
    assert loads.since() == count
    parts = [answers(file) for file in files[:count]]
    assert kept
    assert kept.items() <= parts[1].items(), "what was answered before the kill is kept"
    assert len(parts[1]) > len(kept)

    result = carry_out(plan(loaded, out=run))
    assert loads.since() == 0
    one, merged = answers(alone[0] / "answers.db"), answers(run / "answers.db")
    assert len(merged) == sum(map(len, parts)), "no request was answered twice"
    assert merged.keys() == one.keys()
    for key, (_, logprob, _, text, *_) in one.items():
        assert merged[key][3] == text
        assert logprob is None or merged[key][1] == pytest.approx(logprob, abs=1e-4)
    assert checks(result) == checks(alone[1])

    before = (run / "gate.json").read_bytes()
    carry_out(plan(loaded, out=run))
    assert loads.since() == 0
    assert (run / "gate.json").read_bytes() == before


@pytest.mark.nightly
def test_other_counts_and_broken_files_leave_nothing_undone(
    folder: Path, alone: tuple[Path, Result], loads: Loads
) -> None:
    """A file that cannot be read is named and only its part is asked again, whatever is cut how."""
    planned = plan(write_study(folder), out=folder / "mixed")
    first = answer(planned, "1/2")
    wholly_known = answer(planned, "1/4")
    broken = answer(planned, "2/2")
    assert loads.since() == 2, "the first quarter is in the first half"
    assert not answers(wholly_known)
    broken.write_bytes(broken.read_bytes()[:5000])

    result = carry_out(planned)
    assert loads.since() == 1
    assert any(broken.name in note for note in result.notes)
    merged = answers(folder / "mixed/answers.db")
    assert merged.keys() == answers(alone[0] / "answers.db").keys()
    assert answers(first).items() <= merged.items()
    assert checks(result) == checks(alone[1])
    took = {(time.arm, time.suite): time.items for time in result.times}
    assert took == {(time.arm, time.suite): time.items for time in alone[1].times}
    assert carry_out(planned).times == result.times


def test_overlapping_shards_must_agree(folder: Path, alone: tuple[Path, Result]) -> None:
    """One arm gave two texts to one request: the file, the arm and the item are named."""
    run = folder / "overlap"
    shutil.copytree(alone[0], run)
    planned = plan(write_study(folder), out=run)
    origin = shard_origin(planned, arm_fingerprints(planned.study, trained(planned)))
    file = ShardFile.opened(run / "answers/shard-1-of-9.db", origin, run / "nothing.db")
    request = planned.loaded[1].requests[0]
    file.put(origin.fingerprints["other"], [(request, Response(text="SELECT 'another'"))])
    stored = answers(run / "answers.db")
    with pytest.raises(ComparisonError, match=r"'other' to sql item .*shard-1-of-9\.db") as refused:
        carry_out(planned)
    assert refused.value.exit_code == 3
    assert answers(run / "answers.db") == stored
    file.path.unlink()
    assert checks(carry_out(planned)) == checks(alone[1])


def test_shards_of_another_study_are_refused(folder: Path, alone: tuple[Path, Result]) -> None:
    """Items that changed since are another comparison; what was answered is kept."""
    run = folder / "foreign"
    file = run / "answers/shard-1-of-2.db"
    planned = plan(write_study(folder), out=run)
    origin = shard_origin(planned, arm_fingerprints(planned.study, trained(planned)))
    ShardFile.opened(file, replace(origin, items={"sql": "0" * 64}), run / "nothing.db")
    with pytest.raises(ComparisonError, match="other items or prompts of suite 'sql'"):
        answer(planned, "1/2")
    with pytest.raises(ComparisonError, match="other items or prompts of suite 'sql'"):
        carry_out(planned)
    assert file.exists()


def test_a_merge_without_a_load_knows_what_loading_has_shown(folder: Path, loads: Loads) -> None:
    """A candidate that is the base itself is refused after the merge, too, unless it is meant.

    What does not fit the context is never answered, and needs no weights to say so.
    """
    lora(content.BUILTIN_MODELS["tiny"], folder / "same", trained=False)
    changes = {
        "name": "unchanged",
        "candidates": [{"name": "same", "adapter": "../same"}],
        "suites": [{"name": "arc_mini", "limit": 4}, {"name": "domain_qa", "data": "rows.jsonl"}],
    }
    loaded, run = write_study(folder / "meant", **changes), folder / "unchanged"
    asked = {"short": "When?", "long": "When? " * 2000}
    rows = [
        {"id": name, "question": text, "answers": ["now"], "document": name, "fact": name}
        for name, text in asked.items()
    ]
    (folder / "meant/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ModelError, match="changes nothing"):
        answer(plan(loaded, out=run), "1/1")
    options = ("--shard", "1/1", "--out", run, "--allow-identical")
    told = harness_here("score", folder / "meant/study.yaml", *options)
    assert told.returncode == 0, told.stderr
    assert "shard 1/1 is answered" in told.stdout
    assert "harness run" in told.stdout
    meant = plan(loaded, out=run, allow_identical=True)
    loads.since()
    with pytest.raises(ModelError, match=r"changes nothing: .*same.*--allow-identical"):
        carry_out(plan(loaded, out=run))
    result = carry_out(meant)
    assert loads.since() == 0
    assert [arm.identical for arm in result.arms] == [False, True]
    assert {score.unscored for score in result.scores if score.suite == "domain_qa"} == {1}


def test_candidates_must_be_trained_before_their_answers_are_shared_out(tmp_path: Path) -> None:
    """Every shard would train otherwise; nothing is written."""
    row = {"prompt": "what?", "completion": "that"}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 8)
    changes = {"candidates": [{"name": "late", "train": "rows.jsonl"}]}
    planned = plan(write_study(tmp_path, **changes), out=tmp_path / "run")
    with pytest.raises(StudyError, match=r"'late' must be trained.*--only late"):
        answer(planned, "1/2")
    assert not (tmp_path / "run").exists()


def test_shards_answer_a_block_each_and_decide_nothing(folder: Path, loads: Loads) -> None:
    """Items used are those of one process, whatever was answered ahead; run twice asks nothing."""
    changes = {
        "name": "early",
        "candidates": [{"name": "worse", "adapter": "../worse"}],
        "suites": [{"name": "arc_mini", "limit": 80, "margin": 0.1}],
    }
    loaded = write_study(folder / "early", **changes)
    expected = carry_out(plan(loaded, out=folder / "early/alone", until_decided=True))
    planned = plan(loaded, out=folder / "early/shared", until_decided=True)
    sizes = schedules(planned)["arc_mini"].sizes
    loads.since()
    files = [answer(planned, text) for text in ("1/3", "3/3", "2/3", "1/3")]
    assert loads.since() == 3
    starts, parts = (0, *sizes), [answers(file) for file in files]
    counts = [2 * 4 * (sizes[n] - starts[n]) for n in (0, 2, 1)]  # arms, choices
    assert [len(part) for part in parts[:3]] == counts
    assert len({key for part in parts for key in part}) == sum(counts)

    result = carry_out(planned)
    assert checks(result) == checks(expected)
    used = [one.decision.used for one in result.comparisons if one.decision]
    assert used == [one.decision.used for one in expected.comparisons if one.decision]
    asked_ahead = [*sizes[:3], used[0]]
    assert len(answers(planned.folder.answers)) == 2 * 4 * max(asked_ahead)
    loads.since()
    after = answer(planned, "1/8")
    assert not answers(after), "nothing is open any more"
    assert loads.since() == 0


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--shard", "0/3"], {}, "K from 1 to N, such as 3/16: found 0/3"),
        (["--shard", "a/b"], {}, "such as 3/16: found 'a/b'"),
        ([], {"RANK": "1"}, "WORLD_SIZE is None; set it, or give --shard K/N"),
        ([], {"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_MIN is None"),
    ],
)
def test_what_is_no_shard_ends_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    environment: dict[str, str],
    said: str,
) -> None:
    """Before the study is even read; nothing is written."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told = harness_here("score", "study.yaml", *options, folder=tmp_path)
    assert told.returncode == 2
    assert said in told.stderr
    assert told.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
