"""``harness report``: write a run's report again."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/mine.")]


def command(
    run: RunPath,
    without_texts: Annotated[
        bool,
        typer.Option(
            "--without-texts",
            help="Write the reports into RUN/without_texts, with every figure and no row's text.",
        ),
    ] = False,
    to: Annotated[
        list[str],
        typer.Option("--to", help="Log the evaluation, without texts, to trackio or wandb, too."),
    ] = [],  # noqa: B006 - typer's way to say none
) -> None:
    """Report a finished run again from its samples; no model.

    What `--to` logs stays on this machine, below RUN/adapters/_logs, unless the environment says
    otherwise: `WANDB_MODE=online`, or a server of Trackio.

    Example: `harness report runs/mine`
    """
    import gc

    from harness.pipeline.conclude import conclude, reopen
    from harness.store.run_folder import RunFolder

    gc.disable()  # what is read stays and has no cycles; looking for some takes a fifth of the time
    folder = RunFolder(run)
    _, result = reopen(folder)
    if without_texts:
        from harness import report

        result = report.without_texts(result)
        console.show(result)
        written = report.write(result, run / "without_texts")
        console.say(f"  {written['report.html']}  figures, no texts")
        return
    with folder.held():
        conclude(folder, result, console.TerminalProgress())
    console.show(result)
    console.show_files(run, console.RUN_FILES)
    if to:
        from harness.pipeline.exported.trackers import track

        console.say(f"the evaluation is logged: {track(folder, result, to)}")
