"""The main job end to end, on the built-in base: what a run leaves, resumes and refuses."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import harness, harness_here, python
from support.killing import harness_killed
from support.tiny_models import llama, lora

from harness import content, study
from harness.errors import ComparisonError, HarnessError, ModelError, StudyError
from harness.files import alone
from harness.pipeline.conclude import reopen
from harness.pipeline.run import run_study
from harness.quickstart.row_sets import training_rows
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model

TRAINED = {
    "name": "first",
    "train": "rows.jsonl",
    "settings": {"r": 4},
    "training": {"max_steps": 3, "per_device_train_batch_size": 8, "max_length": 192},
}
SUITES = [{"name": name, "limit": 12} for name in ("arc_mini", "domain_qa", "coherence", "sql")]


def write_study(folder: Path, **changes: Any) -> Path:
    """Write a small study with its training rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = training_rows("sql_only")[:32]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plain = {
        "name": "small",
        "base": "builtin:tiny",
        "candidates": [TRAINED],
        "suites": SUITES,
        "review": {"items_per_suite": 4},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain | changes))
    return path


def answers(run: Path) -> list[tuple[Any, ...]]:
    """Return every stored answer."""
    with sqlite3.connect(run / "answers.db") as database:
        table = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchone()
        return sorted(database.execute(f"SELECT * FROM {table[0]}"), key=repr)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study that has run."""
    folder = tmp_path_factory.mktemp("finished")
    run_study(study.load(write_study(folder)), out=folder / "run")
    return folder


def test_a_run_leaves_what_the_contract_names(finished: Path) -> None:
    """Everything that other programs rely on is there, with its fields."""
    run = finished / "run"
    for name in ("study.lock.json", "answers.db", "report.md", "report.html", "junit.xml"):
        assert (run / name).stat().st_size > 0, name
    assert (run / "adapters/first/adapter_model.safetensors").exists()
    assert list(run.glob("review/*/key.json"))
    gate = json.loads((run / "gate.json").read_text())
    assert {"verdict", "exit_code", "checks", "versions"} <= gate.keys()
    fields = "candidate suite metric n used base tuned delta ci_low ci_high margin label verdict"
    for check in gate["checks"]:
        assert set(fields.split()) <= check.keys()
    assert [check["suite"] for check in gate["checks"]] == [suite["name"] for suite in SUITES]


def test_a_run_keeps_what_it_took_and_how_to_run_it_again(finished: Path) -> None:
    """The lock has seconds for every answer, and the report the command and the study's hash."""
    _, result = reopen(RunFolder(finished / "run"))
    asked = {(score.arm, score.suite): score.n + score.unscored for score in result.scores}
    assert {(time.arm, time.suite): time.items for time in result.times} == asked
    assert all(time.seconds > 0 and "CPU" in time.machine for time in result.times)
    assert result.origin.command == "harness run study.yaml"
    assert set(result.origin.items) == {suite["name"] for suite in SUITES}
    assert result.origin.rows["first"]
    lengths = {(score.arm, score.suite): score.length for score in result.scores}
    assert lengths["first", "arc_mini"] is None
    assert lengths["first", "sql"].answers == 12
    assert lengths["first", "sql"].tokens > 12


def test_samples_are_in_lm_eval_s_format(finished: Path) -> None:
    """A line of our samples has lm-eval's keys, one line an item."""
    rows = (finished / "run/samples/first/samples_sql.jsonl").read_text().splitlines()
    keys = "doc_id doc target arguments resps filtered_resps filter metrics doc_hash prompt_hash"
    assert len(rows) == 12
    assert set(keys.split()) <= json.loads(rows[0]).keys()


def test_samples_compare_to_the_run_s_own_verdict(finished: Path) -> None:
    """Comparing the two samples folders says what the run's gate says."""
    import harness as package

    samples = finished / "run" / "samples"
    compared = package.compare(samples / "base", samples / "first")
    gate = json.loads((finished / "run/gate.json").read_text())
    expected = {c["suite"]: (c["n"], c["delta"], c["label"]) for c in gate["checks"]}
    for comparison in compared.comparisons:
        decision = comparison.decision
        assert decision is not None
        assert (decision.n, decision.delta, decision.label) == expected[comparison.suite.name]


def test_a_second_run_does_nothing_new(finished: Path) -> None:
    """The adapter is not trained again, no answer is asked again, and the files are the same."""
    run = finished / "run"
    watched = ["gate.json", "report.md", "report.html", "junit.xml"]
    before = {name: (run / name).read_bytes() for name in watched}
    adapter = (run / "adapters/first/adapter_model.safetensors").stat().st_mtime_ns
    stored = answers(run)
    run_study(study.load(finished / "study.yaml"), out=run)
    assert (run / "adapters/first/adapter_model.safetensors").stat().st_mtime_ns == adapter
    assert answers(run) == stored
    assert {name: (run / name).read_bytes() for name in watched} == before


