"""What the terminal shows: progress while it works, a table when it is done."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from harness.pipeline.progress import Advance
    from harness.records import Comparison, RecipeComparison, Result

STOPPED = 130

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "invalid": "bold red"}
_WORDS = {
    "improved": "improved",
    "unchanged": "unchanged",
    "not_worse": "not worse",
    "regressed_within_margin": "worse, within margin",
    "regressed": "regressed",
    "inconclusive": "inconclusive",
}


class TerminalProgress:
    """A live bar per task on a terminal; in a log, a line when a task begins and when it ends."""

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
    """Turn Ctrl-C into one sentence: what is stored and how to resume."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(
            f"\nharness: stopped; what was finished is kept in {folder}, "
            "and the same command goes on from there",
            err=True,
        )
        sys.exit(STOPPED)


def show(result: "Result") -> None:
    """Print every comparison of a run, one table per candidate, in 80 columns."""
    from rich.console import Console

    console = Console(highlight=False)
    reference = "the baseline" if result.arms[0].method == "baseline" else "base"
    for arm in result.arms[1:]:
        compared = [c for c in result.comparisons if c.candidate == arm.name]
        console.print(f"\n[bold]{arm.name}[/] against {reference}")
        if arm.note:
            console.print(arm.note, style="dim")
        console.print(_table(compared))
        for comparison in compared:
            if reason := why(comparison):
                said = f"  {comparison.suite.name}: {reason}"
                console.print(said, style="dim", markup=False)

    if result.recipes:
        console.print("\n[bold]is it the recipe or luck?[/] mean over training seeds")
        console.print(_recipe_table(result.recipes))
        for found in result.recipes:
            if found.reason:
                said = f"  {found.recipe} on {found.suite.name}: {found.reason}"
                console.print(said, style="dim", markup=False)
    for said in (
        result.reason and f"the run is {result.verdict}: {result.reason}",
        result.recommendation,
    ):
        if said:
            console.print(f"{said}.", markup=False)


def _recipe_table(recipes: "Sequence[RecipeComparison]") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("recipe", no_wrap=True)
    table.add_column("suite", no_wrap=True)
    for name in ("seeds", "change", "90 % interval", "spread"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("label", no_wrap=True)
    for found in recipes:
        table.add_row(*recipe_row(found))
    return table


def recipe_row(found: "RecipeComparison") -> tuple[str, ...]:
    """Return the cells of one recipe on one suite, changes in points."""
    decision = found.decision
    spread = "" if found.spread is None else f"{100 * found.spread:.1f}"
    named = (found.recipe, found.suite.name, str(len(found.candidates)))
    if decision is None:
        return *named, "", "", spread, f"[{_STYLES['inconclusive']}]not decided[/]"
    return (
        *named,
        f"{100 * decision.delta:+.1f}",
        f"{100 * decision.ci_low:+.1f} to {100 * decision.ci_high:+.1f}",
        spread,
        f"[{_STYLES[decision.verdict]}]{_WORDS[decision.label]}[/]",
    )


def _table(comparisons: "Sequence[Comparison]") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("suite", no_wrap=True)
    for name in ("items", "base", "tuned", "change", "90 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for comparison in comparisons:
        table.add_row(*row(comparison))
    return table


def row(comparison: "Comparison") -> tuple[str, ...]:
    """Return the cells of one comparison: scores in percent, changes in points."""
    suite, decision = comparison.suite, comparison.decision
    style = _STYLES[comparison.verdict]
    if decision is None or comparison.base is None or comparison.tuned is None:
        return suite.name, "0", "", "", "", "", f"[{style}]invalid[/]"
    label = _WORDS[decision.label]
    if comparison.verdict == "fail" and decision.verdict != "fail":
        label = "must-pass failed"
    settled = comparison.verdict in ("pass", "fail")
    planned = getattr(decision, "planned", decision.n)
    early = getattr(decision, "used", planned) < planned
    return (
        suite.name,
        f"{decision.n}/{planned}" if early else str(decision.n),
        f"{100 * comparison.base:.1f}",
        f"{100 * comparison.tuned:.1f}",
        f"{100 * decision.delta:+.1f}",
        f"{100 * decision.ci_low:+.1f} to {100 * decision.ci_high:+.1f}",
        f"[{style}]{label if settled else comparison.verdict}[/]",
    )


def why(comparison: "Comparison") -> str:
    """Return one sentence on a decision that needs one, else nothing."""
    decision = comparison.decision
    if comparison.reason or decision is None:
        return comparison.reason
    if decision.label == "regressed_within_margin":
        return f"a real drop, smaller than the margin of {100 * decision.margin:g} points"
    if comparison.verdict == "inconclusive" and decision.items_needed:
        return (
            f"inconclusive, about {decision.items_needed - decision.n} more items would decide "
            f"at a margin of {100 * decision.margin:g} points"
        )
    return ""


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
