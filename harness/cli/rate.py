"""``harness rate``: judge answers that were made elsewhere, without any model."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.errors import HarnessError


def command(
    suite: Annotated[
        str,
        typer.Argument(
            help="sql, qa, choice, coherence, conversation, tools, refusal, classification or "
            "summary."
        ),
    ],
    answers: Annotated[Path, typer.Argument(metavar="INPUT", help="JSONL, one answer a line.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Where the verdicts go (JSONL).")],
    db: Annotated[
        str | None,
        typer.Option("--db", help="sql: folder of <db_id>/<db_id>.sqlite files, or postgresql://…"),
    ] = None,
    rule: Annotated[
        str, typer.Option(help="sql: harness, or spider or bird for those papers' rules.")
    ] = "harness",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="sql: count a disputed difference as right: extra_columns, all_ties or "
            "text_numbers. May be given several times."
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            help="coherence: minilm, wordllama or words; the first that is installed by default."
        ),
    ] = None,
) -> None:
    """Judge answers from a file, without any model.

    One verdict a line, in the same order. Stopped or killed, the same command goes on.

    Example: `harness rate sql predictions.jsonl -o verdicts.jsonl --db database`
    """
    from harness import rating

    with console.stoppable(out.parent):
        counts = rating.rate_file(
            suite, answers, out, databases=db, rule=rule, allow=allow or (), measure=measure
        )
    console.say(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    console.say(f"verdicts are in {out}")
    if not set(counts) - {"unscored"}:
        raise HarnessError("nothing could be scored; each line of the output says why")
