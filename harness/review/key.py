"""The key to a draw, ``key.json``: which answer is whose, never handed to raters."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from harness.errors import DataError
from harness.review.draw import Stratum

KEY = "key.json"


class KeyRow(TypedDict):
    """One row of a rater's sheet in the key; ``sha256`` is of what the rater saw."""

    rater: int
    item: list[str | int]
    transition: str
    stratum: str
    probability: float
    base_side: str
    sha256: str


class KeySet(TypedDict):
    """One candidate on one suite: the sizes of its strata, and its rows by their name."""

    suite: str
    candidate: str
    strata: dict[Stratum, int]
    identical: int
    unscored: int
    rows: dict[str, KeyRow]


class Key(TypedDict):
    """The whole key: its sets by name, and the sha256 of each sheet as it was written."""

    warning: str
    seed: int
    sets: dict[str, KeySet]
    files: dict[str, str]


def key_text(sets: Mapping[str, KeySet], files: Mapping[str, bytes], seed: int) -> str:
    """Return the key of some sheets as JSON."""
    key: Key = {
        "warning": "keep this from raters: it says which answer is whose",
        "seed": seed,
        "sets": dict(sets),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    return json.dumps(key, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def read_key(path: Path) -> Key:
    """Read a key.

    Raises:
        DataError: If it is missing, or no JSON.
    """
    try:
        key: Key = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"collecting needs the key that belongs to the sheets: {path}: {error}"
        ) from error
    return key


def fingerprint(cells: Sequence[str]) -> str:
    """Return a hash of what a rater saw, by which an edited row is found out.

    White space at the ends of lines does not count: spreadsheets change it on their own.
    """
    plain = ["\n".join(line.rstrip() for line in cell.splitlines()).strip() for cell in cells]
    return hashlib.sha256("\x1f".join(plain).encode()).hexdigest()
