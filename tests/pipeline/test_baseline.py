"""Runs held against a committed baseline, the noise floor, and what a plan promises."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import harness, harness_here
from support.tiny_models import lora

from harness import content, report, study
from harness.errors import DataError, StudyError
from harness.files import sha256_of
from harness.pipeline.finished.baseline import compare_with_baseline, save_baseline
from harness.pipeline.finished.noise_floor import noise_floor
from harness.pipeline.plan import plan
from harness.pipeline.run import run_study
from harness.store.baseline_file import read_baseline
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model

SUITES = [
    {"name": "arc_mini", "limit": 150, "margin": 0.1},
    {"name": "domain_qa", "limit": 60, "margin": 0.1},
]


def write_study(folder: Path, **changes: Any) -> study.Study:
    """Write a study of one adapter made elsewhere, which changes nothing."""
    plain = {
        "name": "release",
        "base": "builtin:tiny",
        "candidates": [{"name": "same", "adapter": "same"}],
        "suites": SUITES,
        "review": {"items_per_suite": 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(plain | changes))
    return study.load(folder / "study.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished run and the baseline made from it."""
    folder = tmp_path_factory.mktemp("baseline")
    lora(content.BUILTIN_MODELS["tiny"], folder / "same", trained=False)
    run_study(write_study(folder), out=folder / "run", allow_identical=True)
    save_baseline(RunFolder(folder / "run"), folder / "baseline.jsonl")
    return folder


def copy(finished: Path, tmp_path: Path) -> Path:
    """Copy the finished run, so that a test may change it."""
    return shutil.copytree(finished, tmp_path / "copy") / "run"


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Change the rows of a samples file, as if the run had written them so."""
    rows = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lock = path.parents[2] / "study.lock.json"
    said = json.loads(lock.read_text())
    of_arm = said["scored"][path.parent.name]
    of_arm[path.stem.removeprefix("samples_")]["sha256"] = sha256_of(path)
    lock.write_text(json.dumps(said))


def samples(run: Path, arm: str = "same", suite: str = "arc_mini") -> Path:
    """Return a samples file of a run."""
    return run / "samples" / arm / f"samples_{suite}.jsonl"


def test_a_baseline_is_small_stable_and_holds_no_text(finished: Path, tmp_path: Path) -> None:
    """One short line an item, the same bytes each time, and no word of any question."""
    text = (finished / "baseline.jsonl").read_text()
    save_baseline(RunFolder(finished / "run"), tmp_path / "again.jsonl", arm="same")
    assert (tmp_path / "again.jsonl").read_text() == text
    rows = [line for line in text.splitlines() if line.startswith("[")]
    assert len(rows) == 210
    assert max(map(len, rows)) <= 40
    first = json.loads(samples(finished / "run").read_text().splitlines()[0])
    assert first["doc"]["question"] not in text
    assert read_baseline(finished / "baseline.jsonl").arm == "same"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--write-baseline", "new.jsonl", "--baseline", "missing.jsonl"], "not both"),
        (["--write-baseline", "run/study.lock.json"], "is an input"),
        (["--write-baseline", "run/samples/base/samples_domain_qa.jsonl"], "is an input"),
        (["--write-baseline", "/dev/null"], "is a device"),
    ],
)
def test_a_baseline_is_written_or_compared_with(
    finished: Path, options: list[str], said: str
) -> None:
    """A pull request is not passed by writing what it should be held against; nothing is lost."""
    run = finished / "run"
    before = {file: sha256_of(file) for file in RunFolder(run).files()}
    done = harness_here("gate", str(run), *options, folder=finished)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert {file: sha256_of(file) for file in RunFolder(run).files()} == before
    assert not (finished / "new.jsonl").exists()


def test_an_unchanged_run_passes_against_its_baseline(finished: Path) -> None:
    """The command says so by its exit code, and leaves all files beside the run's own."""
    done = harness("gate", "run", "--baseline", "baseline.jsonl", folder=finished)
    assert done.returncode == 0, done.stderr
    left = finished / "run" / "against_baseline"
    assert json.loads((left / "gate.json").read_text())["verdict"] == "pass"
    assert {f.name for f in left.iterdir()} >= {"junit.xml", "report.md", "report.html"}


