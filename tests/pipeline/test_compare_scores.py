"""Scores from elsewhere are compared by the metric that is meant, read the right way round."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.command import harness_here
from support.finished_runs import write_run
from support.tiny_models import llama

import harness
from harness.errors import ComparisonError, DataError, StudyError
from harness.records import Item, ItemKey, Response, Sample, Suite, Verdict
from harness.report import gate_json, junit
from harness.report.wording import check_sentence
from harness.store import read_scores, write_samples
from harness.store.run_lock import Declarations, RunLock, read_lock, write_lock
from harness.study import SuiteSection
from harness.suites.lm_eval_task import load_task, quiet

COUNT = 300


def logged(place: Path, task: str = "t", *, filter_: str = "none", **metrics: Any) -> Path:
    """Append items to an lm-eval samples file; a metric is one value, or one for each item."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / f"samples_{task}_2026-01-02T00-00-00.jsonl").open("a") as file:
        for n in range(COUNT):
            values = {k: v[n] if isinstance(v, list) else v for k, v in metrics.items()}
            row = {
                "doc_id": n, "doc": {"q": n}, "target": "1", "arguments": {}, "resps": [["x"]],
                "filtered_resps": ["x"], "filter": filter_, "metrics": list(metrics),
                "doc_hash": f"h{n}", "prompt_hash": f"p{n}", "target_hash": "t",
            }  # fmt: skip
            file.write(json.dumps(row | values) + "\n")
    return place


def results(place: Path, *metrics: tuple[str, bool], task: str = "t", **config: Any) -> None:
    """Write lm-eval's results beside samples."""
    listed = [{"metric": name, "higher_is_better": up} for name, up in metrics]
    found = {"configs": {task: {"metric_list": listed} | config}}
    (place / "results_2026-01-02T00-00-00.json").write_text(json.dumps(found))


def plain(path: Path, scores: Sequence[float], suite: str = "scores") -> Path:
    """Write a score file of our own layout."""
    rows = ({"id": n, "score": score, "suite": suite} for n, score in enumerate(scores))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def check(result: Any) -> Mapping[str, Any]:
    """Return the one check of a result's gate file."""
    (found,) = gate_json(result)["checks"]
    return found


def both(folder: Path, *, base: Mapping[str, Any], tuned: Mapping[str, Any], **kind: Any) -> Any:
    """Write both sides of a task."""
    return logged(folder / "base", **kind, **base), logged(folder / "tuned", **kind, **tuned)


def test_the_example_of_a_missing_item_is_its_id(tmp_path: Path) -> None:
    """The id is named as the file has it."""
    sides = plain(tmp_path / "a.jsonl", [1.0, 0.0]), plain(tmp_path / "b.jsonl", [1.0])
    with pytest.raises(ComparisonError, match=r"1 only in base, 0 only in tuned; for example 1$"):
        harness.compare(*sides, margin=0.1)


def test_scores_alone_do_not_say_that_no_item_was_lost(tmp_path: Path) -> None:
    """The case of a regression counts lost items only where answers were paired."""
    sides = plain(tmp_path / "a.jsonl", [1.0] * COUNT), plain(tmp_path / "b.jsonl", [0.0] * COUNT)
    written = junit(harness.compare(*sides, margin=0.1))
    assert 'type="regression"' in written
    assert "items were right before" not in written


def test_a_margin_is_a_share_and_the_default_is_told(tmp_path: Path) -> None:
    """Points and percent are refused in the words of a study; who gives none reads which held."""
    sides = [str(plain(tmp_path / name, [1.0] * COUNT)) for name in ("a.jsonl", "b.jsonl")]
    for given in ("3", "3%", "three"):
        refused = harness_here("compare", *sides, "--margin", given)
        told = " ".join(refused.stderr.replace("│", " ").split())
        assert refused.returncode == 2
        assert f"a margin is a share of the scale: 0.05 is five points; found {given}" in told
    below = harness_here("compare", *sides, "--margin", "-0.1")
    assert (below.returncode, "0 or more: found -0.1" in below.stderr) == (2, True), below.stderr
    assert "margin 3 points, the default; `--margin`" in harness_here("compare", *sides).stdout
    assert "the default" not in harness_here("compare", *sides, "--margin", "0.05").stdout


