"""Compare the judged answers, and write what people and programs read."""

from collections.abc import Sequence
from typing import NamedTuple

from harness import report, review
from harness.analysis import findings, pair
from harness.analysis.arm_scores import arm_score
from harness.analysis.decisions import (
    EXIT_CODES,
    compare_early,
    compare_pairs,
    gravest,
    require,
    settle,
)
from harness.errors import StudyError
from harness.pipeline.answers.score import Scored
from harness.pipeline.checks.training_rows import copy_warnings, without_copies
from harness.pipeline.progress import Progress
from harness.records import BASE, Arm, Comparison, Result, Sample, Suite
from harness.store import read_samples
from harness.store.run_folder import Declared, RunFolder, read_arm, read_suite
from harness.study import Study
from harness.versions import versions


def compare(
    study: Study,
    suites: Sequence[Suite],
    arms: Sequence[Arm],
    samples: Scored,
    declared: Declared,
) -> Result:
    """Decide every suite of every candidate from the judged answers; no model, no files.

    ``declared`` is what the run's lock fixes: schedules of early ends, must-pass items, notes.
    """
    comparisons: list[Comparison] = []
    for arm in arms[1:]:
        of_arm = []
        for suite in suites:
            base, tuned = samples[BASE, suite.name], samples[arm.name, suite.name]
            of_arm.append(_decide(study, arm.name, suite, (base, tuned), declared))
        comparisons += [
            require(
                comparison,
                samples[arm.name, comparison.suite.name],
                declared.must_pass.get(comparison.suite.name, ()),
            )
            for comparison in settle(of_arm, alpha=study.gate.alpha)
        ]
    verdict = gravest(comparisons)
    return Result(
        study=study.name,
        base_model=study.base.title,
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        arms=tuple(arms),
        suites=tuple(suites),
        scores=tuple(
            arm_score(arm.name, suite, samples[arm.name, suite.name])
            for suite in suites
            for arm in arms
        ),
        comparisons=tuple(comparisons),
        findings=(
            *(f for comparison in comparisons for f in findings(comparison)),
            *copy_warnings(declared.data, comparisons),
        ),
        versions=versions(),
        seed=study.seed,
        notes=(*declared.notes, *([ENDS_EARLY] if declared.schedules else [])),
        data=declared.data,
    )


ENDS_EARLY = (
    "Each verdict closed at the first of 20 looks that decided it, in an order of items fixed "
    "before the first answer; changes and intervals are corrected for the looking. Items answered "
    "after that are shown and change no verdict."
)


def _decide(
    study: Study,
    candidate: str,
    suite: Suite,
    sides: tuple[Sequence[Sample], Sequence[Sample]],
    declared: Declared,
) -> Comparison:
    gate, schedule = study.gate, declared.schedules.get(suite.name)
    rates = {"alpha": gate.alpha, "beta": gate.beta, "max_unscored": gate.max_unscored}
    base, tuned = sides
    if schedule is None:
        pairs = without_copies(pair(base, tuned, suite), candidate, declared.data)
        return compare_pairs(candidate, suite, pairs, **rates)
    asked = {sample.item.key for sample in tuned}  # another candidate may have needed more
    pairs = pair([sample for sample in base if sample.item.key in asked], tuned, suite)
    return compare_early(candidate, suite, pairs, schedule, **rates)


def conclude(folder: RunFolder, study: Study, result: Result, progress: Progress) -> None:
    """Write the gate files, the report and the sheets for raters."""
    with progress.task("report", 2) as advance:
        report.write(result, folder.path)
        advance(done=1, note="review sheets")
        if study.review.items_per_suite:
            review.write_sheets(
                result.comparisons,
                folder.review,
                items_per_suite=study.review.items_per_suite,
                raters=study.review.raters,
                seed=study.seed,
            )


class Reopened(NamedTuple):
    """A finished run, read from its folder."""

    study: Study
    suites: Sequence[Suite]
    arms: Sequence[Arm]
    samples: Scored
    declared: Declared


def reopen(folder: RunFolder) -> tuple[Study, Result]:
    """Compare a finished run again from its samples; see `read_run`."""
    run = read_run(folder)
    return run.study, compare(run.study, run.suites, run.arms, run.samples, run.declared)


def read_run(folder: RunFolder) -> Reopened:
    """Read a finished run from its lock and samples; no model, no task is loaded.

    Raises:
        StudyError: If the folder holds no scored run.
    """
    lock = folder.read_lock()
    if "suites" not in lock:
        raise StudyError(f"a run folder must hold a scored run: {folder.path} does not; run first")
    try:
        study = Study.model_validate({**lock["study_file"], "folder": folder.path})
        suites = [read_suite(lock["suites"][section.name]) for section in study.suites]
        arms = [read_arm(data) for data in lock["arms"]]
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"a run folder must be of this version: {folder.lock} is not; run the study again"
        ) from error
    samples = {
        (arm.name, suite.name): read_samples(folder.samples(arm.name, suite.name))
        for arm in arms
        for suite in suites
    }
    return Reopened(study, suites, arms, samples, folder.declared())
