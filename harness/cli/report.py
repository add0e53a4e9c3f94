"""``harness report``: write a run's report again."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.store.run_folder import RunFolder

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/mine.")]


def command(run: RunPath) -> None:
    """Compare and report a finished run again from its samples; no model is loaded.

    Example: `harness report runs/mine`
    """
    from harness import pipeline

    folder = RunFolder(run)
    study, result = pipeline.reopen(folder)
    pipeline.conclude(folder, study, result, console.TerminalProgress())
    console.show(result)
    console.show_files(run, console.RUN_FILES)