def test_a_run_keeps_its_reports(tmp_path: Path) -> None:
    """Scores are not compared into the folder of a study's run, whose files would be another's."""
    sides = [str(plain(tmp_path / name, [1.0] * COUNT)) for name in ("a.jsonl", "b.jsonl")]
    run = write_run(tmp_path / "run", size=40)
    written = [path for path in run.path.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in written}
    done = harness_here("compare", *sides, "--margin", "0.1", "--out", str(run.path))
    assert done.returncode == 2
    assert "holds the run of a study; give another --out" in done.stderr
    assert {path: path.read_bytes() for path in written} == before
    assert not (run.path / "report.md").exists()


def test_a_rise_of_what_should_be_low_is_a_regression(tmp_path: Path) -> None:
    """The results say the direction; numbers keep the metric's own sign, words its meaning."""
    sides = both(tmp_path, base={"likelihood_diff": 0.1}, tuned={"likelihood_diff": 0.65})
    for side in sides:
        results(side, ("likelihood_diff", False))
    result = harness.compare(*sides)
    found = check(result)
    assert (found["label"], found["verdict"], result.exit_code) == ("regressed", "fail", 1)
    assert (found["metric"], found["higher_is_better"]) == ("likelihood_diff", False)
    assert found["base"] == pytest.approx(0.1)
    assert found["tuned"] == pytest.approx(0.65)
    assert found["delta"] == pytest.approx(0.55)
    assert found["ci_low"] <= found["delta"] <= found["ci_high"]
    sentence = check_sentence(result.comparisons[0])
    assert sentence.startswith("t (lower likelihood_diff is better) rose by 55 points")
    back = check(harness.compare(*reversed(sides)))
    assert (back["label"], back["delta"]) == ("improved", pytest.approx(-0.55))


def test_the_results_decide_against_a_well_known_direction(tmp_path: Path) -> None:
    """A task may count an exact match as a failure."""
    sides = both(tmp_path, base={"exact_match": 0.0}, tuned={"exact_match": 1.0})
    assert check(harness.compare(*sides))["label"] == "improved"
    results(sides[0], ("exact_match", False))
    assert check(harness.compare(*sides))["label"] == "regressed"
    results(sides[1], ("exact_match", True))
    with pytest.raises(ComparisonError, match="higher is better on one side and lower"):
        harness.compare(*sides)


def test_the_first_metric_decides_and_acc_norm_hides_nothing(tmp_path: Path) -> None:
    """Half of acc is lost while acc_norm stays: by the results, and by the order of the lines."""
    half = [float(n % 2) for n in range(COUNT)]
    sides = both(tmp_path, base={"acc": 1.0, "acc_norm": 1.0}, tuned={"acc": half, "acc_norm": 1.0})
    result = harness.compare(*sides)
    assert (check(result)["metric"], check(result)["verdict"]) == ("acc", "fail")
    assert result.notes == ("t is compared by acc; acc_norm can be with --metric.",)
    results(sides[0], ("acc_norm", True), ("acc", True))
    assert check(harness.compare(*sides))["metric"] == "acc_norm"
    assert check(harness.compare(*sides, metric="acc"))["tuned"] == 0.5


@pytest.mark.parametrize(("task", "metric"), [("arc_mini", "acc"), ("arc_challenge", "acc_norm")])
def test_a_built_in_suite_is_compared_by_what_it_declares(
    tmp_path: Path, task: str, metric: str
) -> None:
    """Its declared metric comes before the usual one, and both sides must have it."""
    scores = {"acc": 1.0, "acc_norm": 0.0}
    sides = both(tmp_path, base=scores, tuned=scores, task=task)
    assert check(harness.compare(*sides))["metric"] == metric
    left = {name: value for name, value in scores.items() if name != metric}
    lacking = logged(tmp_path / "lacking", task, **left)
    for pair in ((sides[0], lacking), (lacking, sides[0])):
        with pytest.raises(ComparisonError, match=f"both sides need {metric} for every item"):
            harness.compare(*pair)


