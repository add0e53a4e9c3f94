"""The key to a draw, ``key.json``: which answer is whose, never handed to raters."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired
from unicodedata import normalize

from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic needs it on Python 3.11

from harness.errors import DataError
from harness.inputs import first_problem, parse_json, read_input
from harness.review.packet import Form

KEY = "key.json"

_LINE_END = re.compile("_x000D_")
"""A carriage return in workbooks, which some programs make of these letters."""
_OTHER_THAN_ASCII = re.compile(r"[^\x20-\x7e\s]|\?")


class KeyRow(TypedDict):
    """One row of a rater's sheet in the key.

    ``sha256`` is of what the rater saw, ``sha256_ascii`` of what is left of it in a file that knows
    no other letters, ``answers`` of the two answers as they were drawn. ``repeats`` is the row that
    this one shows again. Keys of earlier versions lack what is not required.
    """

    rater: int
    item: list[str | int]
    transition: str
    stratum: str
    probability: float
    base_side: str
    sha256: str
    sha256_ascii: NotRequired[tuple[str, str]]
    answers: NotRequired[str]
    repeats: NotRequired[str]


class KeySet(TypedDict):
    """One candidate on one suite: the sizes of its strata, and its rows by their name."""

    suite: str
    candidate: str
    strata: dict[str, int]
    identical: int
    unscored: int
    rows: dict[str, KeyRow]
    form: NotRequired[Form]
    tags: NotRequired[list[str]]


class Key(TypedDict):
    """The whole key: its sets by name, and the sha256 of each sheet as it was written.

    ``draw`` is the draw's name; keys of earlier versions have none.
    """

    warning: str
    draw: NotRequired[str]
    seed: int
    sets: dict[str, KeySet]
    files: dict[str, str]


def key_text(
    sets: Mapping[str, KeySet], files: Mapping[str, bytes], seed: int, drawing: str
) -> str:
    """Return the key of some sheets as JSON."""
    key: Key = {
        "warning": "keep this from raters: it says which answer is whose",
        "draw": drawing,
        "seed": seed,
        "sets": dict(sets),
        "files": {name: sha256(data) for name, data in files.items()},
    }
    return json.dumps(key, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def read_key(path: Path) -> Key:
    """Read a key.

    Raises:
        DataError: If it is missing, or no key.
    """
    try:
        return TypeAdapter(Key).validate_python(parse_json(read_input(path)))
    except (OSError, ValueError) as error:
        reason = first_problem(error)
    raise DataError(f"collecting needs the key that belongs to the sheets: {path}: {reason}")


def read_keys(folder: Path) -> list[tuple[Path, Key]]:
    """Read the keys of all draws in a folder, or of the one draw that it is, with their folders.

    Raises:
        DataError: If there is none, or one that is no key.
    """
    found = sorted(path for path in (folder / KEY, *folder.glob(f"*/{KEY}")) if path.is_file())
    return [(path.parent, read_key(path)) for path in found or [folder / KEY]]


def fingerprint(cells: Sequence[str]) -> str:
    """Return a hash of what a rater saw, by which an edited row is found out.

    White space does not count: spreadsheets lose tabs and change the ends of lines on their own.
    """
    return _sha256(["".join(_LINE_END.sub("", cell).split()) for cell in cells])


def fingerprints_ascii(cells: Sequence[str]) -> tuple[str, str]:
    """Return hashes of the ASCII in what a rater saw, without question marks and white space.

    A file in an old encoding has question marks where it knows no letter, or the letter's plain
    form: the second hash is of what is left with those.
    """
    plain = [normalize("NFKC", cell) for cell in cells]
    return _sha256_ascii(cells), _sha256_ascii(plain)


def fingerprint_1(cells: Sequence[str]) -> str:
    """Return the hash that keys of earlier versions hold: white space counts but at lines' ends."""
    plain = ["\n".join(line.rstrip() for line in cell.splitlines()).strip() for cell in cells]
    return _sha256(plain)


def sha256(data: bytes) -> str:
    """Return the sha256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


def _sha256_ascii(cells: Sequence[str]) -> str:
    left = [_OTHER_THAN_ASCII.sub("", _LINE_END.sub("", cell)) for cell in cells]
    return _sha256(["".join(cell.split()) for cell in left])


def _sha256(cells: Sequence[str]) -> str:
    return sha256("\x1f".join(cells).encode("utf-8", "backslashreplace"))
