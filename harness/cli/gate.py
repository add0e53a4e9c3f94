"""``harness gate``: a run's decision as an exit code."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.cli.report import RunPath
from harness.errors import StudyError
from harness.files import check_output


def command(
    run: RunPath,
    baseline: Annotated[
        Path | None, typer.Option(help="Compare with these scores instead of the base's.")
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option(help="Write the scores as a small file to commit.")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Whose scores to write.")] = None,
) -> None:
    """Print a finished run's decision and exit with its code.

    Against a baseline, the scores of an earlier run, a suite or item that is gone makes the
    comparison invalid.

    Exit code: 0 pass, 1 regression, 2 usage error, 3 invalid comparison, 4 inconclusive.

    Example: `harness gate runs/mine --baseline baseline.jsonl`
    """
    from harness import report
    from harness.pipeline import conclude
    from harness.pipeline.finished.baseline import compare_with_baseline, save_baseline
    from harness.store.run_folder import RunFolder

    folder = RunFolder(run)
    if write_baseline is not None and baseline is not None:
        raise StudyError(
            "a baseline is written or compared with: give --write-baseline or --baseline, not both"
        )
    if write_baseline is not None:
        check_output(write_baseline, inputs=folder.files())
        saved = save_baseline(folder, write_baseline, arm=arm)
        console.say(f"the scores of {saved} are in {write_baseline}")
        return
    where = run
    if baseline is None:
        result = conclude.gate(folder)
    else:
        result = compare_with_baseline(folder, baseline)
        where = folder.baseline
        report.write(result, where)
    console.show(result)
    console.say(f"verdict: {result.verdict}; {where / 'gate.json'} has it for programs")
    raise typer.Exit(result.exit_code)