def test_one_item_without_the_metric_is_enough_to_refuse(tmp_path: Path) -> None:
    """A metric that only most lines have would compare other items."""
    base, tuned = both(tmp_path, base={"acc": 1.0}, tuned={"acc": 1.0})
    file = next(tuned.iterdir())
    first, *rest = file.read_text().splitlines(keepends=True)
    file.write_text("".join([first.replace('"acc"', '"f1"'), *rest]))
    with pytest.raises(ComparisonError, match=r"acc for every item of t: 1 of 300 lack it in tun"):
        harness.compare(base, tuned)


def test_an_unknown_metric_is_asked_for(tmp_path: Path) -> None:
    """Neither direction nor importance is guessed from a name; exit code 2."""
    sides = both(tmp_path, base={"drift": 0.1, "fit": 0.5}, tuned={"drift": 0.6, "fit": 0.5})
    with pytest.raises(StudyError, match=r"of drift, fit; give --metric NAME, and --lower-is-bet"):
        harness.compare(*sides)
    assert check(harness.compare(*sides, metric="drift"))["label"] == "improved"
    low = check(harness.compare(*sides, metric="drift", lower_is_better=True))
    assert (low["label"], low["higher_is_better"]) == ("regressed", False)
    with pytest.raises(StudyError, match="both sides need loss for every item of t: 300 of"):
        harness.compare(*sides, metric="loss")
    results(sides[0], ("drift", False), ("fit", True))
    assert check(harness.compare(*sides, metric="drift"))["label"] == "regressed"


def test_a_direction_that_contradicts_what_is_known_is_refused(tmp_path: Path) -> None:
    """Lower accuracy is never better."""
    sides = both(tmp_path, base={"acc": 1.0}, tuned={"acc": 0.0})
    with pytest.raises(StudyError, match="higher acc of t is better, but --lower-is-better"):
        harness.compare(*sides, lower_is_better=True)


def test_plain_scores_may_be_lower_is_better(tmp_path: Path) -> None:
    """Their one score is named by no file; the option says its direction."""
    base, tuned = plain(tmp_path / "a.jsonl", [0.1] * 200), plain(tmp_path / "b.jsonl", [0.4] * 200)
    assert check(harness.compare(base, tuned))["label"] == "improved"
    assert check(harness.compare(base, tuned, lower_is_better=True))["label"] == "regressed"


def test_scores_beyond_the_scale_are_refused_or_keep_it(tmp_path: Path) -> None:
    """8.1 nats are no 100 %; with a scale, the margin is a share of it."""
    sides = both(tmp_path, base={"likelihood_diff": 8.1}, tuned={"likelihood_diff": 4.0})
    with pytest.raises(
        DataError, match=r"between 0 and 1: likelihood_diff of .* is 8\.1 in base; "
    ):
        harness.compare(*sides)
    found = check(harness.compare(*sides, scale=(0, 10), margin=0.05))
    assert (found["base"], found["tuned"]) == (pytest.approx(0.81), pytest.approx(0.4))
    assert (found["label"], found["scale"]) == ("improved", [0, 10])
    with pytest.raises(DataError, match=r"between 0 and 8\.05: .* is 8\.1 in base"):
        harness.compare(*sides, scale=(0, 8.05))
    with pytest.raises(StudyError, match="from a number to a larger one: found 1 1"):
        harness.compare(*sides, scale=(1, 1))
    wide = plain(tmp_path / "wide.jsonl", [42.0] * 50)
    with pytest.raises(DataError, match="score of item 0 of scores is 42 in base"):
        harness.compare(wide, wide)


