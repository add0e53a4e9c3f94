"""Training inside a run: watched suites, sweeps, preferences, reporters, and what is refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import harness, harness_here

from harness import study
from harness.errors import DataError, HarnessError, InfrastructureError, ModelError, StudyError
from harness.pipeline.answers.score import score
from harness.pipeline.answers.scored_run import read_run
from harness.pipeline.plan import plan
from harness.pipeline.train import train
from harness.pipeline.train import trained as trained_arms
from harness.quickstart.row_sets import training_rows
from harness.records import Arm
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model

STEPS = {"max_steps": 10, "learning_rate": 0.02, "max_length": 192}


def write_study(
    folder: Path, candidate: dict[str, Any], *, rows: list[Any] | None = None, **changes: Any
) -> study.Study:
    """Write and load a study of one candidate on the built-in base."""
    folder.mkdir(parents=True, exist_ok=True)
    given = rows if rows is not None else training_rows("sql_only")[:64]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    plain = {
        "name": "small",
        "base": "builtin:tiny",
        "candidates": [{"name": "mine", "train": "rows.jsonl", "training": STEPS} | candidate],
        "suites": [{"name": name, "limit": 24} for name in ("arc_mini", "domain_qa")],
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain | changes))
    return study.load(path)


def trained(folder: Path, candidate: dict[str, Any], **more: Any) -> Arm:
    """Train the candidate of a study; return its arm."""
    planned = plan(write_study(folder, candidate, **more), out=folder / "run")
    return train(planned)[1]


def test_forgetting_shows_while_it_happens(tmp_path: Path) -> None:
    """A rate that ruins the base shows as a falling score, step by step; the training is as ever.

    The untuned base is step 0; the last look is the score of what is saved.
    """
    ruin = {"training": STEPS | {"learning_rate": 0.3, "warmup_steps": 0, "max_grad_norm": 0.0}}
    arm = trained(tmp_path / "a", ruin | {"eval_suites": {"arc_mini": 24}})
    of_arc = [point for point in arm.watched if point.suite == "arc_mini"]
    assert [point.step for point in of_arc] == list(range(11))
    assert of_arc[0].score > 0.4
    assert of_arc[-1].score < of_arc[0].score - 0.15
    assert len(arm.loss) == 10
    assert all(point.tokens_per_second for point in arm.loss)
    unwatched = trained(tmp_path / "b", ruin)
    assert unwatched.weights_sha256 == arm.weights_sha256
    assert [p.loss for p in unwatched.loss] == [p.loss for p in arm.loss]
    assert unwatched.watched == ()


def test_several_processes_train_a_study_s_candidates(tmp_path: Path) -> None:
    """Each trains what it is told, while another trains something else; a run finds them all."""
    short = {"train": "rows.jsonl", "training": {"max_steps": 2, "max_length": 192}}
    candidates = [
        {"name": "one", **short},
        {"name": "two", **short, "seeds": [0, 1]},
    ]
    loaded = write_study(tmp_path, {}, candidates=candidates)
    run = RunFolder(tmp_path / "run")
    planned = plan(loaded, out=run.path)
    with pytest.raises(StudyError, match=r"no candidate 'tow'.*did you mean 'two'"):
        train(planned, only=["tow"])
    with run.held_for(["two-seed0", "two-seed1"]):
        told = harness_here("train", tmp_path / "study.yaml", "--out", run.path, "--only", "one")
        assert told.returncode == 0, told.stderr
        assert [path.name for path in (run.path / "adapters").iterdir()] == ["one"]
        with pytest.raises(StudyError, match=r"'two-seed0' must be trained .*--only two-seed0"):
            trained_arms(planned)
        for name in ("two", "two-seed1"):
            told = harness_here("train", tmp_path / "study.yaml", "--out", run.path, "--only", name)
            assert told.returncode == 3
            assert "another is at work" in told.stderr
        with pytest.raises(InfrastructureError, match="another is at work"), run.held():
            pass
    arms = train(planned, only=["two"])
    assert [arm.name for arm in arms] == ["base", "two-seed0", "two-seed1"]
    found = trained_arms(planned)
    assert [arm.name for arm in found] == ["base", "one", "two-seed0", "two-seed1"]
    assert found[2:] == arms[1:]
    told = harness_here("train", tmp_path / "study.yaml", "--out", run.path, "--only", "nobody")
    assert told.returncode == 2
    assert told.stderr.endswith("no candidate 'nobody'; known: one, two, two-seed0, two-seed1\n")


@pytest.mark.nightly
def test_the_first_look_is_the_base_as_it_is_scored(tmp_path: Path) -> None:
    """At step 0 the score is the base's own score on the same items."""
    watched = {
        "training": {"max_steps": 2, "learning_rate": 0.02},
        "eval_suites": {"arc_mini": 24, "domain_qa": 24},
    }
    loaded = write_study(tmp_path, watched)
    planned = plan(loaded, out=tmp_path / "run")
    arms = train(planned)
    samples = score(planned, arms)
    for suite in ("arc_mini", "domain_qa"):
        own = [sample.verdict.score or 0.0 for sample in samples["base", suite]]
        (first,) = [p.score for p in arms[1].watched if (p.step, p.suite) == (0, suite)]
        assert first == pytest.approx(sum(own) / len(own), abs=1e-9)


