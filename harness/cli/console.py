"""What the terminal shows: progress while it works, a table when it is done."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from harness.display_text import for_terminal, one_line
from harness.errors import StudyError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    from harness.pipeline.progress import Advance
    from harness.records import Comparison, RecipeComparison, Result

STOPPED = 130
NARROWEST = 8
"""Columns of a name that is folded, at least."""
ROOMY = 12
"""Columns of a suite's name up to which columns stand well apart in 80 columns."""
LONGEST_WORD = len("inconclusive")

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "invalid": "bold red"}


class TerminalProgress:
    """A live bar per task on a terminal; in a log, a line when a task begins and when it ends."""

    @contextmanager
    def task(self, title: str, total: int | None = None) -> "Iterator[Advance]":
        """Open a task; call what it yields with ``done=``, ``total=`` and ``note=``."""
        from rich.console import Console

        console = Console(stderr=True)
        if not console.is_terminal:
            with _logged(title) as advance:
                yield advance
            return
        with bars(console) as progress:
            bar = progress.add_task(for_terminal(one_line(title)), total=total, note="")

            def advance(
                *, done: int | None = None, total: int | None = None, note: str | None = None
            ) -> None:
                progress.update(bar, completed=done, total=total)
                if note is not None:
                    progress.update(bar, note=for_terminal(one_line(note)))

            yield advance
            known = progress.tasks[0].total or 1
            progress.update(bar, completed=known, total=known, note="")


SPEED_SECONDS = 24 * 3600.0
"""Of what has been done since then comes the time that is left: one step may take minutes."""


def bars(console: "Console") -> "Progress":
    """Return the bars of tasks, each with the time that it took and the time that is left."""
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    return Progress(*columns, console=console, speed_estimate_period=SPEED_SECONDS)


@contextmanager
def _logged(title: str) -> "Iterator[Advance]":
    from time import monotonic

    begun = monotonic()
    say(f"{title} ...", err=True)
    yield lambda **_: None
    say(f"{title} done in {monotonic() - begun:.0f} s", err=True)


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """Turn Ctrl-C into one sentence: what is stored and how to resume."""
    try:
        yield
    except KeyboardInterrupt:
        say(
            f"\nharness: stopped; what was finished is kept in {folder}, "
            "and the same command goes on from there",
            err=True,
        )
        sys.exit(STOPPED)


def say(text: str = "", *, style: str = "", err: bool = False) -> None:
    """Print a text that may hold anything: names, notes, paths, errors of libraries.

    Nothing in it is markup, nothing steers the terminal, and nothing is a command to a CI system.
    Everything that a command prints goes through here or `print_table`. A reader that is gone or a
    full disk behind the output changes no exit code.

    Args:
        text: What to print; a line end follows.
        style: rich's name of a style, for a terminal.
        err: Print to the standard error.
    """
    if style:
        say_parts([(text, style)], err=err)
    else:
        _write(f"{for_terminal(text)}\n", err=err)


def say_parts(parts: Iterable[tuple[str, str]], *, err: bool = False) -> None:
    """Print one text of several parts, each with its style; see `say`."""
    from rich.text import Text

    text = Text.assemble(*((for_terminal(text), style) for text, style in parts))
    _render(text, err=err, soft_wrap=True)


def print_table(table: "Table") -> None:
    """Print a table whose cells were made by `cell`."""
    _render(table)


def _render(shown: "Text | Table", *, err: bool = False, soft_wrap: bool = False) -> None:
    """Let rich lay something out for a stream, without writing to it."""
    from rich.console import Console

    stream, laid_out = sys.stderr if err else sys.stdout, StringIO()
    console = Console(file=laid_out, force_terminal=stream.isatty() or None, highlight=False)
    console.print(shown, soft_wrap=soft_wrap, markup=False)
    _write(laid_out.getvalue(), err=err)


def named_columns(given: Sequence[str]) -> dict[str, str]:
    """Return field -> column of options such as ``--column text=body``.

    Raises:
        StudyError: If one is no such pair.
    """
    pairs = [one.partition("=") for one in given]
    for one, (field, _, column) in zip(given, pairs, strict=True):
        if not (field and column):
            raise StudyError(
                f"--column names a field and its column, such as text=body: found {one!r}"
            )
    return {field: column for field, _, column in pairs}


def more_rows(more: int) -> str:
    """Word how many more rows something is said of."""
    return "1 more row is" if more == 1 else f"{more:,} more rows are"


def cell(text: str, style: str = "") -> "Text":
    """Return a foreign text as one line in the cell of a table."""
    return plain(one_line(text), style)


def plain(text: str, style: str = "") -> "Text":
    """Return a foreign text as rich shows it to the letter: no markup, nothing hidden."""
    from rich.text import Text

    return Text(for_terminal(text), style=style)


