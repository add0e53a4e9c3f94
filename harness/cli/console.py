"""What the terminal shows: progress while it works, a table when it is done."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.records import Comparison, Result

if TYPE_CHECKING:
    from rich.table import Table

    from harness.pipeline import Advance

STOPPED = 130

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "invalid": "bold red"}
_WORDS = {
    "improved": "improved",
    "unchanged": "unchanged",
    "not_worse": "not worse",
    "regressed_within_margin": "worse, within margin",
    "regressed": "REGRESSED",
    "inconclusive": "inconclusive",
}


class TerminalProgress:
    """A live bar a task on a terminal; in a log, one line when a task begins and when it ends."""

    @contextmanager
    def task(self, title: str, total: int | None = None) -> "Iterator[Advance]":
        """Open a task; call what it yields with ``done=``, ``total=`` and ``note=``."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        if not console.is_terminal:
            with _logged(title) as advance:
                yield advance
            return
        columns = (
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task(title, total=total, note="")

            def advance(
                *, done: int | None = None, total: int | None = None, note: str | None = None
            ) -> None:
                progress.update(bar, completed=done, total=total)
                if note is not None:
                    progress.update(bar, note=note)

            yield advance
            known = progress.tasks[0].total or 1
            progress.update(bar, completed=known, total=known, note="")


@contextmanager
def _logged(title: str) -> "Iterator[Advance]":
    from time import monotonic

    begun = monotonic()
    typer.echo(f"{title} ...", err=True)
    yield lambda **_: None
    typer.echo(f"{title} done in {monotonic() - begun:.0f} s", err=True)


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """Turn Ctrl-C into one sentence: what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(
            f"\nharness: stopped; what was finished is kept in {folder}, "
            "and the same command goes on from there",
            err=True,
        )
        sys.exit(STOPPED)


def show(result: Result) -> None:
    """Print every comparison of a run, one table a candidate."""
    from rich.console import Console

    console = Console()
    for arm in result.arms[1:]:
        console.print(_table(result, arm.name, arm.note))


def _table(result: Result, candidate: str, note: str) -> "Table":
    from rich.table import Table

    title = f"base → [bold]{candidate}[/]" + (f"  [dim]{note}[/]" if note else "")
    table = Table(title=title, title_justify="left", title_style="", expand=False)
    table.add_column("suite", no_wrap=True)
    table.add_column("items", justify="right")
    table.add_column("base %", justify="right")
    table.add_column("tuned %", justify="right")
    table.add_column("change, points", justify="right")
    table.add_column("90 % interval", justify="right", no_wrap=True)
    table.add_column("margin", justify="right")
    table.add_column("verdict")
    for comparison in result.comparisons:
        if comparison.candidate == candidate:
            table.add_row(*row(comparison))
    return table


def row(comparison: Comparison) -> tuple[str, ...]:
    """Return the cells of one comparison, scores in percent and changes in points."""
    suite, decision = comparison.suite, comparison.decision
    style = _STYLES[comparison.verdict]
    if decision is None or comparison.base is None or comparison.tuned is None:
        return suite.name, "0", "", "", "", "", "", f"[{style}]invalid: {comparison.reason}"
    word = "invalid" if comparison.verdict == "invalid" else _WORDS[decision.label]
    reason = f" ({comparison.reason})" if comparison.reason else ""
    if decision.verdict == "inconclusive" and decision.items_needed:
        reason = f" (about {decision.items_needed} items would decide)"
    return (
        suite.name,
        str(decision.n),
        f"{100 * comparison.base:.1f}",
        f"{100 * comparison.tuned:.1f}",
        f"{100 * decision.delta:+.1f}",
        f"{100 * decision.ci_low:+.1f} to {100 * decision.ci_high:+.1f}",
        f"{100 * suite.margin:.0f}",
        f"[{style}]{comparison.verdict}[/] {word}{reason}",
    )


def show_files(folder: Path, names: dict[str, str]) -> None:
    """Print where the files of a finished command are."""
    width = max((len(name) for name in names), default=0)
    for name, what in names.items():
        if (folder / name).exists():
            typer.echo(f"  {folder / name!s:<{len(str(folder)) + width + 1}}  {what}")


RUN_FILES = {
    "report.html": "the report: open it in a browser",
    "report.md": "the same for a pull request",
    "gate.json": "the verdict for programs",
    "review/for_raters": "blinded sheets for human raters",
}
"""What a run leaves for people, by name."""
