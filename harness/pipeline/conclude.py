"""Compare the scored answers, and write what people and programs read."""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace

from harness import report, review
from harness.analysis import analyse, pair
from harness.analysis.arm_scores import arm_score
from harness.analysis.copies import copy_warnings, without_copies
from harness.analysis.decisions import compare_early, compare_pairs, require, settle
from harness.analysis.goals import held_to_goals
from harness.analysis.identical_arm import by_identity
from harness.analysis.looked_at import counted, looked_at
from harness.analysis.people import contradictions
from harness.analysis.recipes import compare_recipes
from harness.analysis.run_result import result_of
from harness.pipeline.answers.scored_run import Scored, ScoredRun, read_run
from harness.pipeline.progress import Progress
from harness.records import (
    BASE,
    Arm,
    Comparison,
    ItemKey,
    Pair,
    Result,
    Review,
    Suite,
    has_own_prompts,
)
from harness.store import transcripts
from harness.store.run_folder import RunFolder
from harness.study import Study

WHOLE_SIZE = 400_000_000
"""Bytes of samples up to which they are read with all their texts at once."""

ENDS_EARLY = (
    "Each verdict closed at the first of 20 looks that decided it, in an order of items fixed "
    "before the first answer; changes and intervals are corrected for the looking. Items answered "
    "after that are shown and change no verdict."
)

IDENTICAL = (
    "{} is proven by its weights to give the base's own logits: it is unchanged by identity, not "
    "by a test."
)


def compare(run: ScoredRun, *, rated: Container[ItemKey] = frozenset()) -> Result:
    """Decide every suite of every candidate from the scored answers, and find what they show.

    No model, no files but for texts that were not read yet. ``rated`` are items that people have
    rated: a large run's report lists them, too.
    """
    result = decide(run)
    looked = looked_at(result.comparisons, rated=rated)
    if run.with_texts:
        looked = _with_texts(looked, run.with_texts)
    analysis = analyse(looked)
    return replace(
        result,
        comparisons=looked,
        findings=(*analysis.findings, *copy_warnings(run.data, looked)),
        groups=analysis.groups,
    )


def decide(run: ScoredRun) -> Result:
    """Decide every suite of every candidate from the scored answers; find nothing else out."""
    comparisons = [found for arm in run.arms[1:] for found in _candidate(run, arm)]
    return result_of(
        comparisons,
        study=run.study.name,
        base_model=run.study.base.title,
        arms=run.arms,
        suites=run.suites,
        gate=run.study.gate.rates,
        seed=run.study.seed,
        scores=[
            arm_score(
                arm.name,
                suite,
                run.samples[arm.name, suite.name],
                length=run.lengths.get((arm.name, suite.name)),
                base=() if arm.name == BASE else run.samples[BASE, suite.name],
            )
            for suite in run.suites
            for arm in run.arms
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
    )


def _candidate(run: ScoredRun, arm: Arm) -> list[Comparison]:
    """Decide all suites of one candidate: each alone, then Holm over all, then must-pass items."""
    decided = [_decide(run, arm, suite) for suite in run.suites]
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


def _decide(run: ScoredRun, arm: Arm, suite: Suite) -> Comparison:
    gate, schedule = run.study.gate.rates, run.declared.schedules.get(suite.name)
    candidate, differ = arm.name, has_own_prompts(arm, run.arms)
    base, tuned = run.samples[BASE, suite.name], run.samples[candidate, suite.name]
    if schedule is None:
        pairs = pair(base, tuned, suite, prompts_differ=differ)
        pairs = without_copies(pairs, arm.form_of or candidate, run.data)
        return replace(compare_pairs(candidate, suite, pairs, gate), prompts_differ=differ)
    answered = {sample.item.key for sample in tuned}  # another candidate may have needed more
    pairs = pair([sample for sample in base if sample.item.key in answered], tuned, suite)
    return compare_early(candidate, suite, pairs, schedule, gate)


def conclude(folder: RunFolder, result: Result, progress: Progress) -> None:
    """Write the gate files and the report."""
    with progress.task("report", 1):
        report.write(result, folder.path)


def reopen(folder: RunFolder, *, remember: bool = True) -> tuple[Study, Result]:
    """Compare a finished run again from its samples; see `read_run`.

    Of a large run the texts are read of what is looked at, once that is known.
    """
    reviews = review.kept_reviews(folder.review)
    rated = review.rated_items(reviews)
    size = sum(file.stat().st_size for file in folder.path.glob("samples/*/samples_*.jsonl"))
    run = read_run(folder, remember=remember, texts=rated if size > WHOLE_SIZE else None)
    return run.study, _beside_people(folder, compare(run, rated=rated), reviews)


def gate(folder: RunFolder, *, remember: bool = True) -> Result:
    """Decide a finished run again and find nothing else out: without pairs, without texts."""
    reviews = review.kept_reviews(folder.review)
    run = read_run(folder, remember=remember, texts=review.rated_items(reviews))
    result = _beside_people(folder, decide(run), reviews)
    return replace(result, comparisons=tuple(map(counted, result.comparisons)))


def with_people(folder: RunFolder, result: Result) -> Result:
    """Add what raters and judge models said of the run's answers; it changes no verdict.

    Raises:
        DataError: If a file of ratings is broken.
    """
    return _beside_people(folder, result, review.kept_reviews(folder.review))


def _beside_people(folder: RunFolder, result: Result, reviews: Sequence[Review]) -> Result:
    rated = [*result.comparisons, *transcripts.comparisons(folder.chats)] if reviews else []
    reviews = review.of_answers(reviews, rated)
    said = contradictions(result.comparisons, reviews)
    sentences = filter(None, (result.recommendation, said))
    return replace(result, reviews=reviews, recommendation=". ".join(sentences))


def _with_texts(
    comparisons: Sequence[Comparison], read: Callable[[Container[ItemKey]], Scored]
) -> tuple[Comparison, ...]:
    """Put the whole samples in the place of those without texts."""
    wanted = {pair.base.item.key for c in comparisons for pair in c.shown}
    whole = {
        (arm, sample.item.key): sample
        for (arm, _), samples in read(wanted).items()
        for sample in samples
    }

    def with_texts(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
        return tuple(
            replace(
                pair,
                base=whole[BASE, pair.base.item.key],
                tuned=whole[pair.tuned.arm, pair.tuned.item.key],
            )
            for pair in pairs
        )

    return tuple(
        replace(c, pairs=with_texts(c.pairs), listed=with_texts(c.listed)) for c in comparisons
    )
