"""``harness history``: runs kept in one database, and what drifted from release to release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console
from harness.cli.report import RunPath
from harness.files import check_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history.drift import StudyTrend

DEFAULT = "runs/history.db"
app = typer.Typer(name="history", help="Runs over time: which suite drifted since which release.")
Store = Annotated[
    str, typer.Option(help="An SQLite file, or postgresql://user:${PASSWORD}@host/name.")
]


@app.command()
def add(
    run: RunPath,
    store: Store = DEFAULT,
    release: Annotated[str, typer.Option(help="What this run is shipped as.")] = "",
    candidate: Annotated[
        str, typer.Option(help="Which one to follow; by default the recommended or the only one.")
    ] = "",
) -> None:
    """Add a finished run, and compare it with the last release; adding it again changes nothing.

    Scores, hashes of items and groups are kept, and no text of any row.

    Example: `harness history add runs/mine --release v2`
    """
    from harness.extras import require

    require("history")
    from harness.history.entries import run_of
    from harness.history.history_store import add as keep
    from harness.history.place import HistoryPlace
    from harness.store.run_folder import RunFolder

    place = HistoryPlace.of(store)
    kept, is_new = keep(place, run_of(RunFolder(run), candidate=candidate), release=release.strip())
    called = f" as release {kept.release}" if kept.release else ""
    console.say(f"{run} is {'now' if is_new else 'already'} in {place}{called}, {kept.candidate}")
    where = "" if store == DEFAULT else f" --store {place}"
    console.say(f"next: harness history show{where}")


@app.command()
def show(
    store: Store = DEFAULT,
    suite: Annotated[str, typer.Option(help="Only this suite.")] = "",
    html: Annotated[
        Path | None, typer.Option(help="Write the page of trends into this file.")
    ] = None,
) -> None:
    """Show which suite drifted since which release, paired with that release's scores.

    Example: `harness history show --html trends.html`
    """
    from harness.extras import require

    require("history")
    from harness.files import write_text
    from harness.history.drift import trends
    from harness.history.history_store import reading
    from harness.history.place import HistoryPlace
    from harness.history.trend_page import drift_lede, history_page

    place = HistoryPlace.of(store)
    if html is not None:
        check_output(html)
    with reading(place) as reader:
        found = trends(reader.runs(), reader.scores, suite=suite)
    _table(found)
    console.say(f"{drift_lede(found)}.")
    if html is not None:
        write_text(html, history_page(found))
        console.say(f"  {html}  the page of trends")


def _table(studies: "Sequence[StudyTrend]") -> None:
    """Print each study's suites as they are now, against the last release and older ones."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from harness.history.trend_page import findings_on, newest_sentence
    from harness.report.wording import percent

    styles = {"good": "green", "bad": "bold red", "open": "yellow", "void": "yellow"}
    for study in studies:
        console.say(f"\n{study.study}", style="bold")
        console.say(newest_sentence(study), style="dim")
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("suite", overflow="fold", min_width=console.NARROWEST)
        table.add_column("now", justify="right", no_wrap=True)
        table.add_column("drift, with its interval", overflow="fold")
        for suite in study.suites:
            lines = [
                console.cell(words, style)
                for said in findings_on(suite)
                for words, style in ((said.words, styles.get(said.tone, "")), (said.more, "dim"))
                if words
            ]
            head = (console.cell(suite.suite), console.cell(percent(suite.means[-1])))
            table.add_row(*head, *(lines[:1] or [console.cell("no release before it", "dim")]))
            for line in lines[1:]:
                table.add_row("", "", line)
        console.print_table(table)
