"""``harness review``: blinded sheets for human raters, and their ratings back."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.cli.report import RunPath

app = typer.Typer(name="review", help="Blinded sheets for raters.", no_args_is_help=True)


@app.command()
def draw(
    run: RunPath,
    items: Annotated[int, typer.Option(min=1, help="Pairs for each suite and candidate.")] = 20,
    raters: Annotated[int, typer.Option(min=1, help="How many sheets of each.")] = 2,
    seed: Annotated[int, typer.Option(help="Which items are drawn, and which side is which.")] = 0,
) -> None:
    """Draw blinded, side-balanced sheets from a finished run.

    Example: `harness review draw runs/mine --items 40 --raters 3`
    """
    from harness import review
    from harness.pipeline.conclude import reopen
    from harness.pipeline.finished.chat import chat_comparisons
    from harness.store.run_folder import RunFolder

    folder = RunFolder(run)
    _, result = reopen(folder)
    with folder.held():
        files = review.write_sheets(
            [*result.comparisons, *chat_comparisons(folder)],
            folder.review,
            items_per_suite=items,
            raters=raters,
            seed=seed,
        )
    key = files["key"]
    console.say(f"hand out {key.parent / 'for_raters'}; keep {key}")


@app.command()
def collect(
    run: RunPath,
    rated: Annotated[list[Path], typer.Argument(help="Filled-in sheets, XLSX or CSV.")],
) -> None:
    """Read raters' sheets back, unblind them, and print who won.

    Example: `harness review collect runs/mine rated/*.xlsx`
    """
    from rich.table import Table

    from harness import review
    from harness.store.run_folder import RunFolder

    ratings = review.collect(RunFolder(run).review, rated)
    table = Table("candidate", "suite", "wins", "ties", "losses", "win rate", "agreement")
    for s in ratings.summaries:
        rate = "too few ratings"
        if s.win_rate is not None and s.ci_low is not None and s.ci_high is not None:
            rate = f"{s.win_rate:.0%} ({s.ci_low:.0%} to {s.ci_high:.0%})"
        agreement = "" if s.agreement is None else f"{s.agreement:.2f}"
        cells = (s.candidate, s.suite, str(s.wins), str(s.ties), str(s.losses), rate, agreement)
        table.add_row(*map(console.cell, cells))
    console.print_table(table)
    console.say(
        "wins are the candidate's; a tie is half a win; agreement is Krippendorff's alpha; "
        f"{ratings.missing} rows were left empty"
    )
