"""``harness compare``: two score files, one decision."""

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.files import write_text


def command(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Scores of the base model.")],
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="Scores of the tuned model.")],
    margin: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Largest acceptable drop, as 0.03.")
    ] = None,
    alpha: Annotated[float, typer.Option(min=0.0, max=0.5, help="False-alarm rate.")] = 0.05,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the decision here.")
    ] = None,
) -> None:
    """Compare two sets of scores item by item; loads no model.

    Each side is a run's samples folder, a JSONL with `id`, `score` and optionally `cluster`, or
    lm-eval's `samples_*.jsonl` (a file or a folder).

    Exit code: 0 pass, 1 regression, 2 usage error, 3 invalid comparison, 4 inconclusive.

    Example: `harness compare base.jsonl tuned.jsonl --margin 0.03`
    """
    from harness import report
    from harness.pipeline.finished import compare_scores

    result = compare_scores.compare(base, tuned, margin=margin, alpha=alpha)
    console.show(result)
    if json_out is not None:
        write_text(json_out, json.dumps(report.gate_json(result), indent=2) + "\n")
        typer.echo(f"the verdict for programs is in {json_out}")
    typer.echo(f"verdict: {result.verdict}")
    raise typer.Exit(result.exit_code)
