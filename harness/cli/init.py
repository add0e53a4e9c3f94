"""``harness init``: a commented study file to start from."""

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.errors import StudyError
from harness.files import check_output, write_text

TEMPLATE = Path(__file__).with_name("study_template.yaml")
SCHEMA = "study.schema.json"
EXAMPLE_ROWS = Path(__file__).with_name("example_rows.jsonl")
TRAIN = Path("data", "train.jsonl")
"""Where the template takes its training rows from, beside the study."""


def command(
    path: Annotated[Path, typer.Argument(help="Where to write the study.")] = Path("study.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented study file, its schema for editors, and a few rows to replace.

    Example: `harness init study.yaml`
    """
    from harness import study

    if path.exists() and not force:
        raise StudyError(f"a file must not be overwritten by accident: {path} exists; use --force")
    check_output(path)
    rows = path.parent / TRAIN
    if not rows.exists():
        write_text(rows, EXAMPLE_ROWS.read_text(encoding="utf-8"))
        console.say(f"wrote {rows}: examples, put your own rows in their place")
    write_text(path.with_name(SCHEMA), json.dumps(study.json_schema(), indent=2) + "\n")
    write_text(path, TEMPLATE.read_text(encoding="utf-8"))  # last: where it is, all is there
    console.say(f"wrote {path} and {path.with_name(SCHEMA)}; next: harness plan {path}")
