"""A run's scores are of the models and samples that lie there, or the run says so."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import harness_here
from support.tiny_models import lora

from harness import content, study
from harness.engine import arm_fingerprints, open_engine
from harness.engine.reply import prompt_of
from harness.errors import ComparisonError
from harness.pipeline.answers.engine_when_asked import check_unchanged
from harness.pipeline.answers.scored_run import read_run
from harness.pipeline.conclude import reopen
from harness.pipeline.exported.export import export
from harness.pipeline.finished.baseline import compare_with_baseline, save_baseline
from harness.pipeline.finished.chat import open_chat
from harness.pipeline.plan import plan
from harness.pipeline.run import run_study
from harness.pipeline.train import train
from harness.quickstart.row_sets import training_rows
from harness.records import Arm, Result
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model

SUITES = [{"name": "arc_mini", "limit": 6}, {"name": "domain_qa", "limit": 6}]
TRAINING = {"max_steps": 3, "per_device_train_batch_size": 4, "max_length": 192}


def write(folder: Path, **changes: Any) -> study.Study:
    """Write a study of a base in a folder of its own, one adapter and one training; read it."""
    candidates = [
        {"name": "given", "adapter": "given"},
        {"name": "made", "train": "rows.jsonl", "settings": {"r": 4}, "training": TRAINING},
    ]
    plain = {
        "name": "same",
        "base": "./base",
        "candidates": candidates,
        "suites": SUITES,
        "review": {"items_per_suite": 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(plain | changes))
    return study.load(folder / "study.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a study, its base, an adapter, and its run."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(content.BUILTIN_MODELS["tiny"], folder / "base")
    lora(folder / "base", folder / "given")
    rows = training_rows("sql_only")[:8]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_study(write(folder), out=folder / "run")
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may change; its lock names what lies in the copy."""
    folder = Path(shutil.copytree(finished, tmp_path / "copied"))
    lock = folder / "run" / "study.lock.json"
    lock.write_text(lock.read_text().replace(str(finished), str(folder)))
    return folder


def lock_of(folder: Path) -> dict[str, Any]:
    """Return what a run's lock says."""
    return dict(json.loads((folder / "run" / "study.lock.json").read_text()))


def run(folder: Path, **changes: Any) -> Result:
    """Run the study again, with changes, in the same run folder."""
    return run_study(write(folder, **changes), out=folder / "run")


def test_an_unchanged_run_is_read_as_it_was_written(copied: Path) -> None:
    """Gate and report say what the run said, without a note, wherever the folder lies now."""
    before = (copied / "run" / "gate.json").read_bytes()
    assert harness_here("report", str(copied / "run")).returncode == 0
    assert (copied / "run" / "gate.json").read_bytes() == before
    assert not [note for note in read_run(RunFolder(copied / "run")).notes if "checked" in note]
    (copied / "run" / "hashes.json").write_text("[no cache]")
    reopen(RunFolder(copied / "run"))


def other_weights(folder: Path) -> None:
    """Put an adapter of other numbers where the given one lies."""
    shutil.rmtree(folder / "given")
    lora(folder / "base", folder / "given", seed=9)


def other_scale(folder: Path) -> None:
    """Leave the adapter's weights, and let them count for less."""
    config = folder / "given" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_alpha": 1}))


def other_base(folder: Path) -> None:
    """Change one number of the base's configuration."""
    config = folder / "base" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"rms_norm_eps": 0.1}))


def trained_anew(folder: Path) -> None:
    """Train a candidate with another learning rate, and score nothing."""
    candidate = {
        "name": "made",
        "train": "rows.jsonl",
        "settings": {"r": 4},
        "training": TRAINING | {"learning_rate": 0.01},
    }
    train(plan(write(folder, candidates=[candidate]), out=folder / "run"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (other_weights, "'given'"),
        (other_scale, "'given'"),
        (other_base, "'base'"),
        (trained_anew, "'made'"),
    ],
)
def test_scores_of_other_models_are_refused(
    copied: Path, tmp_path: Path, change: Callable[[Path], None], named: str
) -> None:
    """Whoever reads a run whose model is another by now gets one sentence and exit code 3."""
    change(copied)
    folder = RunFolder(copied / "run")
    match = rf"{named} had [0-9a-f]{{8}} and .* has [0-9a-f]{{8}} now; run the study again"
    for use in (
        lambda: reopen(folder),
        lambda: export(folder, "given", tmp_path / "out"),
        lambda: open_chat(folder),
        lambda: save_baseline(folder, tmp_path / "baseline", arm="given"),
    ):
        with pytest.raises(ComparisonError, match=match) as caught:
            use()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert harness_here("gate", str(copied / "run")).returncode == 3


