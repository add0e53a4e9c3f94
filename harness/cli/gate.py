"""``harness gate``: a run's verdict as an exit code."""

import typer

from harness.cli import console
from harness.cli.report import RunPath


def command(run: RunPath) -> None:
    """Print a finished run's verdict and exit with its code.

    Exit code: 0 pass, 1 regression, 2 usage error, 3 invalid comparison, 4 inconclusive.

    Example: `harness gate runs/mine`
    """
    from harness import pipeline
    from harness.store.run_folder import RunFolder

    _, result = pipeline.reopen(RunFolder(run))
    console.show(result)
    typer.echo(f"verdict: {result.verdict}; {run / 'gate.json'} has it for programs")
    raise typer.Exit(result.exit_code)
