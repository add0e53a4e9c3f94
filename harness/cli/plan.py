"""``harness plan``: check a study and say what it will do, before paying for it."""

import typer

from harness import study as studies
from harness.cli import console
from harness.cli.run import Out, StudyFile


def command(study: StudyFile, out: Out = None) -> None:
    """Check a study, its data and its suites; train and score nothing, write nothing.

    Says per suite how many items there are, how many tokens one arm reads, and the smallest drop
    that so many items can show.

    Example: `harness plan study.yaml`
    """
    loaded = studies.load(study)
    with console.stoppable(out or study.parent):
        from harness import pipeline, stats

        planned = pipeline.plan(loaded, out=out, progress=console.TerminalProgress())
    for candidate in loaded.candidates:
        rows = len(planned.examples.get(candidate.name, ()))
        what = f"{candidate.method} on {rows} rows" if candidate.train else "adapter as it is"
        typer.echo(f"candidate {candidate.name}: {what}")
    for suite, tasks in zip(planned.suites, planned.loaded, strict=True):
        tokens = sum(len(r.context_ids) + len(r.continuation_ids) for r in tasks.requests)
        needed = stats.plan(margin=suite.margin, disagreement=PILOT_DISAGREEMENT)
        verdict = "enough" if len(tasks.items) >= needed.items else f"{needed.items} needed"
        typer.echo(
            f"suite {suite.name}: {len(tasks.items)} items, {tokens} prompt tokens an arm, "
            f"margin {100 * suite.margin:.0f} points: {verdict} "
            f"if the arms differ on {PILOT_DISAGREEMENT:.0%} of the items"
        )
    typer.echo(f"arms: {', '.join(planned.arms)}; run folder: {planned.folder.path}")


PILOT_DISAGREEMENT = 0.15
"""Share of items on which base and tuned differ, where no pilot has measured it yet."""
