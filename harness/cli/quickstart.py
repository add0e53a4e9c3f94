"""``harness quickstart``: the main job on the built-in model and data."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.extras import require


def command(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("quickstart"),
    every: Annotated[
        bool, typer.Option("--all", help="Add specialised candidates, prompt tuning and QLoRA.")
    ] = False,
) -> None:
    """Do the whole job on a built-in model; downloads nothing.

    One candidate learns SQL, a handbook and conversation and should ship. The other is
    deliberately bad: the gate has to catch what it breaks, so this command exits 0 when it ran.

    Example: `harness quickstart --out quickstart`
    """
    from harness import study as studies
    from harness.quickstart.start import write_study

    require("train", "sql")
    path = write_study(out, every_candidate=every)
    run = out / "run"
    with console.stoppable(out):
        from harness.pipeline.run import run_study

        result = run_study(studies.load(path), out=run, progress=console.TerminalProgress())
    console.show(result)
    console.show_files(run, console.RUN_FILES)
    console.say(f"  the study: {path}")
    console.say("  next, with rows of your own: harness init --data rows.csv --base MODEL")
