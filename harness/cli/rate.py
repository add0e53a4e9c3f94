"""``harness rate``: judge answers that were made elsewhere, without any model."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.errors import HarnessError
from harness.files import check_output, write_text


def command(
    suite: Annotated[str, typer.Argument(help="sql, qa, choice or coherence.")],
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
) -> None:
    """Judge answers from a file, without any model.

    One verdict a line, in the same order.

    Example: `harness rate sql predictions.jsonl -o verdicts.jsonl --db database`
    """
    from harness import rating

    check_output(out, inputs=[answers])
    rows = rating.read_rows(answers)
    verdicts = list(rating.rate(suite, rows, databases=db, rule=rule, allow=allow or ()))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in verdicts)
    write_text(out, lines)
    counts = Counter(row["verdict"] for row in verdicts)
    console.say(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    console.say(f"verdicts are in {out}")
    if verdicts and not set(counts) - {"unscored"}:
        raise HarnessError("nothing could be scored; each line of the output says why")
