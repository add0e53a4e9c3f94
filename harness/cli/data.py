"""``harness data``: look at training rows before a model learns them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console

if TYPE_CHECKING:
    from rich.console import Console

    from harness.corpus import Cleaning
    from harness.ingest import Shape
    from harness.records import Example
    from harness.training import Look

app = typer.Typer(name="data", help="Look at training rows.", no_args_is_help=True)

BINS = 8
BAR = 32
FIRST = 3
"""Rows that are named for a step of cleaning."""


@app.callback()
def group() -> None:
    """Look at training rows."""


@app.command()
def show(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A file, a folder of texts, hub:owner/name, or a database's url."
        ),
    ],
    base: Annotated[str, typer.Option(help="Whose tokenizer and template.")] = "builtin:tiny",
    rows: Annotated[int, typer.Option(min=0, help="How many rows to show in full.")] = 3,
    query: Annotated[str, typer.Option(help="With a database's url: a SELECT.")] = "",
) -> None:
    """Show what a model would learn from rows: shape, cleaning, lengths, and some rows in full.

    Reads row by row, so that a file may be larger than memory. On a terminal, what is learnt is
    green; elsewhere it stands in brackets.

    Example: `harness data show train.jsonl --base builtin:tiny --rows 5`
    """
    from rich.console import Console

    from harness import corpus, training
    from harness.ingest import iter_examples
    from harness.study import BaseSection, Query, resolve_model

    cleaning = corpus.Cleaning()
    shapes: list[Shape] = []

    def read() -> "Iterator[Example]":
        wanted = Query(url=source, query=query) if query else source
        for shape, example in iter_examples(wanted, Path.cwd()):
            if not shapes:
                shapes.append(shape)
            yield example

    with console.stoppable(Path.cwd()):
        seen = training.look(
            cleaning.rows(read()),
            model=resolve_model(base, Path.cwd()),
            base=BaseSection(model=base),
            pictures=rows,
        )
    out = Console(highlight=False, soft_wrap=True)
    keys = ", ".join(shapes[0].keys)
    out.print(f"[bold]{source}[/]: shape [bold]{shapes[0].name}[/] (rows with {keys})")
    _show_cleaning(out, cleaning)
    _show_lengths(out, seen, base)
    _show_rows(out, seen)


def _show_cleaning(out: "Console", cleaning: "Cleaning") -> None:
    kept = cleaning.read - sum(len(origins) for origins in cleaning.dropped.values())
    out.print(f"{cleaning.read:,} rows, of which {kept:,} would be learnt\n")
    found = [
        (done, name, origins)
        for done, steps in (
            ("changed", cleaning.changed),
            ("dropped", cleaning.dropped),
            ("pointed out", cleaning.flagged),
        )
        for name, origins in steps.items()
        if origins
    ]
    if not found:
        out.print("Cleaning changes nothing and has nothing to point out.")
    for done, name, origins in found:
        more = ", ..." if len(origins) > FIRST else ""
        places = ", ".join(Path(origin).name for origin in origins[:FIRST])
        out.print(f"{done:<12}{name:<38}{len(origins):>9,} rows  ", end="")
        out.print(f"{places}{more}", style="dim", markup=False)


def _show_lengths(out: "Console", seen: "Look", base: str) -> None:
    template = "through its chat template" if seen.templated else "as plain text"
    out.print(f"\nLengths in tokens of {base}, {template}:")
    binned, width = _binned(seen.lengths)
    most = max(binned.values())
    for end in range(min(binned), max(binned) + width, width):
        bar = "█" * -(-BAR * binned[end] // most)
        out.print(f"  up to {end:>7,}  {bar:<{BAR}} {binned[end]:>9,} rows")
    longest = max(seen.lengths)
    out.print(
        f"  longest {longest:,}; {seen.too_long:,} rows ({seen.too_long / seen.rows:.1%}) exceed "
        f"the {seen.room:,} tokens that the base can see"
        + (", and would be left out" if seen.too_long else "")
    )


def _binned(lengths: Counter[int]) -> tuple[Counter[int], int]:
    """Return rows by the upper end of their bin, and the width of a bin."""
    width = max(1, -(-max(lengths) // BINS))
    binned: Counter[int] = Counter()
    for length, rows in lengths.items():
        binned[-(-length // width) * width] += rows
    return binned, width


def _show_rows(out: "Console", seen: "Look") -> None:
    from rich.text import Text

    share = seen.learnt / seen.tokens
    coloured = out.is_terminal and not out.no_color
    how = "in green" if coloured else "in ⟦ ⟧"
    out.print(f"\nLearnt is what stands {how}, {share:.0%} of all tokens; the rest is only read.")
    for origin, parts in seen.pictures:
        out.print(f"\n{origin}", style="bold", markup=False)
        text = Text()
        for part, learnt in parts:
            if coloured:
                text.append(part, style="green" if learnt else "dim")
            else:
                text.append(f"⟦{part}⟧" if learnt else part)
        out.print(text)
