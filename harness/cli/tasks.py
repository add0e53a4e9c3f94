"""``harness tasks``: the suites that come with the package, and those of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from harness import content
from harness.cli import console
from harness.errors import HarnessError

app = typer.Typer(name="tasks")


@app.callback(invoke_without_command=True)
def command(context: typer.Context) -> None:
    """List the built-in suites, or begin and check a suite of your own.

    Any other lm-eval task can be named in a study too.

    Example: `harness tasks`
    """
    if context.invoked_subcommand:
        return
    from rich.table import Table

    from harness.suites.catalogue import builtin_suites

    table = Table("suite", "primary metric", "margin", "what it measures")
    for suite in builtin_suites().values():
        cells = (suite.name, suite.metric, f"{100 * suite.margin:.0f} points", suite.title)
        table.add_row(*map(console.cell, cells))
    console.print_table(table)
    console.say(f"their folders, with a card each, are in {content.TASKS}")
    console.say("a suite of your own: harness tasks new sql --database FILE")


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="What is asked for: sql.")],
    database: Annotated[
        str, typer.Option(help="sql: a .sqlite or .duckdb file, or postgresql://reader@host/name.")
    ],
    name: Annotated[
        str | None, typer.Option(help="The suite's name; by default the database's.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where suites are kept.")] = Path("tasks"),
) -> None:
    """Begin a suite about your own database, with a few questions whose golds were run.

    Its folder holds names of tables and columns and no value of your data.

    Example: `harness tasks new sql --database shop.sqlite`
    """
    from harness.files import whole_folder, write_text
    from harness.suites.own import default_name, suite_files

    chosen = name or default_name(database)
    files = suite_files(kind, chosen, database)
    with whole_folder(folder / chosen) as made:
        for path, text in files.items():
            write_text(made / path, text)
    console.say(f"wrote {folder / chosen}; next: {folder / chosen / 'README.md'}")


@app.command()
def check(
    suite: Annotated[Path, typer.Argument(help="The suite's folder.")],
    database: Annotated[
        str | None, typer.Option(help="Its database, the folder of its databases, or a url.")
    ] = None,
) -> None:
    """Say of each gold whether it runs, and which near misses the judge could not tell from it.

    Exit 2 if a gold does not run.

    Example: `harness tasks check tasks/shop --database shop.sqlite`
    """
    from harness.suites.own.check_suite import check_suite

    bad = told = tried = 0
    for gold in check_suite(suite, database):
        tried += gold.near_misses
        told += gold.near_misses - len(gold.passing)
        bad += bool(gold.problem)
        share = f"{gold.near_misses - len(gold.passing)} of {gold.near_misses}"
        console.say(f"{gold.id}: {gold.problem or f'runs; near misses told apart: {share}'}")
        for miss in gold.passing:
            console.say(f"  cannot tell: {miss.what} (add rows like: {miss.remedy})")
    console.say(f"near misses told apart: {told} of {tried}")
    if bad:
        raise HarnessError(f"every gold has to run: {bad} of this suite do not")
