"""``harness compare``: two score files, one decision."""

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.errors import StudyError
from harness.files import check_output, write_text


def _margin(given: str | float) -> float:
    """Read a margin as a study does; 0 asks whether there is any drop at all."""
    from harness.study.sections import share_of_scale

    try:
        margin = float(str(share_of_scale(given)))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not margin >= 0:
        raise typer.BadParameter(f"a margin is 0 or more: found {given}")
    return margin


def command(  # noqa: PLR0913, PLR0917 - one parameter per option
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Scores of the base model.")],
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="Scores of the tuned model.")],
    margin: Annotated[
        float | None,
        typer.Option(parser=_margin, metavar="FLOAT", help="Largest acceptable drop, as 0.03."),
    ] = None,
    alpha: Annotated[float, typer.Option(min=0.0, max=0.5, help="False-alarm rate.")] = 0.05,
    metric: Annotated[
        str | None, typer.Option(help="What to compare by, as acc; by default what is declared.")
    ] = None,
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="A rise of the metric is a loss.")
    ] = False,
    scale: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH", help="What the metric lies between; the margin is a share of it."
        ),
    ] = None,
    filter_name: Annotated[
        str | None,
        typer.Option("--filter", help="Which filter of a task, or reducer of epochs, decides."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="The field that items share where they are not independent."),
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the decision here.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write reports, gate.json and junit.xml into this folder.")
    ] = None,
) -> None:
    """Compare two sets of scores item by item; loads no model.

    Each side is a run's samples folder, a JSONL with `id`, `score` and optionally `cluster`,
    lm-eval's `samples_*.jsonl` (a file or a folder), Every Eval Ever's `*_samples.jsonl` with its
    record beside it, or logs of Inspect. Metric and direction are those of that record, of
    lm-eval's `results_*.json` beside its samples, of the built-in suite, or of a well-known name;
    grades and `accuracy` of Inspect are better the higher they are.

    Exit code: 0 pass, 1 regression, 2 usage error, 3 invalid comparison, 4 inconclusive.

    Example: `harness compare base.jsonl tuned.jsonl --margin 0.03`
    """
    from harness import report
    from harness.pipeline.finished import compare_scores
    from harness.records import Suite
    from harness.store.run_folder import RunFolder
    from harness.store.score_files import logs_of

    if out is not None and RunFolder(out).lock_file.exists():
        raise StudyError(
            f"a run's reports are kept: {out} holds the run of a study; give another --out"
        )
    if out is not None and out.exists() and not out.is_dir():
        raise StudyError(f"reports go into a folder: {out} is none; give another --out")
    if json_out is not None:
        check_output(json_out, inputs=[*logs_of(base), *logs_of(tuned)])
    result = compare_scores.compare(
        base,
        tuned,
        margin=margin,
        alpha=alpha,
        metric=metric,
        lower_is_better=lower_is_better,
        scale=scale,
        filter_name=filter_name,
        cluster=cluster,
    )
    console.show(result)
    for suite in result.suites if margin is None else ():
        is_default = suite.margin == Suite(name=suite.name, metric=suite.metric).margin
        whose = "the default" if is_default else "the suite's own"
        console.say(f"{suite.name}: margin {100 * suite.margin:g} points, {whose}; `--margin`")
    for note in result.notes:
        console.say(note)
    if json_out is not None:
        write_text(json_out, json.dumps(report.gate_json(result), indent=2) + "\n")
        console.say(f"the verdict for programs is in {json_out}")
    if out is not None:
        report.write(result, out)
        console.show_files(out, console.RUN_FILES)
    console.say(f"verdict: {result.verdict}")
    raise typer.Exit(result.exit_code)
