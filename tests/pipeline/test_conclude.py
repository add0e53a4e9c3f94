"""Comparing scored answers: pure, from records alone."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.example_result import SUITES, example_result
from support.finished_runs import written_run

from harness.errors import StudyError
from harness.pipeline.answers.scored_run import Scored, ScoredRun, read_run
from harness.pipeline.conclude import compare, reopen
from harness.pipeline.finished.baseline import compare_with_baseline, save_baseline
from harness.records import BASE, Arm
from harness.store import write_samples
from harness.store.run_folder import RunFolder
from harness.store.run_lock import Declarations, RunLock, write_lock
from harness.study import Study

SEEDS = ("mixed-seed0", "mixed-seed1", "mixed-seed2")
DECLARED = Declarations(
    alpha=0.05, beta=0.05, suites={suite.name: suite for suite in SUITES}, items={}
)


def scored(*, recipe: str) -> ScoredRun:
    """Return a run of three candidates that answered alike, perhaps as seeds of one recipe."""
    samples: Scored = {
        (arm, c.suite.name): [
            replace(pair.base if arm == BASE else pair.tuned, arm=arm) for pair in c.pairs
        ]
        for c in example_result().comparisons
        if c.candidate == "mixed"
        for arm in (BASE, *SEEDS)
    }
    study = Study.model_validate(
        {
            "name": "seeds",
            "base": "builtin:tiny",
            "candidates": [{"name": name, "adapter": name} for name in SEEDS],
            "suites": [suite.name for suite in SUITES],
        }
    )
    return ScoredRun(
        study=study,
        suites=SUITES,
        arms=(Arm(name=BASE), *(Arm(name=name, recipe=recipe) for name in SEEDS)),
        samples=samples,
        declared=DECLARED,
        notes=("a note",),
    )


def test_seeds_of_a_recipe_are_decided_together_and_change_nothing_else() -> None:
    """Every suite gets a decision about the recipe; without one the result is as before."""
    result = compare(scored(recipe="mixed"))
    assert [found.suite for found in result.recipes] == list(SUITES)
    assert all(found.candidates == SEEDS and found.decision for found in result.recipes)
    plain = compare(scored(recipe=""))
    assert plain.recipes == ()
    assert replace(result, recipes=(), arms=plain.arms) == plain


def test_a_run_is_compared_again_from_its_folder(tmp_path: Path) -> None:
    """Lock and samples are enough, recipes included; a folder without them says what to do."""
    run, folder = scored(recipe="mixed"), RunFolder(tmp_path / "run")
    with pytest.raises(StudyError, match="run first"):
        reopen(folder)
    for (arm, suite), samples in run.samples.items():
        write_samples(folder.samples(arm, suite), samples)
    lock = RunLock(
        study="seeds",
        base="builtin:tiny",
        declared=DECLARED,
        arms=run.arms,
        study_file=run.study.model_dump(mode="json"),
        notes=run.notes,
    )
    write_lock(folder.lock_file, lock)
    assert compare(read_run(folder)).recipes == compare(run).recipes
    assert reopen(folder)[1].verdict == compare(run).verdict
    write_lock(folder.lock_file, replace(lock, study_file={"name": "seeds"}))
    with pytest.raises(StudyError, match="run the study again"):
        reopen(folder)


def several(tmp_path: Path) -> RunFolder:
    """Write a run of ten candidates that answer as the base does, but for six items of one."""
    science = replace(SUITES[-1], margin=0.005)
    science_pairs = example_result().comparisons[3].pairs
    known = [
        replace(pair.base, item=replace(pair.base.item, cluster=str(n)))
        for n, pair in enumerate(science_pairs)
    ]
    names = [f"candidate{n}" for n in range(10)]
    written = {}
    for arm in (BASE, *names):
        samples = [replace(sample, arm=arm) for sample in known]
        if arm == "candidate3":
            right = [n for n, s in enumerate(samples) if s.verdict.outcome == "correct"][:6]
            for n in right:
                verdict = replace(samples[n].verdict, outcome="incorrect", score=0.0)
                samples[n] = replace(samples[n], verdict=verdict)
        written[arm, science.name] = samples
    return written_run(tmp_path / "run", [science], written, study="ten")


def test_ten_candidates_share_the_rate_of_false_alarms(tmp_path: Path) -> None:
    """What one of ten lost alone is exit code 4 with a reason, also against a baseline."""
    folder = several(tmp_path)
    found = reopen(folder)[1]
    assert [c.candidate for c in found.comparisons if c.verdict == "fail"] == ["candidate3"]
    assert (found.verdict, found.exit_code) == ("inconclusive", 4)
    assert "candidate3 on arc_mini (p " in found.reason
    save_baseline(folder, tmp_path / "baseline.jsonl", arm=BASE)
    against = compare_with_baseline(folder, tmp_path / "baseline.jsonl")
    assert (against.exit_code, against.reason) == (4, found.reason)
