"""``harness report``: write a run's report again."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/mine.")]


def command(run: RunPath) -> None:
    """Report a finished run again from its samples; no model.

    Example: `harness report runs/mine`
    """
    from harness.pipeline.conclude import conclude, reopen
    from harness.store.run_folder import RunFolder

    folder = RunFolder(run)
    study, result = reopen(folder)
    with folder.held():
        conclude(folder, study, result, console.TerminalProgress())
    console.show(result)
    console.show_files(run, console.RUN_FILES)
