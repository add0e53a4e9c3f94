"""``harness plan``: check a study and say what it will do, before paying for it."""

import typer

from harness.cli import console
from harness.cli.run import Out, StudyFile


def command(study: StudyFile, out: Out = None) -> None:
    """Check a study, its data and its suites; write nothing.

    Says per suite how many items there are, how many tokens one arm reads, and the smallest drop
    that so many items can show.

    Example: `harness plan study.yaml`
    """
    from harness import study as studies

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
        size = len(tasks.items)
        power = stats.plan(margin=suite.margin, disagreement=PILOT_DISAGREEMENT, available=size)
        typer.echo(
            f"suite {suite.name}: {size} items, {tokens} prompt tokens an arm; a drop of "
            f"{100 * suite.margin:g} points (the margin) is found with {power.chance:.0%} chance, "
            f"{100 * power.detectable:.1f} points with {power.power:.0%}"
        )
        if power.chance < HOPELESS:
            typer.echo(f"  too few: {power.items} items would decide; expect 'inconclusive'")
    typer.echo(f"(if base and tuned differ on {PILOT_DISAGREEMENT:.0%} of the items)")
    typer.echo(f"arms: {', '.join(planned.arms)}; run folder: {planned.folder.path}")


PILOT_DISAGREEMENT = 0.15
"""Share of items on which base and tuned differ, where no pilot has measured it yet."""

HOPELESS = 0.5
"""Below this chance of finding a drop as large as the margin, a verdict is not worth its cost."""
