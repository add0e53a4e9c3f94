"""Data cards in a run's folder: one JSON file per candidate, which reports are made from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from harness.errors import InfrastructureError
from harness.files import inside, write_text
from harness.inputs import parse_json, read_input
from harness.records import TrainingData

LISTED = 1000
"""Rows that a card names for each step; all are counted."""

Touched = Mapping[str, Sequence[str]]


def card_path(run: Path, candidate: str) -> Path:
    """Return where a run's folder has the data card of a candidate."""
    return inside(run, "data", f"{candidate}.json")


def write_card(run: Path, card: TrainingData, touched: Touched) -> None:
    """Write a data card, with the rows that each step touched beside their number.

    Cleaning leaves the source alone, so these rows are there as they were.
    """
    data = asdict(card)
    data["touched"] = {name: list(rows[:LISTED]) for name, rows in touched.items() if rows}
    write_text(
        card_path(run, card.candidate), json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    )


def read_card(run: Path, candidate: str) -> TrainingData | None:
    """Return the data card of a candidate, or None where a run has none.

    Raises:
        InfrastructureError: If it cannot be read.
    """
    path = card_path(run, candidate)
    if not path.is_file():
        return None
    try:
        data = parse_json(read_input(path))
        return TypeAdapter(TrainingData).validate_python(data)
    except (OSError, ValueError) as error:
        raise InfrastructureError(
            f"a data card must be readable: {path}: {error}; run the study again"
        ) from error
