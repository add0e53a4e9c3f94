"""``harness plan``: check a study and say what it will do, before paying for it."""

from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console
from harness.cli.run import Out, StudyFile, load_study

if TYPE_CHECKING:
    from harness.pipeline.candidates import PlannedCandidate
    from harness.pipeline.outlook import Outlook
    from harness.records import TrainingData

HOPELESS = 0.5
"""Below this chance of finding a drop as large as the margin, a verdict is not worth its cost."""

LEFT_OUT = "left out of its verdict; the figures of suites below still count them"
"""What becomes of copied items that a study excludes."""


def command(
    study: StudyFile,
    out: Out = None,
    probe: Annotated[
        bool, typer.Option(help="Load the base and time a few items of each suite.")
    ] = True,
) -> None:
    """Check a study, its data and its suites; write nothing.

    Says per suite what its items can show, how many the margin needs, and what one arm costs in
    tokens and time.

    Example: `harness plan study.yaml --no-probe`
    """
    begun = monotonic()
    loaded = load_study(study)
    with console.stoppable(out or study.parent):
        from harness.pipeline.outlook import DISAGREEMENT, PROBED, merging_bytes, outlook
        from harness.pipeline.plan import plan

        planned = plan(loaded, out=out, progress=console.TerminalProgress())
        planning = monotonic() - begun
        suites = outlook(planned, probe=probe)
    for candidate in planned.candidates:
        _tell_candidate(candidate)
    for candidate in planned.candidates:
        _tell_rows(candidate)
    for note in planned.set_apart:
        console.say(note)
    for suite in suites:
        _tell(suite)
    if planned.precision:
        console.say(planned.precision.sentence)
    arms = len(planned.arms)
    timed = [suite.seconds for suite in suites if suite.seconds is not None]
    if timed:
        console.say(
            f"answering takes about {_time(arms * sum(timed))} here for {arms} arms, from "
            f"{PROBED} items a suite in {planned.study.base.weights_dtype}: less where arms share "
            "passes, items a beginning, or bf16 answers first; training and judging come on top"
        )
        _tell_shards(arms * sum(timed), planning + (suites[0].loading or 0.0))
    if planned.own:
        console.say(f"on bases of their own, with other times: {', '.join(planned.own)}")
    if needed := merging_bytes(planned):
        console.say(
            f"forms are made in memory, one after the other: merging takes {_size(needed)} for the "
            "base in float32; a run writes none of them, 'harness export' does"
        )
    console.say(
        f"(supposing that base and tuned differ on {DISAGREEMENT:.0%} of the items; with "
        "--until-decided a clear verdict needs fewer)"
    )
    console.say(f"arms: {', '.join(planned.arms)}; run folder: {planned.folder.path}")


def _tell_candidate(candidate: "PlannedCandidate") -> None:
    from harness import training

    section = candidate.section
    what = f"{section.method} on {len(candidate.examples)} rows" if section.train else "as it is"
    what += f", on {section.base.title}" if section.base else ""
    what += f", a form of {section.form_of} made elsewhere" if section.form_of else ""
    what += f", also scored as {', '.join(section.forms)}" if section.forms else ""
    if section.sweep:
        what += f", the best of {training.space_of(section).size} trials"
    console.say(f"candidate {candidate.name}: {what}")


def _tell_rows(candidate: "PlannedCandidate") -> None:
    """Say what of a candidate's rows is not learnt, and what of them is asked."""
    if candidate.card and candidate.card.ignored:
        columns = ", ".join(f"{k} ({n:,} rows)" for k, n in candidate.card.ignored.items())
        console.say(f"  columns that {candidate.name} does not learn from: {columns}")
    if candidate.card and candidate.card.copies:
        _tell_copies(candidate.name, candidate.card)


def _tell_copies(name: str, card: "TrainingData") -> None:
    """Say which test items the rows share words with: an alarm only where they stand whole."""
    whole = sum(copy.kind == "exact" for copy in card.copies)
    alike = len(card.copies) - whole
    fate = LEFT_OUT if card.excluded else "counted all the same"
    if whole:
        remedy = "" if card.excluded else "; 'data: {overlap: exclude}' leaves them out"
        stand = "1 test item stands" if whole == 1 else f"{whole} test items stand"
        console.say(f"  warning: {stand} whole in the rows of {name}: {fate}{remedy}")
    if alike:
        share = "1 test item shares" if alike == 1 else f"{alike} test items share"
        console.say(
            f"  {share} 13 words in a row, or most words, with a row of {name}, as what was "
            f"written from one template does: {fate}"
        )


def _tell_shards(answering: float, starting: float) -> None:
    """Say how far the work can be cut, where more than one process would pay.

    Args:
        answering: Seconds that all arms take.
        starting: Seconds from a process's start to its first answer.
    """
    from harness.pipeline.outlook import shards_that_pay

    if (most := shards_that_pay(answering, starting)) > 1:
        console.say(
            f"  up to {most} shards pay, of about {_time(answering / most + starting)} each, "
            "a tenth of it to start and to load (docs/how-to/scale.md)"
        )


def _tell(suite: "Outlook") -> None:
    power = suite.power
    grouped = f" in {suite.clusters} clusters" if suite.clusters < suite.items else ""
    console.say(f"suite {suite.suite}: {suite.items} items{grouped} ({suite.grouping})")
    if suite.clusters < suite.items and suite.effective < suite.clusters_needed:
        console.say(
            f"  warning: {suite.clusters} clusters (effective {suite.effective:.1f}) may not be "
            f"enough for the margin of {100 * power.margin:g} points: where the base is always "
            f"right {suite.clusters_needed} are needed, fewer where it is not; 'strata' instead of "
            "'cluster' makes the decision about these alone"
        )
    console.say(
        f"  the margin of {100 * power.margin:g} points needs {power.items} items "
        f"({power.items_sequential} at most with --until-decided); these decide with "
        f"{power.chance:.0%} chance, and show a drop of {100 * power.detectable:.1f} points with "
        f"{power.power:.0%}"
    )
    cost = f"  one arm: {suite.tokens:,} prompt tokens, {suite.distinct:,} distinct"
    cost += f", at most {suite.generated:,} generated" if suite.generated else ""
    cost += f", about {_time(suite.seconds)}" if suite.seconds is not None else ""
    console.say(cost)
    if power.chance < HOPELESS:
        console.say(
            f"  warning: too few items, expect 'inconclusive': take {power.items}, or a margin of "
            f"{100 * power.detectable:.1f} points"
        )


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
