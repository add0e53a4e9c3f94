"""Compare a finished run with the scores of an earlier one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.analysis.arm_scores import arm_score
from harness.analysis.decisions import compare_pairs, require, settle
from harness.analysis.recipes import compare_recipes
from harness.analysis.run_result import result_of
from harness.analysis.transitions import pair
from harness.errors import StudyError, nearest
from harness.pipeline.answers.scored_run import ScoredRun, read_run
from harness.records import BASE, Arm, Comparison, Result, Sample, Suite, Verdict
from harness.stats import Schedule
from harness.store.baseline_file import (
    Baseline,
    BaselineItem,
    declaration,
    item_id,
    prompt_id,
    read_baseline,
    write_baseline,
)
from harness.store.run_folder import RunFolder
from harness.versions import sql_differences, sql_versions

NAMED = 5
"""How many removed items a reason names."""


def save_baseline(folder: RunFolder, file: Path, *, arm: str | None = None) -> str:
    """Write one arm's scores of a finished run as a baseline; return the arm's name.

    Raises:
        StudyError: If the run has several candidates and none is named, none of that name, or was
            decided before all items were answered.
    """
    run = read_run(folder)
    names = [each.name for each in run.arms]
    if arm is None and len(names) > 2:
        raise StudyError(
            f"a baseline holds the scores of one arm: this run has {', '.join(names)}; "
            "choose one with --arm"
        )
    arm = arm or names[-1]
    if arm not in names:
        raise StudyError(f"no arm {arm!r} in {folder.path}{nearest(arm, names)}")
    scored = [(suite, run.samples[arm, suite.name]) for suite in run.suites]
    for suite, samples in scored:
        schedule = run.declared.schedules.get(suite.name)
        if schedule and len(samples) < schedule.planned:
            raise StudyError(
                f"a baseline needs every item: {arm} answered {len(samples)} of "
                f"{schedule.planned} of {suite.name}; run the study without --until-decided first"
            )
    day = run.study.base.date
    write_baseline(
        file, run.study.name, arm, scored,
        date=day.isoformat() if day else "",
        sql=sql_versions(run.versions) if any(s.judge == "sql" for s in run.suites) else {},
    )  # fmt: skip
    return arm


def compare_with_baseline(folder: RunFolder, file: Path) -> Result:
    """Compare every candidate of a finished run with the scores in a baseline.

    Suites and items that the baseline has and the run lacks, and changed prompts, margins or
    scorers, make a check invalid; what only the run has is named in a note.

    Raises:
        StudyError: If the folder holds no scored run.
        DataError: If the file is no baseline.
    """
    run, known = read_run(folder), read_baseline(file)
    now = {suite.name: suite for suite in run.suites}
    suites = [now.get(name) or _suite(said) for name, said in known.declared.items()]
    comparisons: list[Comparison] = []
    for arm in run.arms[1:]:
        checks = [_check(run, arm.name, suite, known) for suite in suites]
        comparisons += [
            require(
                check,
                run.samples.get((arm.name, check.suite.name), ()),
                run.declared.must_pass.get(check.suite.name, ()),
            )
            for check in settle(checks, run.study.gate.rates)
        ]
    return result_of(
        comparisons,
        study=run.study.name,
        base_model=f"baseline {file.name}: {known.arm} of {known.study}",
        arms=(Arm(name=BASE, method="baseline"), *run.arms[1:]),
        suites=suites,
        gate=run.study.gate.rates,
        scores=[
            arm_score(arm.name, suite, run.samples[arm.name, suite.name])
            for suite in run.suites
            for arm in run.arms[1:]
        ],
        seed=run.study.seed,
        notes=(
            f"Compared with the scores of {known.arm} in {known.study}, kept in {file.name}, not "
            "with the base model.",
            *run.notes,
            *_rejudged(run, known),
            *_added(run, known),
        ),
        recipes=compare_recipes(run.arms, comparisons, run.study.gate.rates),
    )


def _check(run: ScoredRun, candidate: str, suite: Suite, known: Baseline) -> Comparison:
    """Decide one suite, or return why it may not be compared."""
    items = known.items[suite.name]
    tuned = {item_id(s.item): s for s in run.samples.get((candidate, suite.name), ())}
    if (
        reason := _changed(known.declared[suite.name], suite, items, tuned)
        or _gone(items, tuned, run.declared.schedules.get(suite.name))
        or _reworded(run, known, items, tuned)
    ):
        return Comparison(
            candidate=candidate,
            suite=suite,
            pairs=(),
            decision=None,
            verdict="invalid",
            p_adjusted=None,
            base=None,
            tuned=None,
            unscored=0,
            reason=reason,
        )
    shared = [sample for name, sample in tuned.items() if name in items]
    base = [_remembered(sample, items[item_id(sample.item)], suite) for sample in shared]
    return compare_pairs(candidate, suite, pair(base, shared, suite), run.study.gate.rates)


def _changed(
    declared: Mapping[str, object],
    suite: Suite,
    items: Mapping[str, BaselineItem],
    tuned: Mapping[str, Sample],
) -> str:
    """Return what forbids a comparison; empty where nothing does."""
    if not tuned:
        return f"the suite is gone: the baseline has {len(items)} items of it"
    found = declaration(suite)
    changed = [
        key for key in sorted(declared.keys() | found) if declared.get(key) != found.get(key)
    ]
    if changed:
        key = changed[0]
        return f"its {key} was {declared.get(key)} and is {found.get(key)}: write a new baseline"
    return ""


def _gone(
    items: Mapping[str, BaselineItem], tuned: Mapping[str, Sample], early: Schedule | None
) -> str:
    """Return which items of the baseline the run lacks, or that it ended early; empty if none."""
    gone = sorted(items.keys() - tuned)
    if gone and early and len(tuned) < early.planned:
        return (
            f"this run ended early ({len(tuned)} of {early.planned} items), and a baseline is "
            "compared item by item: `harness run` without `--until-decided` answers the rest"
        )
    if gone:
        more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
        return f"items of the baseline are gone: {', '.join(gone[:NAMED])}{more}"
    return ""


def _reworded(
    run: ScoredRun, known: Baseline, items: Mapping[str, BaselineItem], tuned: Mapping[str, Sample]
) -> str:
    """Return which prompts are others now, and what makes them as they were; empty where none."""
    others = [name for name, item in items.items() if prompt_id(tuned[name].item) != item.prompt]
    if not others:
        return ""
    day = run.study.base.date
    remedy = "write a new baseline"
    if known.date and known.date != (day.isoformat() if day else ""):
        remedy = (
            f"the chat template writes the date, which was {known.date}; set 'date: {known.date}' "
            "under 'base' and run the study in a new folder"
        )
    return f"the prompts of {len(others)} of {len(items)} items changed: {remedy}"


def _remembered(now: Sample, known: BaselineItem, suite: Suite) -> Sample:
    """Return the baseline's side of a pair: its score, and none of its texts."""
    if known.score is None:
        verdict = Verdict(outcome="unscored", score=None, explanation="unscored in the baseline")
    else:
        right = suite.is_right(known.score)
        verdict = Verdict(
            outcome="correct" if right else "incorrect",
            score=known.score,
            answer="(a baseline keeps no answers)",
        )
    return Sample(item=now.item, arm=BASE, responses=(), verdict=verdict)


def _suite(declared: Mapping[str, object]) -> Suite:
    return Suite(**declared)  # type: ignore[arg-type]


def _rejudged(run: ScoredRun, known: Baseline) -> list[str]:
    """Say where SQL was judged by other releases on the two sides."""
    others = sql_differences(known.sql, run.versions)
    told = f"SQL was judged by {', '.join(others)}, first in the baseline, then here: a query may "
    return [f"{told}give other rows; write a new baseline to be sure"] if others else []


def _added(run: ScoredRun, known: Baseline) -> Sequence[str]:
    notes = []
    arm = run.arms[-1].name
    for suite in run.suites:
        if suite.name not in known.items:
            notes.append(f"{suite.name} is not in the baseline and is not compared")
            continue
        mine = {item_id(sample.item) for sample in run.samples[arm, suite.name]}
        if new := len(mine - known.items[suite.name].keys()):
            notes.append(f"{suite.name} has {new} items that are not in the baseline")
    return notes