def test_one_filter_decides_and_the_others_are_told(tmp_path: Path) -> None:
    """gsm8k has two: the task's first decides, whatever the order of the lines."""
    for side, strict, flexible in (("base", 1.0, 0.5), ("tuned", 0.0, 0.25)):
        for name, score in (("flexible-extract", flexible), ("strict-match", strict)):
            logged(tmp_path / side, filter_=name, exact_match=score)
        order = [{"name": "strict-match"}, {"name": "flexible-extract"}]
        results(tmp_path / side, ("exact_match", True), filter_list=order)
    sides = tmp_path / "base", tmp_path / "tuned"
    result = harness.compare(*sides)
    assert (check(result)["n"], check(result)["delta"]) == (COUNT, -1.0)
    assert result.notes == (
        "t is compared by its filter strict-match; not decided: flexible-extract 0.5 → 0.25 "
        "(--filter).",
    )
    assert check(harness.compare(*sides, filter_name="flexible-extract"))["delta"] == -0.25
    with pytest.raises(StudyError, match=r"'fuzzy' is not in both; base has strict-match, fl"):
        harness.compare(*sides, filter_name="fuzzy")


@pytest.mark.parametrize("margin", [0.0, 1.0, float("nan")])
def test_a_margin_that_is_none_is_refused(tmp_path: Path, margin: float) -> None:
    """A margin of zero is not the default one."""
    scores = plain(tmp_path / "a.jsonl", [1.0] * 50)
    with pytest.raises(StudyError, match="margin"):
        harness.compare(scores, scores, margin=margin)