def _write(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        known = stream.encoding or "ascii"
        stream.write(text.encode(known, "replace").decode(known))
    except (OSError, ValueError):  # nobody reads it any more; what was written to files stands
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show(result: "Result") -> None:
    """Print every comparison of a run, one table per candidate, in 80 columns."""
    from harness.report.forms_view import forms
    from harness.report.wording import prompts_told, reading

    reference = "the baseline" if result.arms[0].method == "baseline" else "base"
    for arm in result.arms[1:]:
        compared = [c for c in result.comparisons if c.candidate == arm.name]
        say(f"\n{arm.name} against {reference}", style="bold")
        if arm.note:
            say(arm.note, style="dim")
        print_table(_table(compared))
        for comparison in compared:
            for said in filter(None, (reading(comparison.suite), why(comparison))):
                say(f"  {comparison.suite.name}: {said}", style="dim")

    if told := prompts_told(result):
        say(f"{told}.", style="yellow")
    for form in forms(result):
        say(f"\n{form.name} against its adapter {form.of}", style="bold")
        print_table(_table(form.comparisons, sides=("adapter", "form")))
        say(f"{form.sentence}.")
    if result.recipes:
        say("\nis it the recipe or luck? mean over training seeds", style="bold")
        print_table(_recipe_table(result.recipes))
        for found in result.recipes:
            if found.reason:
                say(f"  {found.recipe} on {found.suite.name}: {found.reason}", style="dim")
    if result.reason:
        say(f"the run is {result.verdict}: {result.reason}.")
    if result.recommendation:
        say(f"{result.recommendation}.")


def _columns(
    names: Sequence[str], numbers: Sequence[str], label: str, *, longest: int = 0
) -> "Table":
    """Return an empty table: every number stays in 80 columns.

    Columns move together where the ``longest`` name needs it; still longer names are folded.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    apart = (0, 1) if longest <= ROOMY else (0, 1, 0, 0)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=apart)
    for name in names:
        table.add_column(name, overflow="fold", min_width=NARROWEST)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(label, min_width=LONGEST_WORD)
    return table


def _recipe_table(recipes: "Sequence[RecipeComparison]") -> "Table":
    table = _columns(("recipe", "suite"), ("seeds", "change", "90 % interval", "spread"), "label")
    for found in recipes:
        table.add_row(*recipe_row(found))
    return table


def recipe_row(found: "RecipeComparison") -> "tuple[Text, ...]":
    """Return the cells of one recipe on one suite, changes in points."""
    from harness.report.wording import LABEL_TERMS

    decision = found.decision
    spread = "" if found.spread is None else f"{100 * found.spread:.1f}"
    named = (found.recipe, found.suite.name, str(len(found.candidates)))
    if decision is None:
        return *map(cell, (*named, "", "", spread)), cell("not decided", _STYLES["inconclusive"])
    numbers = (
        f"{100 * decision.delta:+.1f}",
        f"{100 * decision.ci_low:+.1f} to {100 * decision.ci_high:+.1f}",
        spread,
    )
    return (
        *map(cell, (*named, *numbers)),
        cell(LABEL_TERMS[decision.label], _STYLES[decision.verdict]),
    )


def _table(
    comparisons: "Sequence[Comparison]", *, sides: tuple[str, str] = ("base", "tuned")
) -> "Table":
    longest = max((len(comparison.suite.name) for comparison in comparisons), default=0)
    figures = ("items", *sides, "change", "90 % interval")
    table = _columns(("suite",), figures, "verdict", longest=longest)
    for comparison in comparisons:
        table.add_row(*row(comparison))
    return table


def row(comparison: "Comparison") -> "tuple[Text, ...]":
    """Return the cells of one comparison: scores in percent, changes in points."""
    from harness.report.wording import LABEL_TERMS

    suite, decision = comparison.suite, comparison.decision
    style = _STYLES[comparison.verdict]
    if decision is None or comparison.base is None or comparison.tuned is None:
        return *map(cell, (suite.name, "0", "", "", "", "")), cell("invalid", style)
    label = LABEL_TERMS[decision.label]
    if comparison.verdict == "fail" and decision.verdict != "fail":
        label = "must-pass failed"
    settled = comparison.verdict in ("pass", "fail")
    planned = getattr(decision, "planned", decision.n)
    early = getattr(decision, "used", planned) < planned
    cells = (
        suite.name,
        f"{decision.n}/{planned}" if early else str(decision.n),
        f"{100 * comparison.base:.1f}",
        f"{100 * comparison.tuned:.1f}",
        f"{100 * decision.delta:+.1f}",
        f"{100 * decision.ci_low:+.1f} to {100 * decision.ci_high:+.1f}",
    )
    return *map(cell, cells), cell(label if settled else comparison.verdict, style)


def why(comparison: "Comparison") -> str:
    """Return one sentence on a decision that needs one, else nothing."""
    decision = comparison.decision
    if comparison.reason or decision is None:
        return comparison.reason
    if decision.label == "regressed_within_margin":
        moved = "drop" if comparison.suite.higher_is_better else "rise"
        return f"a real {moved}, smaller than the margin of {100 * decision.margin:g} points"
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
            say(f"  {folder / name!s:<{len(str(folder)) + width + 1}}  {what}")


RUN_FILES = {
    "report.html": "the report: open it in a browser",
    "report.md": "the same for a pull request",
    "gate.json": "the verdict for programs",
    "review": "blinded sheets for human raters, each draw with its key",
}
"""What a run leaves for people, by name."""
