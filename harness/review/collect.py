"""Ratings back from the sheets: checked against the key and unblinded."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from harness.errors import DataError
from harness.inputs import open_input
from harness.records import ItemKey, RatedSet, Rating, SetSummary
from harness.review.key import Key, KeyRow, KeySet, fingerprint, read_keys
from harness.review.sheets import ASKED, CHOICES, COLUMNS, FAULTS, SHOWN, arm
from harness.review.summary import summarize

_TOWARDS_A = {"A much better": 2, "A slightly better": 1, "both good": 0, "both bad": 0,
              "B slightly better": -1, "B much better": -2}  # fmt: skip

_ROWS = 100_000
_UNPACKED = 100_000_000
"""Rows and bytes beyond which no workbook is a rating sheet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """Every judgement, and a summary for each set; ``missing`` counts rows left empty."""

    ratings: tuple[Rating, ...]
    summaries: tuple[SetSummary, ...]
    missing: int


def collect(folder: Path, rated_files: Iterable[Path]) -> Ratings:
    """Read filled-in sheets and sum up who won.

    Args:
        folder: A draw's folder, with ``key.json``, or the folder of all draws.
        rated_files: Workbooks or CSV files that came back, under any name.

    Returns:
        The judgements and their summary, in the order of the key.

    Raises:
        DataError: No key; a file that is no rating sheet; a row that is unknown, edited or rated
            twice differently; sheets of two draws; a rating that is not in the list.
    """
    sheets = [(path, _read_sheet(path)) for path in rated_files]
    key = _key_of([cells["Row"] for _, sheet in sheets for _, cells in sheet], folder)
    where = {row: name for name, entry in key["sets"].items() for row in entry["rows"]}
    rated: dict[str, Rating] = {}
    missing: set[str] = set()
    for path, sheet in sheets:
        for line, cells in sheet:
            name = where.get(cells["Row"])
            if name is None:
                raise DataError(
                    f"{path}:{line}: every row must be in the key: {cells['Row']!r} is not; "
                    "collect with the key that was written with these sheets"
                )
            rating = _rating(cells, name, key["sets"][name], f"{path}:{line}")
            if rating is None:
                missing.add(cells["Row"])
            elif rated.setdefault(cells["Row"], rating) != rating:
                raise DataError(
                    f"{path}:{line}: a row may be rated once: {cells['Row']!r} has two different "
                    "ratings; keep one of the files"
                )
    ratings = tuple(rated[row] for row in where if row in rated)
    summaries = tuple(
        summarize(_rated_set(name, entry), ratings) for name, entry in key["sets"].items()
    )
    return Ratings(ratings=ratings, summaries=summaries, missing=len(missing - rated.keys()))


def _key_of(rows: Sequence[str], folder: Path) -> Key:
    """Return the key of the draw that these rows are of.

    Raises:
        DataError: If there is no key, or the rows are of several draws.
    """
    keys = read_keys(folder)
    known = [{row for entry in key["sets"].values() for row in entry["rows"]} for key in keys]
    mine = [key for key, names in zip(keys, known, strict=True) if not names.isdisjoint(rows)]
    if len(mine) > 1:
        names = ", ".join(key.get("draw", "one of an earlier version") for key in mine)
        raise DataError(
            f"sheets of one draw are collected at a time: these are of {names}; "
            "collect those of each draw apart"
        )
    return mine[0] if mine else keys[-1]


def _read_sheet(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Read the ratings of a workbook or a CSV file, with their line numbers."""
    is_csv = path.suffix.lower() == ".csv"
    try:
        table = _csv_rows(path) if is_csv else _workbook_rows(path)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"a rating sheet must be a workbook or a CSV: {path}: {error}") from error
    if not table or tuple(table[0][: len(COLUMNS)]) != COLUMNS:
        raise DataError(
            f"{path}:1: a rating sheet must have the columns {', '.join(COLUMNS)}: "
            f"found {', '.join(table[0]) if table else 'nothing'}; hand back the sheet as it was"
        )
    return [
        (line, dict(zip_longest(COLUMNS, row[: len(COLUMNS)], fillvalue="")))
        for line, row in enumerate(table[1:], start=2)
        if any(row)
    ]


def _csv_rows(path: Path) -> list[list[str]]:
    with open_input(path, newline="") as file:
        text = file.read()
    delimiter = ";" if text.startswith(f"{COLUMNS[0]};") else ","
    rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter))
    return [[arm(cell) for cell in row] for row in rows]


def _workbook_rows(path: Path) -> list[list[str]]:
    import openpyxl

    if not path.is_file():
        raise ValueError("there is no such file")
    try:
        _refuse_bomb(path)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = book["Ratings"].iter_rows(max_row=_ROWS, max_col=len(COLUMNS), values_only=True)
        return [["" if cell is None else str(cell) for cell in row] for row in rows]
    except MemoryError:
        raise
    except Exception as error:  # whatever archives, XML and cells make a reader raise
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from error


def _refuse_bomb(path: Path) -> None:
    from zipfile import ZipFile

    with ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
    if size > _UNPACKED:
        raise ValueError(f"it unpacks to {size:,} bytes, more than any rating sheet")


def _rating(cells: Mapping[str, str], name: str, entry: KeySet, place: str) -> Rating | None:
    known = entry["rows"][cells["Row"]]
    if fingerprint([cells[column] for column in SHOWN]) != known["sha256"]:
        raise DataError(
            f"{place}: question and answers must be as they were handed out: row {cells['Row']!r} "
            "was edited; copy the ratings into a fresh sheet"
        )
    choice, fault_a, fault_b, comment = (cells.get(column, "").strip() for column in ASKED)
    if not choice:
        return None
    for value, allowed in ((choice, CHOICES), (fault_a, ("", *FAULTS)), (fault_b, ("", *FAULTS))):
        if value not in allowed:
            raise DataError(
                f"{place}: a rating must be in the list: found {value!r}; "
                f"use one of {', '.join(filter(None, allowed))}"
            )
    is_tuned_a = known["base_side"] == "B"
    towards_a = _TOWARDS_A.get(choice)
    return Rating(
        row=cells["Row"],
        set_name=name,
        suite=entry["suite"],
        candidate=entry["candidate"],
        item=_item_key(known),
        rater=known["rater"],
        stratum=known["stratum"],
        preference=None if towards_a is None else towards_a if is_tuned_a else -towards_a,
        tuned_side="A" if is_tuned_a else "B",
        choice=choice,
        base_tags=tuple(filter(None, [fault_b if is_tuned_a else fault_a])),
        tuned_tags=tuple(filter(None, [fault_a if is_tuned_a else fault_b])),
        comment=comment,
    )


def _rated_set(name: str, entry: KeySet) -> RatedSet:
    return RatedSet(
        name=name,
        suite=entry["suite"],
        candidate=entry["candidate"],
        strata={str(stratum): size for stratum, size in entry["strata"].items()},
        identical=entry["identical"],
        unscored=entry["unscored"],
    )


def _item_key(row: KeyRow) -> ItemKey:
    suite, filter_, doc_hash, occurrence = row["item"]
    return ItemKey(str(suite), str(filter_), str(doc_hash), int(occurrence))