@pytest.mark.parametrize(
    "given",
    ["--margin 0", "--margin 1", "--margin nan", "--alpha 0", "--alpha 0.5", "--scale 3 1",
     "--scale 0 0.5", "--metric loss", "--filter none", "--cluster page", "--json a.jsonl",
     "--json .", "--out a.jsonl"],
)  # fmt: skip
def test_a_refused_value_of_an_option_is_a_usage_error(tmp_path: Path, given: str) -> None:
    """Exit code 2, never 3, which says that two sides cannot be compared; nothing is written."""
    plain(tmp_path / "a.jsonl", [1.0, 0.25] * 25)
    done = harness_here("compare", "a.jsonl", "a.jsonl", *given.split(), folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert [one.name for one in tmp_path.iterdir()] == ["a.jsonl"]


def run_of(folder: Path, suite: Suite, **arms: float) -> None:
    """Write what a run of ours leaves: its lock, and each arm's samples with one score."""
    declared = Declarations(alpha=0.05, beta=0.05, suites={suite.name: suite}, items={})
    for arm, score in arms.items():
        samples = [
            Sample(
                item=Item(
                    key=ItemKey(suite.name, "none", f"h{n}", 0), doc_id=n, doc={}, prompt="p",
                    prompt_hash="x", target="t", cluster=str(n),
                ),
                arm=arm,
                responses=(Response(text="a", finish="stop"),),
                verdict=Verdict(
                    outcome="incorrect", score=score, metrics={suite.metric: 100 * score}
                ),
            )
            for n in range(COUNT)
        ]  # fmt: skip
        write_samples(folder / "samples" / arm / f"samples_{suite.name}.jsonl", samples)
    write_lock(folder / "study.lock.json", RunLock(study="s", base="b", declared=declared))


def test_a_runs_own_scores_are_read_as_its_lock_declares(tmp_path: Path) -> None:
    """Metric, direction and scale; a run with another metric is no counterpart."""
    wer = Suite(name="speech", metric="wer", higher_is_better=False, scale=(0.0, 100.0))
    run_of(tmp_path / "a", wer, base=0.1, tuned=0.6)
    sides = [tmp_path / "a" / "samples" / arm for arm in ("base", "tuned")]
    for pair in (sides, [next(side.iterdir()) for side in sides]):
        found = check(harness.compare(*pair))
        assert (found["metric"], found["label"], found["scale"]) == ("wer", "regressed", [0, 100])
        assert (found["base"], found["tuned"]) == (pytest.approx(0.1), pytest.approx(0.6))
    again = check(harness.compare(*sides, metric="wer"))
    assert (again["base"], again["label"]) == (pytest.approx(0.1), "regressed")
    with pytest.raises(StudyError, match="leave --scale out for speech"):
        harness.compare(*sides, scale=(0, 100))
    run_of(tmp_path / "b", Suite(name="speech", metric="cer"), tuned=0.6)
    with pytest.raises(ComparisonError, match="scored by wer in base and by cer in tuned"):
        harness.compare(sides[0], tmp_path / "b" / "samples" / "tuned")


def test_a_runs_own_margin_and_grouping_hold(tmp_path: Path) -> None:
    """What was declared before the answers decides, not a default that nobody chose."""
    declared = Suite(name="shop", metric="acc", margin=0.2, kind="graded", strata="db_id")
    run_of(tmp_path / "a", declared, base=0.6, tuned=0.5)
    base, tuned = (tmp_path / "a" / "samples" / arm for arm in ("base", "tuned"))
    found = harness.compare(base, tuned).comparisons[0]
    assert (found.suite.margin, found.suite.strata) == (0.2, "db_id")
    assert found.decision is not None
    assert found.decision.label == "regressed_within_margin"
    assert check(harness.compare(base, tuned, margin=0.05))["label"] == "regressed"
    run_of(tmp_path / "b", Suite(name="shop", metric="acc", margin=0.03), tuned=0.5)
    with pytest.raises(StudyError, match=r"runs of shop declare 0.03 and 0.2; say with --margin"):
        harness.compare(base, tmp_path / "b" / "samples" / "tuned")


def test_sql_that_other_releases_judged_is_said(tmp_path: Path) -> None:
    """Two runs whose queries another SQLite ran; nothing is said of suites without SQL."""
    for judge, sentences in (("sql", 1), (None, 0)):
        suite = Suite(name="shop", metric="acc", judge=judge, kind="graded")
        for side, release in (("a", "3.40.1"), ("b", "3.45.0")):
            run_of(tmp_path / side, suite, **{side: 0.6})
            lock = read_lock(tmp_path / side / "study.lock.json")
            assert lock is not None
            versions = {"sqlite": release, "duckdb": "1.4.0", "torch": release}
            write_lock(tmp_path / side / "study.lock.json", replace(lock, versions=versions))
        result = harness.compare(*(tmp_path / side / "samples" / side for side in ("a", "b")))
        told = [note for note in result.notes if note.startswith("SQL was judged by")]
        assert len(told) == sentences
        assert all("by sqlite 3.40.1 and 3.45.0, first for a, then for b" in one for one in told)


@pytest.mark.model
def test_what_lm_eval_itself_wrote_is_read(tmp_path: Path) -> None:
    """Its tracker's files, of a task with two filters and of one where lower is better."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.huggingface import HFLM

    rows = {
        "gsm8k": [{"question": f"w{n} w4", "answer": f"w5 #### {n}"} for n in range(8)],
        "crows_pairs_english": [
            {"sent_more": f"w{n} w4", "sent_less": "w5 w6", "bias_type": "age"} for n in range(8)
        ],
    }
    tasks = []
    for name, found in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
        section = SuiteSection(name=name, data=f"{name}.jsonl", num_fewshot=0)
        tasks.append(load_task(section, tmp_path))
    model = HFLM(str(llama(tmp_path / "base")), device="cpu", batch_size=8, dtype="float32")
    with quiet():
        written = simple_evaluate(
            model, tasks=tasks, bootstrap_iters=0, gen_kwargs={"max_gen_toks": 4}
        )
        assert written is not None
        logs = written.pop("samples")
        tracker = EvaluationTracker(output_path=str(tmp_path / "out"))
        tracker.save_results_aggregated(results=written, samples=logs)
        for name in rows:
            tracker.save_results_samples(task_name=name, samples=logs[name])
    read = read_scores(tmp_path / "out")
    assert read["gsm8k"].filters == ("strict-match", "flexible-extract")
    assert read["gsm8k"].declared.directions == {"exact_match": True}
    crows = read["crows_pairs_english"]
    assert crows.declared.directions == {"likelihood_diff": False, "pct_stereotype": False}
    assert crows.metrics("none") == ("likelihood_diff", "pct_stereotype")
    result = harness.compare(tmp_path / "out", tmp_path / "out", scale=(0, 100), margin=0.5)
    metrics = [(c.suite.metric, c.suite.higher_is_better) for c in result.comparisons]
    assert metrics == [("likelihood_diff", False), ("exact_match", True)]
