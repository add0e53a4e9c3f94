"""``harness run``: the whole job."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Out = Annotated[Path | None, typer.Option(help="Run folder; runs/<study name> by default.")]
AllowIdentical = Annotated[
    bool, typer.Option("--allow-identical", help="Accept a candidate that changes nothing.")
]


def command(study: StudyFile, out: Out = None, allow_identical: AllowIdentical = False) -> None:
    """Train, score, compare and report a study.

    A second run does only what is missing.

    Exit code: 0 pass, 1 regression, 2 usage error, 3 invalid comparison, 4 inconclusive.

    Example: `harness run study.yaml`
    """
    from harness import study as studies

    loaded = studies.load(study)
    folder = out or Path("runs") / loaded.name
    with console.stoppable(folder):
        from harness import pipeline

        result = pipeline.run(
            loaded, out=folder, progress=console.TerminalProgress(), allow_identical=allow_identical
        )
    console.show(result)
    console.show_files(folder, console.RUN_FILES)
    raise typer.Exit(result.exit_code)