def test_lost_items_are_a_regression_and_are_listed(finished: Path, tmp_path: Path) -> None:
    """Scores that fell since the baseline fail; the base's own scores play no part."""
    run = copy(finished, tmp_path)

    def wrong(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row | {"verdict": "incorrect", "score": 0.0} for row in rows]

    rewrite(samples(run), wrong)
    rewrite(samples(run, "base"), wrong)
    result = compare_with_baseline(RunFolder(run), finished / "baseline.jsonl")
    assert result.exit_code == 1
    assert [c.verdict for c in result.comparisons] == ["fail", "pass"]
    assert any(pair.transition == "lost" for pair in result.comparisons[0].pairs)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows[3:], "items of the baseline are gone: "),
        (
            lambda rows: [row | {"token_hash": "0" * 64} for row in rows],
            "the prompts of 150 of 150 items changed",
        ),
    ],
    ids=["removed items", "changed prompts"],
)
def test_what_is_not_the_same_question_is_invalid(
    finished: Path, tmp_path: Path, change: Callable[..., Any], reason: str
) -> None:
    """Items that are gone or were asked otherwise are named, and the exit code is 3."""
    run = copy(finished, tmp_path)
    rewrite(samples(run), change)
    result = compare_with_baseline(RunFolder(run), finished / "baseline.jsonl")
    assert result.exit_code == 3
    assert result.comparisons[0].reason.startswith(reason)
    assert result.comparisons[1].verdict == "pass"


def test_a_removed_suite_or_changed_margin_is_invalid(finished: Path, tmp_path: Path) -> None:
    """Neither goes unnoticed."""
    fewer = copy(finished, tmp_path)
    lock = json.loads((fewer / "study.lock.json").read_text())
    lock["study_file"]["suites"] = lock["study_file"]["suites"][:1]
    lock["suites"]["arc_mini"]["margin"] = 0.2
    (fewer / "study.lock.json").write_text(json.dumps(lock))
    result = compare_with_baseline(RunFolder(fewer), finished / "baseline.jsonl")
    assert result.exit_code == 3
    reasons = {c.suite.name: c.reason for c in result.comparisons}
    assert reasons["arc_mini"] == "its margin was 0.1 and is 0.2: write a new baseline"
    assert reasons["domain_qa"] == "the suite is gone: the baseline has 60 items of it"
    junit = report.write(result, tmp_path / "report")["junit.xml"].read_text()
    assert junit.count("<error") == 2


def test_added_items_and_suites_are_said(finished: Path, tmp_path: Path) -> None:
    """They are not compared, and nobody is left to wonder."""
    lines = (finished / "baseline.jsonl").read_text().splitlines(keepends=True)
    split = next(n for n, line in enumerate(lines) if "domain_qa" in line)
    (tmp_path / "fewer.jsonl").write_text("".join(lines[: split - 5]))
    result = compare_with_baseline(RunFolder(finished / "run"), tmp_path / "fewer.jsonl")
    assert result.exit_code == 0
    assert "arc_mini has 5 items that are not in the baseline" in result.notes
    assert "domain_qa is not in the baseline and is not compared" in result.notes


def test_a_baseline_that_another_sqlite_judged_is_said(finished: Path, tmp_path: Path) -> None:
    """A query may give other rows there; without SQL a baseline keeps no releases at all."""
    head, *rows = (finished / "baseline.jsonl").read_text().splitlines()
    assert "sql" not in json.loads(head)
    older = tmp_path / "older.jsonl"
    older.write_text("\n".join([json.dumps({**json.loads(head), "sql": {"sqlite": "3.9"}}), *rows]))
    result = compare_with_baseline(RunFolder(finished / "run"), older)
    assert any(note.startswith("SQL was judged by sqlite 3.9 and 3.") for note in result.notes)


