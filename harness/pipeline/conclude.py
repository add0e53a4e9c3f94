"""Compare the scored answers, and write what people and programs read."""

from dataclasses import replace

from harness import report, review
from harness.analysis import analyse, pair
from harness.analysis.arm_scores import arm_score
from harness.analysis.copies import copy_warnings, without_copies
from harness.analysis.decisions import compare_early, compare_pairs, require, settle
from harness.analysis.goals import held_to_goals
from harness.analysis.identical_arm import by_identity
from harness.analysis.people import contradictions, people_beside
from harness.analysis.recipes import compare_recipes
from harness.analysis.run_result import result_of
from harness.pipeline.answers.scored_run import ScoredRun, read_run
from harness.pipeline.progress import Progress
from harness.records import BASE, Arm, Comparison, Result, Suite
from harness.store import transcripts
from harness.store.run_folder import RunFolder
from harness.study import Study

ENDS_EARLY = (
    "Each verdict closed at the first of 20 looks that decided it, in an order of items fixed "
    "before the first answer; changes and intervals are corrected for the looking. Items answered "
    "after that are shown and change no verdict."
)

IDENTICAL = (
    "{} is proven by its weights to give the base's own logits: it is unchanged by identity, not "
    "by a test."
)


def compare(run: ScoredRun) -> Result:
    """Decide every suite of every candidate from the scored answers; no model, no files."""
    comparisons = [found for arm in run.arms[1:] for found in _candidate(run, arm)]
    analysis = analyse(comparisons)
    return result_of(
        comparisons,
        study=run.study.name,
        base_model=run.study.base.title,
        arms=run.arms,
        suites=run.suites,
        gate=run.study.gate.rates,
        seed=run.study.seed,
        scores=[
            arm_score(arm.name, suite, run.samples[arm.name, suite.name])
            for suite in run.suites
            for arm in run.arms
        ],
        findings=[
            *analysis.findings,
            *copy_warnings(run.data, comparisons),
        ],
        notes=(
            *run.notes,
            *([ENDS_EARLY] if run.declared.schedules else []),
            *(IDENTICAL.format(arm.name) for arm in run.arms if arm.identical),
        ),
        data=run.data,
        recipes=compare_recipes(run.arms, comparisons, run.study.gate.rates),
        times=run.times,
        origin=run.origin,
        made_with=run.versions,
        groups=analysis.groups,
    )


def _candidate(run: ScoredRun, arm: Arm) -> list[Comparison]:
    """Decide all suites of one candidate: each alone, then Holm over all, then must-pass items."""
    decided = [_decide(run, arm.name, suite) for suite in run.suites]
    if arm.identical:
        decided = [by_identity(comparison) for comparison in decided]
    gate = run.study.gate.rates
    settled = held_to_goals(settle(decided, gate), gate, candidates=len(run.arms) - 1)
    return [
        require(
            comparison,
            run.samples[arm.name, comparison.suite.name],
            run.declared.must_pass.get(comparison.suite.name, ()),
        )
        for comparison in settled
    ]


def _decide(run: ScoredRun, candidate: str, suite: Suite) -> Comparison:
    gate, schedule = run.study.gate.rates, run.declared.schedules.get(suite.name)
    base, tuned = run.samples[BASE, suite.name], run.samples[candidate, suite.name]
    if schedule is None:
        pairs = without_copies(pair(base, tuned, suite), candidate, run.data)
        return compare_pairs(candidate, suite, pairs, gate)
    answered = {sample.item.key for sample in tuned}  # another candidate may have needed more
    pairs = pair([sample for sample in base if sample.item.key in answered], tuned, suite)
    return compare_early(candidate, suite, pairs, schedule, gate)


def conclude(folder: RunFolder, result: Result, progress: Progress) -> None:
    """Write the gate files and the report."""
    with progress.task("report", 1):
        report.write(result, folder.path)


def reopen(folder: RunFolder, *, remember: bool = True) -> tuple[Study, Result]:
    """Compare a finished run again from its samples; see `read_run`."""
    run = read_run(folder, remember=remember)
    return run.study, with_people(folder, compare(run))


def with_people(folder: RunFolder, result: Result) -> Result:
    """Add what raters and judge models said of the run's answers; it changes no verdict.

    Raises:
        DataError: If a file of ratings is broken.
    """
    rated = [*result.comparisons, *transcripts.comparisons(folder.chats)]
    reviews = review.read_reviews(folder.review, rated)
    said = contradictions(people_beside(result.comparisons, reviews))
    sentences = filter(None, (result.recommendation, said))
    return replace(result, reviews=reviews, recommendation=". ".join(sentences))
