"""``harness tasks``: the suites that come with the package."""

import typer

from harness import content
from harness.cli import console

app = typer.Typer(name="tasks")


@app.callback(invoke_without_command=True)
def command() -> None:
    """List the built-in suites.

    Any other lm-eval task can be named in a study too.

    Example: `harness tasks`
    """
    from rich.table import Table

    from harness.suites.catalogue import builtin_suites

    table = Table("suite", "primary metric", "margin", "what it measures")
    for suite in builtin_suites().values():
        cells = (suite.name, suite.metric, f"{100 * suite.margin:.0f} points", suite.title)
        table.add_row(*map(console.cell, cells))
    console.print_table(table)
    console.say(f"their folders, with a card each, are in {content.TASKS}")