def test_a_baseline_of_half_a_run_is_refused(finished: Path, tmp_path: Path) -> None:
    """An early end leaves items without a score; several candidates need a choice."""
    early = run_study(
        write_study(finished), out=tmp_path / "run", allow_identical=True, until_decided=True
    )
    assert early.verdict == "pass"
    with pytest.raises(StudyError, match="needs every item"):
        save_baseline(RunFolder(tmp_path / "run"), tmp_path / "b.jsonl")
    against = compare_with_baseline(RunFolder(tmp_path / "run"), finished / "baseline.jsonl")
    assert against.exit_code == 3
    told = against.comparisons[0].reason
    assert re.match(r"this run ended early \(\d+ of 150 items\)", told), told
    assert told.endswith("without `--until-decided` answers the rest")
    with pytest.raises(StudyError, match="did you mean 'same'"):
        save_baseline(RunFolder(finished / "run"), tmp_path / "b.jsonl", arm="sme")
    (tmp_path / "other.jsonl").write_text('{"id": 1, "score": 1}\n')
    with pytest.raises(DataError, match="--write-baseline"):
        compare_with_baseline(RunFolder(finished / "run"), tmp_path / "other.jsonl")


@pytest.mark.parametrize("verb", ["gate", "report", "review", "history", "export"])
def test_an_unfinished_run_names_what_goes_on_with_it(
    finished: Path, tmp_path: Path, verb: str
) -> None:
    """A run that was stopped before an arm was scored is no unreadable file."""
    run = copy(finished, tmp_path)
    samples(run).unlink()
    lock = json.loads((run / "study.lock.json").read_text())
    del lock["scored"]["same"]
    (run / "study.lock.json").write_text(json.dumps(lock))
    arguments = {
        "history": ("history", "add", str(run)),
        "export": ("export", str(run), "same", "-o", "given"),
        "review": ("review", "draw", str(run)),
    }
    done = harness_here(*arguments.get(verb, (verb, str(run))), folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert f"{run} is not finished; `harness run " in done.stderr
    assert "goes on with it" in done.stderr


def test_base_against_base_shows_the_noise_floor(finished: Path, tmp_path: Path) -> None:
    """Nothing flips in other batches, no candidate is trained, and stored answers stay apart."""
    loaded = write_study(finished, candidates=[{"name": "x", "train": "rows.jsonl"}])
    rows = [{"prompt": f"say {n}", "completion": str(n)} for n in range(8)]
    (finished / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    planned = plan(loaded, out=tmp_path / "run")
    result, noise = noise_floor(planned)
    assert result.verdict == "pass"
    assert [(n.suite, n.items, n.flips, n.texts) for n in noise] == [
        ("arc_mini", 150, 0, 0),
        ("domain_qa", 60, 0, 0),
    ]
    assert 0 < noise[0].largest < 1e-3, "other batches, so other roundings"
    assert not (tmp_path / "run/adapters").exists()
    assert json.loads((tmp_path / "run/aa/noise.json").read_text())[0]["flips"] == 0
    again, _ = noise_floor(planned)
    assert [c.decision for c in again.comparisons] == [c.decision for c in result.comparisons]


def test_a_plan_counts_cost_and_warns_of_a_hopeless_verdict(finished: Path, tmp_path: Path) -> None:
    """Items needed, tokens, a measured time, a warning; and nothing is written."""
    write_study(finished, suites=[SUITES[0], {"name": "domain_qa", "limit": 12}])
    done = harness_here("plan", str(finished / "study.yaml"), "--out", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "suite arc_mini: 150 items" in done.stdout
    assert "prompt tokens" in done.stdout
    assert "distinct, about" in done.stdout
    assert "scored in " in done.stdout
    assert " items a suite in float32: less where arms share passes" in done.stdout
    assert done.stdout.count("warning: too few items") == 1
    assert not list(tmp_path.iterdir())
    quick = harness_here("plan", str(finished / "study.yaml"), "--no-probe", folder=tmp_path)
    assert "distinct, about" not in quick.stdout
