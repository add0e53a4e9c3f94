"""Compare the judged answers, and write what people and programs read."""

from collections.abc import Sequence

from harness import report, review
from harness.analysis import findings, pair
from harness.analysis.gate import EXIT_CODES, compare_pairs, gravest, settle
from harness.analysis.scores import arm_score
from harness.errors import StudyError
from harness.pipeline.answer import Scored
from harness.pipeline.progress import Progress
from harness.records import BASE, Arm, Comparison, Result, Suite
from harness.store import read_samples
from harness.store.run_folder import RunFolder, read_arm, read_suite
from harness.study import Study
from harness.versions import versions


def compare(
    study: Study,
    suites: Sequence[Suite],
    arms: Sequence[Arm],
    samples: Scored,
    *,
    notes: Sequence[str] = (),
) -> Result:
    """Decide every suite of every candidate from the judged answers; no model, no files.

    ``notes`` are warnings of the run that the report shows.
    """
    gate = study.gate
    comparisons: list[Comparison] = []
    for arm in arms[1:]:
        of_arm = [
            compare_pairs(
                arm.name,
                suite,
                pair(samples[BASE, suite.name], samples[arm.name, suite.name], suite),
                alpha=gate.alpha,
                beta=gate.beta,
                max_unscored=gate.max_unscored,
            )
            for suite in suites
        ]
        comparisons += settle(of_arm, alpha=gate.alpha)
    verdict = gravest(comparisons)
    return Result(
        study=study.name,
        base_model=study.base.model,
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
        findings=tuple(f for comparison in comparisons for f in findings(comparison)),
        versions=versions(),
        seed=study.seed,
        notes=tuple(notes),
    )


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


def reopen(folder: RunFolder) -> tuple[Study, Result]:
    """Compare a finished run again from its samples; no model, no task is loaded.

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
    return study, compare(study, suites, arms, samples, notes=lock.get("notes", ()))
