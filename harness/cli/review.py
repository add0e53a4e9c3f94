"""``harness review``: blinded sheets for human raters, and their ratings back."""

from typing import Annotated

import typer

from harness.cli.report import RunPath
from harness.store.run_folder import RunFolder

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
    from harness import pipeline, review

    folder = RunFolder(run)
    _, result = pipeline.reopen(folder)
    review.write_sheets(
        result.comparisons, folder.review, items_per_suite=items, raters=raters, seed=seed
    )
    typer.echo(f"hand out {folder.review / 'for_raters'}; keep {folder.review / 'key.json'}")
