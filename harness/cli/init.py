"""``harness init``: a commented study file to start from."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console
from harness.errors import StudyError
from harness.files import check_output, write_text

if TYPE_CHECKING:
    from harness.ingest.own_study import BegunStudy

TEMPLATE = Path(__file__).with_name("study_template.yaml")
SCHEMA = "study.schema.json"
EXAMPLE_ROWS = Path(__file__).with_name("example_rows.jsonl")
TRAIN = Path("data", "train.jsonl")
"""Where the template takes its training rows from, beside the study."""


def command(
    path: Annotated[Path, typer.Argument(help="Where to write the study.")] = Path("study.yaml"),
    data: Annotated[
        str, typer.Option(help="Your rows: a file, a folder of texts, or hub:owner/name.")
    ] = "",
    base: Annotated[str, typer.Option(help="With --data: the base model.")] = "builtin:tiny",
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="With --data: a field and its column, such as question=Frage. Several times."
        ),
    ] = None,
    group: Annotated[
        str, typer.Option(help="With --data: the column whose values stay on one side.")
    ] = "",
    databases: Annotated[
        str, typer.Option(help="With --data: the folder of databases that db_id names.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Write a commented study file and its schema for editors, with a few rows or with yours.

    With --data the shape of your rows decides how they are learnt and judged, and a part of them is
    split off to be asked.

    Example: `harness init study.yaml`
    """
    if data:
        _require_readable(data)  # a mistyped name is the better sentence
    if path.exists() and not force:
        raise StudyError(f"a file must not be overwritten by accident: {path} exists; use --force")
    check_output(path)
    if not data and (column or group or databases or base != "builtin:tiny"):
        raise StudyError(
            "--base, --column, --group and --databases are about your rows: name them by --data"
        )
    if data:
        from harness.ingest.own_study import begin_study

        columns = console.named_columns(column or ())
        begun = begin_study(data, base, columns=columns, group=group, databases=databases)
        _write_own(path, data, begun, force=force)
    else:
        _write_example(path)
    console.say(f"wrote {path} and {path.with_name(SCHEMA)}; next: harness plan {path}")


def _require_readable(data: str) -> None:
    """Read a first row of what lies here; what lies on the hub is read once it is wanted."""
    from harness.ingest.sources import HUB, rows_of

    if not data.startswith(HUB):
        next(rows_of(data, Path.cwd()), None)


def _write_example(path: Path) -> None:
    rows = path.parent / TRAIN
    if not rows.exists():
        write_text(rows, EXAMPLE_ROWS.read_text(encoding="utf-8"))
        console.say(f"wrote {rows}: examples, put your own rows in their place")
    _write_schema(path)
    write_text(path, TEMPLATE.read_text(encoding="utf-8"))  # last: where it is, all is there


def _write_own(path: Path, data: str, begun: "BegunStudy", *, force: bool) -> None:
    *others, study = begun.files
    for name in others:
        place = path.parent / name
        if place.exists() and not force:
            raise StudyError(
                f"a file must not be overwritten by accident: {place} exists; use --force, or "
                "begin the study in another folder"
            )
        check_output(place, inputs=[Path(data)])
    for name in others:
        write_text(path.parent / name, begun.files[name])
    _write_schema(path)
    write_text(path, begun.files[study])
    console.say(f"{data}: {begun.what}")
    console.say(f"  {begun.learnt} rows to learn, {begun.asked} to ask, split by {begun.by}")
    if begun.empty:
        console.say(f"  {console.more_rows(begun.empty)} left out: a column is empty there")
    if begun.unused:
        console.say(f"  columns that nothing is made of: {', '.join(begun.unused)}")


def _write_schema(path: Path) -> None:
    from harness import study

    write_text(path.with_name(SCHEMA), json.dumps(study.json_schema(), indent=2) + "\n")
