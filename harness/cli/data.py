"""``harness data``: show training rows as the model sees them, with lengths and loss mask."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console

if TYPE_CHECKING:
    from harness.corpus import Cleaning
    from harness.ingest import Shape, Unlearnt
    from harness.records import Example
    from harness.study import BaseSection
    from harness.training import DataCard, RowTokenizer

app = typer.Typer(name="data", help="Look at training rows.", no_args_is_help=True)

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
    template_kwargs: Annotated[
        str,
        typer.Option(
            "--chat-template-kwargs",
            metavar="JSON",
            help='Arguments of the chat template: {"enable_thinking": false}.',
        ),
    ] = "{}",
    query: Annotated[str, typer.Option(help="With a database's url: a SELECT.")] = "",
) -> None:
    """Show what a model would learn from rows: shape, cleaning, lengths, and some rows in full.

    Reads row by row, so that a file may be larger than memory. On a terminal, what is learnt is
    green; elsewhere it stands in brackets.

    Example: `harness data show train.jsonl --base builtin:tiny --rows 5`
    """
    from harness import corpus, training
    from harness.errors import DataError
    from harness.ingest import Unlearnt, iter_examples
    from harness.study import Query, resolve_model

    cleaning = corpus.Cleaning()
    shapes: list[Shape] = []
    unlearnt = Unlearnt()

    def read() -> "Iterator[Example]":
        wanted = Query(url=source, query=query) if query else source
        for shape, example in iter_examples(wanted, Path.cwd(), unlearnt):
            if not shapes:
                shapes.append(shape)
            yield example

    with console.stoppable(Path.cwd()):
        section = _base(base, template_kwargs)
        tokenizer = training.RowTokenizer(resolve_model(base, Path.cwd()), section)
        card = training.DataCard(shown=rows).count(tokenizer.encode(cleaning.rows(read())))
        if not card.rows:
            raise DataError("there must be rows to show: cleaning left none")
        context = tokenizer.context_length
    keys = ", ".join(shapes[0].keys)
    console.say(f"{source}: shape {shapes[0].name} (rows with {keys})", style="bold")
    _show_cleaning(cleaning, unlearnt)
    template = "through its chat template" if tokenizer.chat else "as plain text"
    console.say(f"\nLengths in tokens of {base}, {template}:")
    _show_lengths(card, context)
    _show_rows(card, tokenizer)


def _base(model: str, template_kwargs: str) -> "BaseSection":
    """Return a base with arguments of its chat template, which come as JSON."""
    from pydantic import ValidationError

    from harness.errors import StudyError
    from harness.inputs import first_problem
    from harness.study import BaseSection

    try:
        options = json.loads(template_kwargs)
        return BaseSection.model_validate({"model": model, "chat_template_kwargs": options})
    except (json.JSONDecodeError, ValidationError) as error:
        raise StudyError(
            f"--chat-template-kwargs takes one JSON object: found {template_kwargs!r}: "
            f"{first_problem(error)}"
        ) from error


def _show_cleaning(cleaning: "Cleaning", unlearnt: "Unlearnt") -> None:
    kept = cleaning.read - sum(len(origins) for origins in cleaning.dropped.values())
    read = cleaning.read + len(unlearnt.rows)
    console.say(f"{read:,} rows, of which {kept:,} would be learnt\n")
    for name, rows in unlearnt.ignored.items():
        console.say(f"not learnt from  {name:<33}{rows:>9,} rows")
    found = [
        (done, name, origins)
        for done, steps in (
            ("changed", cleaning.changed),
            ("dropped", unlearnt.dropped(_fixed(cleaning.dropped))),
            ("pointed out", cleaning.flagged),
        )
        for name, origins in steps.items()
        if origins
    ]
    if not found:
        console.say("Cleaning changes nothing and has nothing to point out.")
    for done, name, origins in found:
        more = ", ..." if len(origins) > FIRST else ""
        places = ", ".join(Path(origin).name for origin in origins[:FIRST])
        console.say(f"{done:<12}{name:<38}{len(origins):>9,} rows  {places}{more}")


def _fixed(steps: "dict[str, list[str]]") -> dict[str, tuple[str, ...]]:
    return {name: tuple(origins) for name, origins in steps.items()}


def _show_lengths(card: "DataCard", context: int) -> None:
    bins = list(card.histogram())
    most = max(rows for _, rows in bins)
    while not bins[0][1]:
        del bins[0]
    for end, rows in bins:
        bar = "█" * -(-BAR * rows // most)
        console.say(f"  up to {end:>7,}  {bar:<{BAR}} {rows:>9,} rows")
    too_long = card.longer_than(context)
    console.say(
        f"  longest {card.longest:,}; {too_long:,} rows ({too_long / card.rows:.1%}) exceed "
        f"the {context:,} tokens that the base can see"
        + (", and would be left out" if too_long else "")
    )


def _show_rows(card: "DataCard", tokenizer: "RowTokenizer") -> None:
    from harness.training import marked

    share = card.learnt / card.tokens
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    how = "in green" if coloured else "in ⟦ ⟧"
    console.say(f"\nLearnt is what stands {how}, {share:.0%} of all tokens; the rest is only read.")
    for origin, parts in card.pictures(tokenizer.tokenizer):
        console.say(f"\n{origin}", style="bold")
        if coloured:
            console.say_parts([(part, "green" if learnt else "dim") for part, learnt in parts])
        else:
            console.say(marked(parts))