class CountingTokenizer:
    """A real tokenizer that counts how often each text is encoded."""

    def __init__(self, tokenizer: Any, texts: Counter[str]) -> None:
        self._tokenizer, self._texts = tokenizer, texts

    def __call__(self, texts: list[str], **options: Any) -> Any:
        """Encode texts, and count them."""
        self._texts.update(texts)
        return self._tokenizer(texts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the texts of rows that are tokenized from now on."""
    from harness.training.rows import tokenized

    texts: Counter[str] = Counter()
    load = tokenized.load_tokenizer

    def load_counting(*args: Any, **options: Any) -> Any:
        return CountingTokenizer(load(*args, **options), texts)

    monkeypatch.setattr(tokenized, "load_tokenizer", load_counting)
    return texts


def test_a_row_is_tokenized_once_for_its_card_and_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plan and training read each row's tokens once; a finished training reads none."""
    rows = [{"prompt": f"What is {i}?", "completion": f" It is {i}."} for i in range(16)]
    texts = counted(monkeypatch)
    two = [
        {"name": name, "train": "rows.jsonl", "validation": 0.25, "training": {"max_steps": 1}}
        for name in ("one", "two")
    ]
    loaded = write_study(tmp_path, {}, rows=rows, candidates=two)
    arms = train(plan(loaded, out=tmp_path / "run"))
    whole = {text: count for text, count in texts.items() if "It is" in text}
    assert len(whole) == 16
    assert set(whole.values()) == {1}
    texts.clear()
    assert train(plan(loaded, out=tmp_path / "run")) == arms
    assert not texts


def test_a_trial_with_another_loss_mask_has_tokens_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another length needs no tokens again, another mask does: for that trial alone."""
    turns = ["Hi", "Hello.", "Who?", "A model."]
    rows = [
        {
            "messages": [
                {"role": "assistant" if i % 2 else "user", "content": f"{turn} {number}"}
                for i, turn in enumerate(turns)
            ]
        }
        for number in range(16)
    ]
    texts = counted(monkeypatch)
    tried = {"training.assistant_only_loss": [False, True], "training.max_length": [100, 64]}
    sweep = {"validation": 0.25, "sweep": tried, "training": {"max_steps": 1}}
    arm = trained(tmp_path, sweep, rows=rows)
    assert [trial.state for trial in arm.trials] == ["finished"] * 4
    whole = {text: count for text, count in texts.items() if "A model." in text}
    assert len(whole) == 16
    assert set(whole.values()) == {1 + 2}


def test_a_recipe_is_trained_with_each_of_its_seeds(tmp_path: Path) -> None:
    """Each seed is an arm of the recipe, as a study of that seed trains it; none is trained twice.

    What the run's folder keeps of the arms names the recipe.
    """
    recipe = {"seeds": [3, 1], "training": {"max_steps": 2, "learning_rate": 0.02}}
    loaded = write_study(tmp_path, recipe)
    planned = plan(loaded, out=tmp_path / "run")
    assert planned.arms == ("base", "mine-seed3", "mine-seed1")
    arms = train(planned)
    assert [(arm.name, arm.recipe) for arm in arms[1:]] == [
        ("mine-seed3", "mine"),
        ("mine-seed1", "mine"),
    ]
    assert arms[1].weights_sha256 != arms[2].weights_sha256
    weights = tmp_path / "run" / "adapters" / "mine-seed1" / "adapter_model.safetensors"
    written = weights.stat().st_mtime_ns
    assert train(plan(loaded, out=tmp_path / "run")) == arms
    assert weights.stat().st_mtime_ns == written
    alone = write_study(tmp_path / "alone", {"training": recipe["training"]}, seed=1)
    (_, arm) = train(plan(alone, out=tmp_path / "alone" / "run"))
    assert (arm.weights_sha256, arm.recipe) == (arms[2].weights_sha256, "")
    score(planned, arms)
    assert tuple(read_run(planned.folder).arms) == tuple(arms)


def test_preferences_are_learnt_in_a_run(tmp_path: Path) -> None:
    """Rows with chosen and rejected answers go through a whole training by DPO."""
    rows = [{"question": f"what is {i}?", "chosen": "it is", "rejected": "no"} for i in range(16)]
    arm = trained(tmp_path, {"objective": "dpo"}, rows=rows)
    assert arm.loss[-1].loss < 0.69


@pytest.mark.nightly
def test_curves_go_to_reporters_on_this_machine(tmp_path: Path) -> None:
    """TensorBoard's files and Trackio's database are in the run's folder, with suites' scores."""
    pytest.importorskip("tensorboard", reason="needs pip install tensorboard")
    pytest.importorskip("trackio", reason="needs pip install trackio")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    report = {"training": STEPS | {"report_to": ["tensorboard", "trackio"]}}
    write_study(tmp_path, report | {"eval_suites": {"arc_mini": 8}})
    done = harness("train", "study.yaml", "--out", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    logs = tmp_path / "run" / "adapters" / "_logs"
    (folder,) = logs.glob("tensorboard/mine-*")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"train/loss", "train/suite/arc_mini"} <= set(events.Tags()["scalars"])
    assert list(logs.glob("trackio/*.db"))
    log = json.loads((tmp_path / "run" / "adapters" / "mine" / "training_log.json").read_text())
    assert "report_to" not in log["training"]


def test_a_sweep_s_winner_is_judged_by_items_that_did_not_choose_it(tmp_path: Path) -> None:
    """A held-out row that is an item of a suite is refused, unless such items leave the verdict."""
    rows = training_rows("sql_only")[:40]
    sweep = {"validation": 0.5, "sweep": {"training.learning_rate": [0.001, 0.02]}}
    planned = plan(write_study(tmp_path / "a", sweep, rows=rows), out=tmp_path / "run")
    items = [item for loaded in planned.loaded for item in loaded.items]
    asked = [{"question": item.doc["question"], "answer": item.target} for item in items[:20]]
    with pytest.raises(DataError, match=r"judged by items that did not choose its winner: \d+ of"):
        plan(write_study(tmp_path / "b", sweep, rows=asked), out=tmp_path / "run")
    excluding = {"rows": asked, "data": {"overlap": "exclude"}}
    plan(write_study(tmp_path / "c", sweep, **excluding), out=tmp_path / "run")


BAD: dict[str, tuple[dict[str, Any], type[HarnessError], str]] = {
    "a suite that is not scored": (
        {"eval_suites": {"arc_min": 5}},
        StudyError,
        "'arc_min' is none; did you mean 'arc_mini'?",
    ),
    "no items": (
        {"eval_suites": {"domain_qa": 0}},
        StudyError,
        "domain_qa needs at least one item",
    ),
    "an unknown reporter": (
        {"training": {"report_to": "tensorbord"}},
        StudyError,
        "unknown 'report_to' 'tensorbord'; did you mean 'tensorboard'?",
    ),
    "a target module that the base lacks": (
        {"settings": {"target_modules": ["q_poj"]}},
        ModelError,
        "the base has no module 'q_poj' (settings: target_modules); did you mean 'q_proj'?",
    ),
    "pairs without their objective": (
        {"objective": "kto"},
        DataError,
        "objective 'kto' learns from preference pairs",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_before_training(tmp_path: Path, name: str) -> None:
    """One sentence, and nothing is written."""
    candidate, kind, message = BAD[name]
    with pytest.raises(kind) as caught:
        plan(write_study(tmp_path, candidate), out=tmp_path / "run")
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_an_adapter_of_another_base_is_told_before_training(tmp_path: Path) -> None:
    """A candidate that cannot be scored is told before another one is trained."""
    from support.tiny_models import llama, lora

    other = lora(llama(tmp_path / "other"), tmp_path / "theirs")
    theirs = {"name": "theirs", "adapter": str(other)}
    mine = {"name": "mine", "train": "rows.jsonl", "training": STEPS}
    loaded = write_study(tmp_path, {}, candidates=[mine, theirs])
    with pytest.raises(ModelError, match="an adapter must be made for this base"):
        plan(loaded, out=tmp_path / "run")


def test_quantization_that_cannot_run_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QLoRA without bitsandbytes names it, and what to take instead."""
    from harness.models import hardware

    monkeypatch.setattr(hardware, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match="need bitsandbytes, which does not run here"):
        plan(write_study(tmp_path, {"method": "qlora"}), out=tmp_path / "run")


def test_a_base_without_a_padding_token_trains(tmp_path: Path) -> None:
    """Its end-of-text token pads; without one there is a sentence before training."""
    from support.tiny_models import llama

    base = llama(tmp_path / "base")
    config = json.loads((base / "tokenizer_config.json").read_text())
    rows = [{"prompt": f"w{i} w{i + 1}", "completion": "w9"} for i in range(3, 19)]
    for missing in ("pad_token", "eos_token"):
        del config[missing]
        (base / "tokenizer_config.json").write_text(json.dumps(config))
        study_of = {"base": str(base), "suites": [{"name": "arc_mini", "limit": 4}]}
        mine = {"training": {"max_steps": 1}}
        loaded = write_study(tmp_path, mine, rows=rows, **study_of)
        if missing == "pad_token":
            assert train(plan(loaded, out=tmp_path / "run"))[1].loss
        else:
            with pytest.raises(ModelError, match="end-of-text token"):
                plan(loaded, out=tmp_path / "other")


def test_a_reporter_that_is_not_installed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to install."""
    from harness.training.trl import reporters

    monkeypatch.setattr(reporters, "find_spec", lambda _: None)
    report = {"training": {"report_to": "wandb"}}
    with pytest.raises(StudyError, match="needs its package: pip install wandb"):
        plan(write_study(tmp_path, report), out=tmp_path / "run")
