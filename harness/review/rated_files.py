"""Files that come back from raters, as rows of cells with one name each, whatever their form."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.display_text import one_line
from harness.inputs import json_problem, parse_json, refuse_pipe
from harness.review.forms import label_studio_ratings
from harness.review.packet import RATINGS_FORMAT
from harness.review.spreadsheet_tables import (
    LARGEST,
    Table,
    decoded,
    is_archive,
    is_workbook,
    text_table,
    unpacked,
    workbook_tables,
)

SHOWN_CELLS = ("question", "reference", "answer_a", "answer_b")

_TITLES: dict[str, tuple[str, ...]] = {
    "row": ("row", "rowid", "rowname", "id", "item", "itemid"),
    "question": ("question", "prompt", "context", "conversation"),
    "reference": ("reference", "referenceanswer", "wantedanswer"),
    "answer_a": ("answera", "a", "responsea"),
    "answer_b": ("answerb", "b", "responseb"),
    "choice": ("preference", "choice", "rating", "preferred", "yourpreference", "yourrating"),
    "score_a": ("scoreofa", "scorea", "ascore", "ratingofa", "ratinga"),
    "score_b": ("scoreofb", "scoreb", "bscore", "ratingofb", "ratingb"),
    "tags_a": ("faultofa", "faulta", "faultsofa", "faultsa", "tagsofa", "tagsa", "tagofa", "taga",
               "errorofa", "errora", "errorsofa", "errorsa"),
    "tags_b": ("faultofb", "faultb", "faultsofb", "faultsb", "tagsofb", "tagsb", "tagofb", "tagb",
               "errorofb", "errorb", "errorsofb", "errorsb"),
    "comment": ("comment", "comments", "note", "notes", "remark", "remarks"),
}  # fmt: skip
"""What a column may be called, in small letters without anything between them."""

_KNOWN = {title: name for name, titles in _TITLES.items() for title in titles}
_HEADINGS = 20
"""Rows of a sheet among which its titles must be."""
_RATED = ({"row", "choice"}, {"row", "score_a", "score_b"})
_SHEETS = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".csv", ".tsv"})
_DEPTH = 2
"""Files of an archive that are sheets whatever is in them, and how deep archives lie in others."""
_WESTERN = frozenset(bytes(range(128, 160)).decode("cp1252", "ignore"))
_MISREAD = "\ufeff".encode().decode("cp1252")
"""Letters that only this encoding has, and what it makes of UTF-8's byte-order mark."""
_PAGE = re.compile(r"\s*(<!doctype html|<html)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedRow:
    """One row as a rater gave it back: cells by name, and where it stands.

    ``is_exact`` is False where the file's encoding does not know every letter.
    """

    place: str
    cells: Mapping[str, str]
    is_exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedFile:
    """What came back in one file; ``problem`` says why it could not be read.

    ``modified`` is when it was last changed, in seconds since 1970. Of a ``is_sheet`` every row
    that was handed out is expected.
    """

    name: str
    modified: float
    rows: tuple[RatedRow, ...] = ()
    is_sheet: bool = True
    problem: str = ""


def read_rated(paths: Sequence[Path]) -> Iterator[RatedFile]:
    """Yield what came back, file by file; those of an archive one by one."""
    for path in paths:
        try:
            data, modified = _bytes(path)
        except (OSError, ValueError) as error:
            told = getattr(error, "strerror", None) or str(error)
            yield RatedFile(name=str(path), modified=0.0, problem=one_line(told))
        else:
            yield from _files(str(path), data, modified)


def _bytes(path: Path) -> tuple[bytes, float]:
    refuse_pipe(path)
    found = path.stat()
    if found.st_size > LARGEST:
        raise ValueError(f"it has {found.st_size:,} bytes, more than any rating sheet")
    return path.read_bytes(), found.st_mtime


def _files(name: str, data: bytes, modified: float, depth: int = 0) -> list[RatedFile]:
    try:
        if not is_archive(data):
            rows, is_sheet = _rows(data)
            return [RatedFile(name=name, modified=modified, rows=rows, is_sheet=is_sheet)]
        found = [
            each
            for one in (unpacked(data) if depth < _DEPTH else ())
            for each in _files(f"{name}/{one.name}", one.data, one.modified, depth + 1)
            if each.rows or Path(one.name).suffix.lower() in _SHEETS
        ]
    except ValueError as error:
        return [RatedFile(name=name, modified=modified, problem=one_line(str(error)))]
    nothing = RatedFile(name=name, modified=modified, problem="no filled-in sheet is in it")
    return found or [nothing]


def _rows(data: bytes) -> tuple[tuple[RatedRow, ...], bool]:
    """Return the rows of a file, and whether it is a sheet.

    Raises:
        ValueError: If it has none.
    """
    if is_workbook(data):
        tables, is_exact = workbook_tables(data), True
    else:
        found = decoded(data)
        if found.text.lstrip().startswith(("{", "[")):
            return tuple(_json_rows(found.text)), False
        if _PAGE.match(found.text):
            raise ValueError("it is the page itself: press Download in it and hand in that file")
        tables, is_exact = [text_table(found.text, _is_title)], found.is_exact
    rows = tuple(row for table in tables for row in _table_rows(table, is_exact=is_exact))
    if not rows:
        raise ValueError("it has no rows below the titles 'Row' and 'Preference' (or two scores)")
    return rows, True


def _title(text: str) -> str:
    return _KNOWN.get(re.sub(r"[^a-z]+", "", text.lower()), "")


def _is_title(text: str) -> bool:
    return bool(_title(text))


def _table_rows(table: Table, *, is_exact: bool = True) -> Iterator[RatedRow]:
    """Yield the rows below the titles of a rating sheet; other tables have none."""
    headings = [{_title(text) for text in row} for row in table[:_HEADINGS]]
    line = next((i for i, names in enumerate(headings) if any(r <= names for r in _RATED)), None)
    if line is None:
        return
    names = [_title(text) for text in table[line]]
    is_misread = any(text.startswith(_MISREAD) for text in table[line])
    for number, row in enumerate(table[line + 1 :], start=line + 2):
        if any(cell.strip() for cell in row):
            padded = [*row, *[""] * (len(names) - len(row))]
            found = zip(reversed(names), reversed(padded[: len(names)]), strict=True)
            cells = {name: cell for name, cell in found if name}  # of two alike the first counts
            if is_misread:
                cells = {name: _reread(cell) for name, cell in cells.items()}
            yield RatedRow(place=f"row {number}", cells=cells, is_exact=is_exact)


def _reread(text: str) -> str:
    """Return what UTF-8 says that was read as Windows' western encoding; other text as it is."""
    try:
        return b"".join(map(_western, text)).decode("utf-8")
    except UnicodeError:
        return text


def _western(char: str) -> bytes:
    """Return the byte that was read as a letter; LibreOffice has some for bytes without one."""
    if 0xF180 <= ord(char) <= 0xF1FF:
        return bytes([ord(char) - 0xF100])
    return char.encode("cp1252" if char in _WESTERN else "latin-1")


def _json_rows(text: str) -> Iterator[RatedRow]:
    """Yield the ratings of a rating page, or of an export of Label Studio.

    Raises:
        ValueError: If it is neither.
    """
    try:
        told = parse_json(text.removeprefix("\ufeff"))
    except ValueError as error:
        raise ValueError(f"it is no JSON: {json_problem(error)}") from error
    if isinstance(told, list):
        told = {"format": RATINGS_FORMAT, "ratings": list(map(asdict, label_studio_ratings(told)))}
    if not isinstance(told, dict) or told.get("format") != RATINGS_FORMAT:
        raise ValueError(f"its JSON is not of the format {RATINGS_FORMAT}")
    for number, rating in enumerate(_objects(told.get("ratings")), start=1):
        cells = {name: _text(rating.get(name)) for name in _TITLES if name in rating}
        yield RatedRow(place=f"rating {number}", cells={"row": "", **cells})


def _objects(value: object) -> list[dict[str, object]]:
    """Return the objects of a list; what else is in it is nobody's rating."""
    found = value if isinstance(value, list) else []
    return [each for each in found if isinstance(each, dict)]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)