def test_a_report_is_written_again_without_a_model(finished: Path, tmp_path: Path) -> None:
    """``harness report`` and ``harness gate`` need the run folder alone."""
    run = shutil.copytree(finished / "run", tmp_path / "run")
    expected = (run / "gate.json").read_text()
    for name in ("gate.json", "report.html"):
        (run / name).unlink()
    (run / "answers.db").unlink()
    assert harness("report", str(run), folder=tmp_path).returncode == 0
    assert (run / "gate.json").read_text() == expected
    assert (run / "report.html").exists()
    code = json.loads(expected)["exit_code"]
    assert harness("gate", str(run), folder=tmp_path).returncode == code


LIMITED = """
import json, resource, signal, sys
from harness.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for size, *arguments in json.loads(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    sys.argv = ["harness", *arguments]
    try:
        main()
    except SystemExit as stop:
        print("exit", stop.code, file=sys.stderr)
"""


def test_a_full_disk_loses_no_report_key_or_baseline(finished: Path, tmp_path: Path) -> None:
    """A limit on files stands in for it: one sentence each, what was there is there, key and all.

    More sizes, on disks that are really full, are in tests/bench/full_disk.py.
    """
    run = Path(shutil.copytree(finished / "run", tmp_path / "run"))
    baseline = tmp_path / "baseline.jsonl"
    assert harness_here("gate", run, "--write-baseline", baseline).returncode == 0
    before = {path: path.read_bytes() for path in written(run)}
    before[baseline] = baseline.read_bytes()
    commands = (
        ["report", str(run)],
        ["review", "draw", str(run), "--raters", "3"],
        ["gate", str(run), "--write-baseline", str(baseline)],
        ["export", str(run), "first", "--out", str(tmp_path / "exported")],
    )
    jobs = [[size, *command] for size in (0, 500, 1000) for command in commands]
    done = python("-c", LIMITED, json.dumps(jobs), folder=tmp_path)
    codes = [line for line in done.stderr.splitlines() if line.startswith("exit")]
    said = [line for line in done.stderr.splitlines() if line.startswith("harness: ")]
    assert codes == ["exit 3"] * len(jobs), done.stderr
    assert len(said) == len(jobs), done.stderr
    assert all("cannot write" in line and "File too large" in line for line in said), said
    assert {path: path.read_bytes() for path in before} == before
    known = {*before, run / ".in_use", run / "hashes.json"}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} <= known
    assert harness_here("review", "draw", run, "--raters", "3").returncode == 0
    for key in run.glob("review/*/key.json"):
        names = json.loads(key.read_text())["files"]
        assert all((key.parent / "for_raters" / name).exists() for name in names)


