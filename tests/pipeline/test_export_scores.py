"""A run's scores in the formats of other tools, read by what those tools read them with."""

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.command import harness_here
from support.finished_runs import write_run
from support.paths import ROOT

from harness.errors import ComparisonError, DataError, StudyError
from harness.pipeline.conclude import reopen
from harness.pipeline.exported.export_scores import export_scores
from harness.pipeline.finished.compare_scores import compare
from harness.store import OWN, read_samples, read_scores
from harness.store.run_folder import RunFolder

SCHEMAS = ROOT / "tests" / "support" / "every_eval_ever"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return a finished run of a candidate on suites that are called as no built-in one is."""
    return write_run(tmp_path_factory.mktemp("run") / "run", size=40, rename="my_{}")


@pytest.fixture(scope="module")
def theirs(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its scores as lm-eval writes them."""
    out = tmp_path_factory.mktemp("lm-eval") / "out"
    assert export_scores(run, out, form="lm-eval") == ["base", "mixed"]
    return out


@pytest.fixture(scope="module")
def records(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its scores as records of Every Eval Ever."""
    out = tmp_path_factory.mktemp("eee") / "out"
    export_scores(run, out, form="eee")
    return out


def results(folder: Path) -> dict[str, Any]:
    """Return the only results in a folder."""
    [file] = folder.glob("results_*.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def test_lm_evals_own_readers_find_the_files(theirs: Path) -> None:
    """Its functions name results, samples, tasks and dates as they do those of lm-eval."""
    from lm_eval import utils

    files = [file.as_posix() for file in (theirs / "mixed").iterdir()]
    latest = utils.get_latest_filename(utils.get_results_filenames(files))
    samples = [Path(name).name for name in utils.get_sample_results_filenames(files)]
    assert {utils.get_file_task_name(name) for name in samples} == set(
        results(theirs / "mixed")["configs"]
    )
    dates = {utils.get_file_datetime(name) for name in samples}
    assert dates == {utils.get_file_datetime(latest).removesuffix(".json")}


def test_lm_evals_own_table_shows_the_runs_means(run: RunFolder, theirs: Path) -> None:
    """Each suite's primary metric stands in the table with the run's mean and its direction."""
    from lm_eval.utils import make_table

    rows, task = {}, ""
    for line in make_table(results(theirs / "mixed")).splitlines()[2:]:
        name, _, _, _, metric, arrow, value, *_ = [cell.strip() for cell in line.split("|")[1:]]
        task = name or task  # a task's name stands in its first row only
        rows[task, metric] = (arrow, value)
    _, result = reopen(run)
    scores = [score for score in result.scores if score.arm == "mixed"]
    assert len(scores) == len(result.suites)
    for score in scores:
        assert rows[score.suite, score.metric] == ("↑", f"{score.mean:.4f}")


def test_lm_evals_logger_takes_the_results(theirs: Path) -> None:
    """What lm-eval sends to W&B is made of the results without a question."""
    from lm_eval.loggers.wandb_logger import WandbLogger

    logger = WandbLogger.__new__(WandbLogger)
    found = results(theirs / "base")
    logger.results, logger.task_names, logger.group_names = found, list(found["results"]), []
    _, flat = logger._sanitize_results_dict()
    assert flat["my_coherence/recall"] == found["results"]["my_coherence"]["recall,none"]


def test_lm_evals_hash_of_a_task_is_ours(theirs: Path) -> None:
    """A task's hash is that of lm-eval's tracker over the same lines."""
    from lm_eval.utils import hash_string

    for name, given in results(theirs / "base")["task_hashes"].items():
        [file] = (theirs / "base").glob(f"samples_{name}_*.jsonl")
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        hashes = [row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows]
        assert given == hash_string("".join(hashes))


def test_a_standard_error_is_lm_evals_or_none(run: RunFolder, theirs: Path) -> None:
    """It is lm-eval's where items are independent; where some share a cluster, it is N/A."""
    from lm_eval.api.metrics import mean_stderr

    rows = results(theirs / "base")["results"]
    samples = read_samples(run.samples("base", "my_coherence"))
    values = [s.verdict.score for s in samples if s.verdict.score is not None]
    assert rows["my_coherence"]["recall_stderr,none"] == pytest.approx(mean_stderr(values))
    assert rows["my_arc_mini"]["acc_norm_stderr,none"] == "N/A"


def test_what_was_written_decides_as_the_run_does(run: RunFolder, theirs: Path) -> None:
    """Read again, the scores have the run's changes, intervals, margins and labels."""
    _, original = reopen(run)
    again = compare(theirs / "base", theirs / "mixed")
    decided = {c.suite.name: c.decision for c in again.comparisons}
    for comparison in original.comparisons:
        assert decided[comparison.suite.name] == comparison.decision


def test_records_are_valid_and_say_what_the_run_says(run: RunFolder, records: Path) -> None:
    """Each file is valid by the format's schemas, and its mean is that of its samples."""
    whole, line = (
        json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
        for name in ("eval", "instance_level_eval")
    )
    _, result = reopen(run)
    expected = {(s.arm, s.suite): s for s in result.scores}
    files = sorted(records.rglob("*.json"))
    assert len(files) == len(expected)
    for file in files:
        record = json.loads(file.read_text(encoding="utf-8"))
        jsonschema.validate(record, whole)
        beside = records / record["detailed_evaluation_results"]["file_path"]
        rows = [json.loads(row) for row in beside.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            jsonschema.validate(row, line)
        [found] = record["evaluation_results"]
        arm = "mixed" if record["model_info"]["name"] == "mixed" else "base"
        score = expected[arm, found["evaluation_name"]]
        assert found["score_details"]["score"] == score.mean
        assert sum(row["evaluation"]["score"] for row in rows) / len(rows) == pytest.approx(
            score.mean
        )
        assert {row["evaluation_id"] for row in rows} == {record["evaluation_id"]}
        assert record["detailed_evaluation_results"]["total_rows"] == len(rows) == score.n


def side(records: Path, model: str, out: Path) -> Path:
    """Copy the records of one model."""
    for file in records.rglob(f"{model}/*"):
        (out / file.parent.parent.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, out / file.parent.parent.parent.name / file.name)
    return out


def test_records_decide_as_the_run_does(run: RunFolder, records: Path, tmp_path: Path) -> None:
    """Read again, they have the run's means, changes and intervals."""
    base, tuned = (
        side(records, "builtin_tiny", tmp_path / "a"), side(records, "made.mixed", tmp_path / "b"),
    )  # fmt: skip
    again = compare(base, tuned, max_unscored=1.0)
    decided = {c.suite.name: c for c in again.comparisons}
    _, original = reopen(run)
    compared = 0
    for ours in original.comparisons:
        theirs = decided[ours.suite.name]
        assert theirs.suite.metric == ours.suite.metric
        if ours.decision and theirs.decision:
            assert theirs.decision.delta == pytest.approx(ours.decision.delta)
            assert theirs.decision.ci_low == pytest.approx(ours.decision.ci_low)
            compared += 1
    assert compared


def test_records_of_two_models_are_no_side(records: Path, tmp_path: Path) -> None:
    """A folder of both models, or with an evaluation twice, is refused; so are samples alone."""
    with pytest.raises(ComparisonError, match="one model"):
        read_scores(records)
    twice = side(records, "made.mixed", tmp_path / "a")
    shutil.copytree(twice / "my_sql", twice / "again")
    with pytest.raises(ComparisonError, match="my_sql stand in several"):
        read_scores(twice)
    [lone] = (twice / "my_sql").glob("*_samples.jsonl")
    lone.with_name(lone.name.replace("_samples.jsonl", ".json")).unlink()
    with pytest.raises(DataError, match="record beside"):
        read_scores(lone)


@pytest.mark.parametrize(
    ("metric", "score", "expected"),
    [
        ({"lower_is_better": True, "metric_id": "wer"}, 0.25, 0.25),
        ({"lower_is_better": False, "min_score": 0, "max_score": 100}, 25, 0.25),
        ({"lower_is_better": False, "has_unknown_level": True, "max_score": 4}, -1, None),
        ({"lower_is_better": False, "max_score": "Infinity"}, 0.5, "two ends"),
        ({"lower_is_better": False}, 7, "between 0 and 1"),
    ],
)
def test_a_score_is_read_on_its_metrics_scale(
    tmp_path: Path, metric: dict[str, Any], score: float, expected: float | str | None
) -> None:
    """Direction and scale are the record's; what fits no scale is refused, the unknown unscored."""
    record = {
        "model_info": {"id": "org/m"},
        "evaluation_results": [{"evaluation_name": "e", "metric_config": metric}],
    }
    line = {
        "evaluation_id": "x", "model_id": "org/m", "evaluation_name": "e", "sample_id": "1",
        "evaluation": {"score": score, "is_correct": False},
    }  # fmt: skip
    (tmp_path / "u.json").write_text(json.dumps(record))
    (tmp_path / "u_samples.jsonl").write_text(json.dumps(line) + "\n")
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            read_scores(tmp_path / "u_samples.jsonl")
        return
    suite = read_scores(tmp_path)["e"]
    assert suite.by_filter[""][0].scores == {OWN: expected}
    assert list(suite.declared.directions.values()) == [not metric["lower_is_better"]]


def test_the_command_says_where_the_scores_are(run: RunFolder, tmp_path: Path) -> None:
    """One arm alone can be written; what is of weights is refused."""
    done = harness_here(
        "export", str(run.path), "mixed", "-o", str(tmp_path / "out"), "--format", "lm-eval"
    )
    assert done.returncode == 0, done.stderr
    assert [folder.name for folder in (tmp_path / "out").iterdir()] == ["mixed"]
    refused = harness_here(
        "export", str(run.path), "-o", str(tmp_path / "x"), "--format", "eee", "--as", "merged"
    )
    assert refused.returncode == 2
    assert "leave them out" in refused.stderr
    unnamed = harness_here("export", str(run.path), "-o", str(tmp_path / "x"))
    assert "needs a candidate" in unnamed.stderr
    with pytest.raises(StudyError, match="did you mean 'mixed'"):
        export_scores(run, tmp_path / "x", form="eee", arms=["mixd"])
    assert not (tmp_path / "x").exists()