def test_what_a_backend_reads_here_is_compared_too(copied: Path) -> None:
    """An adapter behind lm-eval's hf model is told by its content, at the run and at the gate."""
    arguments = {"pretrained": str(copied / "base"), "peft": str(copied / "given")}
    there = {"backend": "hf", "model_args": arguments | {"dtype": "float32", "device": "cpu"}}
    changes: dict[str, Any] = {"candidates": [{"name": "there", **there}], "suites": SUITES[:1]}
    run(copied, **changes)
    reopen(RunFolder(copied / "run"))
    declared = lock_of(copied)["fingerprints"]["there"]
    other_weights(copied)
    with pytest.raises(ComparisonError, match=r"'there' had .* now; run the study again"):
        reopen(RunFolder(copied / "run"))
    run(copied, **changes)
    assert lock_of(copied)["fingerprints"]["there"] != declared
    shutil.rmtree(copied / "given")
    _, result = reopen(RunFolder(copied / "run"))
    assert any("not at hand, not checked: the weights of there" in note for note in result.notes)


def test_models_that_are_gone_are_named_and_the_verdict_stands(copied: Path) -> None:
    """Scores can be read where the weights are not; the result says what was not checked."""
    before = json.loads((copied / "run" / "gate.json").read_text())
    shutil.rmtree(copied / "base")
    shutil.rmtree(copied / "given")
    _, result = reopen(RunFolder(copied / "run"))
    (note,) = (note for note in result.notes if "checked" in note)
    assert "not at hand, not checked: the weights of base, given" in note
    assert result.exit_code == before["exit_code"]


def test_a_candidate_that_is_an_adapter_now_is_what_is_exported(
    copied: Path, tmp_path: Path
) -> None:
    """What was trained here under the same name before is not."""
    run(copied, candidates=[{"name": "made", "adapter": "given"}])
    export(RunFolder(copied / "run"), "made", tmp_path / "out")
    file = "adapter_model.safetensors"
    assert (tmp_path / "out" / file).read_bytes() == (copied / "given" / file).read_bytes()


def test_scores_of_a_run_that_ended_early_are_not_shown_under_the_new_model(copied: Path) -> None:
    """After the lock names other weights, the old samples are refused until the run is done."""
    old = lock_of(copied)
    other_weights(copied)
    run(copied)
    new = lock_of(copied)
    assert new["fingerprints"]["given"] != old["fingerprints"]["given"]
    assert new["fingerprints"]["base"] == old["fingerprints"]["base"]
    killed = new | {"scored": old["scored"]}
    (copied / "run" / "study.lock.json").write_text(json.dumps(killed))
    done = harness_here("report", str(copied / "run"))
    assert done.returncode == 3
    assert "run the study again" in done.stderr
    run(copied)
    reopen(RunFolder(copied / "run"))


def test_samples_are_as_the_run_wrote_them(copied: Path) -> None:
    """A score that was changed by hand is refused."""
    path = copied / "run" / "samples" / "given" / "samples_arc_mini.jsonl"
    text = path.read_text()
    first, *others = text.splitlines(keepends=True)
    row = json.loads(first)
    path.write_text(json.dumps(row | {"score": 1 - row["score"]}) + "\n" + "".join(others))
    with pytest.raises(ComparisonError, match="samples must be as the run wrote them"):
        reopen(RunFolder(copied / "run"))
    path.write_text(text)
    reopen(RunFolder(copied / "run"))


def test_a_model_stays_the_same_while_it_answers(copied: Path) -> None:
    """What was declared is what was loaded, also where a folder changes in between."""
    planned = write(copied)
    arms = [Arm(name="base"), Arm(name="given", path=str(copied / "given"))]
    declared = arm_fingerprints(planned, arms)
    engine = open_engine(planned.base, planned.model_path)
    engine.attach("given", copied / "given")
    check_unchanged(declared, engine)
    other_weights(copied)
    changed = open_engine(planned.base, planned.model_path)
    changed.attach("given", copied / "given")
    with pytest.raises(ComparisonError, match=r"'given' was [0-9a-f]{8} when .* now; run the"):
        check_unchanged(declared, changed)


def test_what_was_tried_before_in_a_folder_is_told(copied: Path) -> None:
    """Another seed, share of unscored items, suite, candidate or release: each is a note."""
    other_weights(copied)
    lock = lock_of(copied)
    lock["versions"]["python"] = "3.1"
    (copied / "run" / "study.lock.json").write_text(json.dumps(lock))
    changed = run(
        copied,
        base={"model": "./base", "quantization": "none"},
        candidates=[{"name": "given", "adapter": "given"}],
        suites=SUITES[:1],
        seed=7,
        gate={"max_unscored": 0.5},
    )
    told = "\n".join(changed.notes)
    for sentence in (
        "suite 'domain_qa' was declared in this folder before and is left out now",
        "candidate 'made' was declared in this folder before and is left out now",
        "'given' had other weights or arguments in this folder before (",
        "seed was 0 in this folder before and is 7 now",
        "max_unscored was 0.05 in this folder before and is 0.5 now",
        "python was 3.1 in this folder before and is 3.",
    ):
        assert sentence in told
    _, again = reopen(RunFolder(copied / "run"))
    assert again.notes == changed.notes
    for name in ("gate.json", "report.md", "report.html"):
        assert "is left out now" in (copied / "run" / name).read_text(), name