def written(run: Path) -> dict[Path, int]:
    """Return when each file of a run was written, but what only remembers hashes."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name != "hashes.json"]
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize("command", ["run", "train", "score", "report", "review draw"])
def test_a_second_command_in_a_folder_says_so(finished: Path, command: str) -> None:
    """While one works in a run folder another one is told, and writes nothing; both end well."""
    run = finished / "run"
    is_study = command in {"run", "train", "score"}
    where = (finished / "study.yaml", "--out", run) if is_study else (run,)
    before = written(run)
    with alone(run):
        done = harness_here(*command.split(), *where)
        assert (done.returncode, "another is at work in" in done.stderr) == (3, True), done.stderr
        assert written(run) == before
        if command == "train":  # the other ranks of the training that holds the folder
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("RANK", "1")
                assert harness_here(*command.split(), *where).returncode == 0


def test_a_changed_margin_is_another_comparison(finished: Path, tmp_path: Path) -> None:
    """What was declared before the first tuned answer may not change in the same folder."""
    run = shutil.copytree(finished / "run", tmp_path / "run")
    changed = write_study(tmp_path, gate={"margin": 0.2})
    done = harness_here("run", str(changed), "--out", str(run), folder=tmp_path)
    assert done.returncode == 3
    assert "may not change" in done.stderr


def test_an_added_candidate_is_all_that_runs(finished: Path, tmp_path: Path) -> None:
    """A study that grows keeps what it has; an adapter from elsewhere is a candidate by path."""
    run = shutil.copytree(finished / "run", tmp_path / "run")
    elsewhere = {"name": "elsewhere", "adapter": str(run / "adapters" / "first")}
    before = len(answers(run))
    grown = write_study(tmp_path, candidates=[TRAINED, elsewhere])
    result = run_study(study.load(grown), out=run)
    assert [arm.name for arm in result.arms] == ["base", "first", "elsewhere"]
    assert len(answers(run)) == before, "the same weights have answered already"
    first, second = (
        [c.decision for c in result.comparisons if c.candidate == name]
        for name in ("first", "elsewhere")
    )
    assert first == second


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("unknown suite", {"suites": ["domain-qa"]}, "did you mean 'domain_qa'?"),
    ("unknown method", {"candidates": [{**TRAINED, "method": "lorra"}]}, "'lora'"),
    ("unknown setting", {"candidates": [{**TRAINED, "settings": {"rr": 4}}]}, "'r'"),
    ("no such rows", {"candidates": [{**TRAINED, "train": "none.jsonl"}]}, "none.jsonl"),
    ("malformed rows", {"candidates": [{**TRAINED, "train": "cut.jsonl"}]}, "cut.jsonl:2"),
    ("empty rows", {"candidates": [{**TRAINED, "train": "empty.jsonl"}]}, "empty.jsonl"),
    ("empty suite", {"suites": [{"name": "domain_qa", "data": "empty.jsonl"}]}, "empty.jsonl"),
    ("malformed suite", {"suites": [{"name": "domain_qa", "data": "bad.jsonl"}]}, "bad.jsonl"),
    ("no adapter", {"candidates": [{"name": "x", "adapter": "rows.jsonl"}]}, "adapter_config"),
    ("too long", {"suites": [{"name": "domain_qa", "data": "long.jsonl"}]}, "does not fit"),
]


@pytest.mark.parametrize(
    ("changes", "expected"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    """One sentence that names the culprit, exit code 2, and no run folder."""
    (tmp_path / "bad.jsonl").write_text('{"question": "a", "answers": ["b"]}\n{"question": \n')
    (tmp_path / "cut.jsonl").write_text('{"prompt": "a", "completion": "b"}\n{"prompt": \n')
    (tmp_path / "empty.jsonl").write_text("")
    endless = {"id": "1", "question": "why " * 3000, "answers": ["b"], "fact": "f"}
    (tmp_path / "long.jsonl").write_text(json.dumps(endless) + "\n")
    loaded = study.load(write_study(tmp_path, **changes))
    with pytest.raises(HarnessError) as caught:
        run_study(loaded, out=tmp_path / "run")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_study_is_left_alone(finished: Path, tmp_path: Path) -> None:
    """Neither another study's run nor foreign files are written over."""
    other = study.load(write_study(tmp_path, name="other"))
    with pytest.raises(StudyError, match="belongs to study 'small'"):
        run_study(other, out=finished / "run")
    with pytest.raises(StudyError, match="other files"):
        run_study(other, out=tmp_path)


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    """An adapter whose shapes do not fit is named before anything is scored."""
    adapter = lora(llama(tmp_path / "llama"), tmp_path / "adapter")
    for file in adapter.glob("tokenizer*"):
        file.unlink()
    changed = write_study(tmp_path, candidates=[{"name": "x", "adapter": str(adapter)}])
    done = harness_here("run", str(changed), "--out", "run", folder=tmp_path)
    assert done.returncode == 2
    assert "adapter" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "answers.db").exists() or not answers(tmp_path / "run")


def test_a_candidate_that_changes_nothing_is_an_error(tmp_path: Path) -> None:
    """An untrained LoRA is refused unless the study's user says that it may be."""
    base = content.BUILTIN_MODELS["tiny"]
    adapter = lora(base, tmp_path / "adapter", trained=False)
    changed = study.load(
        write_study(
            tmp_path, candidates=[{"name": "x", "adapter": str(adapter)}], suites=SUITES[:1]
        )
    )
    with pytest.raises(ModelError, match="changes nothing"):
        run_study(changed, out=tmp_path / "run")
    result = run_study(changed, out=tmp_path / "run", allow_identical=True)
    decision = result.comparisons[0].decision
    assert decision is not None
    assert (decision.delta, decision.discordant) == (0, 0)


def test_arms_that_would_see_other_ids_are_never_compared(finished: Path, tmp_path: Path) -> None:
    """An adapter that brings another chat template stops the run before an answer is asked."""
    adapter = shutil.copytree(finished / "run/adapters/first", tmp_path / "adapter")
    template = content.BUILTIN_MODELS["tiny"] / "chat_template.jinja"
    text = template.read_text().replace("<|assistant|>", "<|system|>")
    (adapter / "chat_template.jinja").write_text(text)
    changed = study.load(write_study(tmp_path, candidates=[{"name": "x", "adapter": str(adapter)}]))
    with pytest.raises(ComparisonError) as caught:
        run_study(changed, out=tmp_path / "run")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "run" / "answers.db").exists() or not answers(tmp_path / "run")


def test_a_killed_run_loses_no_finished_batch(finished: Path, tmp_path: Path) -> None:
    """``kill -9`` while answering: the same command finishes with an undisturbed run's verdicts."""
    shutil.copy(finished / "rows.jsonl", tmp_path)
    path = shutil.copy(finished / "study.yaml", tmp_path)
    harness_killed("run", path, "--out", "run", batches=1, folder=tmp_path)
    kept = answers(tmp_path / "run")
    assert kept, "a finished batch is on disk"
    done = harness_here("run", str(path), "--out", "run", folder=tmp_path)
    assert "Traceback" not in done.stderr
    assert set(kept) <= set(answers(tmp_path / "run"))
    gates = [json.loads((f / "run/gate.json").read_text()) for f in (finished, tmp_path)]
    assert gates[0]["checks"] == gates[1]["checks"]