@pytest.mark.parametrize("dtype", ["bfloat16", "bfloat16_verified"])
def test_a_run_is_scored_in_one_precision(copied: Path, dtype: str) -> None:
    """A folder that was begun in another one, say on a GPU, is refused whole, with exit code 3."""
    lock = lock_of(copied)
    assert lock["study_file"]["base"]["dtype"] == "float32"
    lock["study_file"]["base"]["dtype"] = dtype
    (copied / "run" / "study.lock.json").write_text(json.dumps(lock))
    before = {path: path.read_bytes() for path in (copied / "run").rglob("*") if path.is_file()}
    write(copied, base={"model": "./base", "device": "cpu"})
    for verb in ("plan", "run"):
        done = harness_here(verb, copied / "study.yaml", "--out", copied / "run")
        told = " ".join(done.stderr.split())
        assert done.returncode == 3, told
        assert f"was begun in {dtype} and would now be scored in float32 (dtype auto)" in told
        assert f"set 'dtype: {dtype}' under 'base', go on where" in told
    write(copied, base={"model": "./base", "dtype": dtype, "device": "cpu"})
    if dtype == "bfloat16":
        planned = plan(study.load(copied / "study.yaml"), out=copied / "run")
        assert planned.study.base.dtype == dtype
    after = {path: path.read_bytes() for path in (copied / "run").rglob("*") if path.is_file()}
    assert after == before


def test_an_endpoint_has_no_precision(copied: Path) -> None:
    """Earlier versions kept float32 for it, which is read as nothing."""
    lock = lock_of(copied)
    lock["study_file"]["base"] |= {"backend": "local-completions", "dtype": "float32"}
    path = copied / "run" / "study.lock.json"
    path.write_text(json.dumps(lock))
    known = RunFolder(copied / "run").read_lock()
    assert known is not None
    assert known.dtype is None
    assert "dtype" not in known.study_file["base"]


@pytest.fixture(scope="module")
def dated(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a base whose template writes the date, and its run of another day."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("dated") / "d"))
    shutil.rmtree(folder / "run")
    for where in ("base", "given"):
        template = folder / where / "chat_template.jinja"
        own = (content.BUILTIN_MODELS["tiny"] / "chat_template.jinja").read_text()
        template.write_text("{{ strftime_now('%d %b %Y') }}" + own)
    tokenizer = ("tokenizer.json", "tokenizer_config.json")
    for name in tokenizer:
        shutil.copy(folder / "base" / name, folder / "given" / name)
    run(folder, base={"model": "./base", "date": "2020-02-29"})
    save_baseline(RunFolder(folder / "run"), folder / "baseline.jsonl", arm="given")
    return folder


def test_a_date_in_a_template_is_fixed_when_a_run_is_begun(dated: Path) -> None:
    """The next day the same study asks nothing anew, in training, suites and chat."""
    assert lock_of(dated)["date"] == "2020-02-29"
    before = (dated / "run" / "gate.json").read_bytes()
    weights = dated / "run" / "adapters" / "made" / "adapter_model.safetensors"
    trained = weights.stat().st_mtime_ns
    with sqlite3.connect(dated / "run" / "answers.db") as database:
        count = "SELECT count(*) FROM answers"
        asked = database.execute(count).fetchone()
        run(dated)
        assert database.execute(count).fetchone() == asked
    assert weights.stat().st_mtime_ns == trained
    assert "strftime_now" in (weights.parent / "chat_template.jinja").read_text()
    assert (dated / "run" / "gate.json").read_bytes() == before
    for row in read_run(RunFolder(dated / "run")).samples["given", "domain_qa"]:
        assert row.item.prompt.startswith("29 Feb 2020")
    talk = open_chat(RunFolder(dated / "run"))
    turns = [{"role": "user", "content": "Hello"}]
    assert prompt_of(talk.engine.tokenizer, turns).startswith("29 Feb 2020")


def test_a_run_without_a_date_is_of_today(dated: Path, tmp_path: Path) -> None:
    """Nothing is written where no template asks; where one does, today's date is recorded."""
    planned = plan(write(dated), out=tmp_path / "new")
    today = planned.study.base.date
    assert today is not None
    assert f"{today:%d %b %Y}" in planned.loaded[0].items[0].prompt
    planned.folder.claim(planned.study)
    assert RunFolder(tmp_path / "new").day() == today


def test_a_baseline_of_another_day_says_how_to_use_it(dated: Path, tmp_path: Path) -> None:
    """Its file has the date; a run with it compares, one of today is told what to set."""
    baseline = dated / "baseline.jsonl"
    assert json.loads(baseline.read_text().splitlines()[0])["date"] == "2020-02-29"
    given = [{"name": "given", "adapter": "given"}]
    for day, valid in ((None, False), ("2020-02-29", True)):
        out = tmp_path / str(day)
        run_study(write(dated, base={"model": "./base", "date": day}, candidates=given), out=out)
        result = compare_with_baseline(RunFolder(out), baseline)
        assert all((c.decision is not None) is valid for c in result.comparisons)
        if not valid:
            assert "set 'date: 2020-02-29' under 'base'" in result.comparisons[0].reason


def test_where_no_template_writes_a_date_none_is_kept(finished: Path) -> None:
    """The lock of such a run has no date, so the same study gives the same files on any day."""
    assert lock_of(finished)["date"] is None
