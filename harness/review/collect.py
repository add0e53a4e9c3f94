"""Ratings back from the sheets: checked against the key, unblinded, and summed up."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, variance
from typing import Any

from harness.errors import DataError
from harness.records import ItemKey
from harness.review.sheets import ASKED, CHOICES, COLUMNS, FAULTS, SHOWN, arm
from harness.review.write import KEY, fingerprint

LEVEL = 0.90
"""Level of every interval."""

_TOWARDS_A = {"A much better": 2, "A slightly better": 1, "both good": 0, "both bad": 0,
              "B slightly better": -1, "B much better": -2}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One judgement, unblinded.

    ``preference`` is 2 or 1 where tuned is much or slightly better, -2 or -1 where base is, 0 for
    a tie, None for "cannot judge". ``tuned_side`` is ``A`` or ``B``.
    """

    set_name: str
    suite: str
    candidate: str
    item: ItemKey
    rater: int
    stratum: str
    preference: int | None
    tuned_side: str
    choice: str
    base_fault: str = ""
    tuned_fault: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSummary:
    """What the ratings of one candidate on one suite say.

    ``wins``, ``ties`` and ``losses`` count judgements from tuned's view, among the rows shown.
    ``win_rate`` is for the whole suite (a tie is half a win): strata by their true sizes, identical
    answers as ties; None until every stratum has two rated items, or all of it.
    ``chose_a`` is the share of decided judgements that went to side A; far from 0.5 it means that
    raters prefer a side.
    """

    set_name: str
    suite: str
    candidate: str
    judgements: int
    items: int
    wins: int
    ties: int
    losses: int
    not_judged: int
    identical: int
    win_rate: float | None
    ci_low: float | None
    ci_high: float | None
    chose_a: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """Every judgement, and a summary for each set; ``missing`` counts rows left empty."""

    ratings: tuple[Rating, ...]
    summaries: tuple[SetSummary, ...]
    missing: int


def collect(folder: Path, rated_files: Iterable[Path]) -> Ratings:
    """Read filled-in sheets and say who won.

    Args:
        folder: Where the sheets were drawn: the folder with ``key.json``.
        rated_files: Workbooks or CSV files that came back, under any name.

    Returns:
        The judgements and their summary, in the order of the key.

    Raises:
        DataError: No key; a file that is no rating sheet; a row that is unknown, edited or rated
            twice differently; a rating that is not in the list.
    """
    key = _read_key(folder / KEY)
    where = {row: name for name, entry in key["sets"].items() for row in entry["rows"]}
    rated: dict[str, Rating] = {}
    missing: set[str] = set()
    for path in rated_files:
        for line, cells in _read_sheet(path):
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
    summaries = tuple(_summary(name, entry, ratings) for name, entry in key["sets"].items())
    return Ratings(ratings=ratings, summaries=summaries, missing=len(missing - rated.keys()))


def _read_key(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"collecting needs the key that belongs to the sheets: {path}: {error}"
        ) from error


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
        (line, dict(zip(COLUMNS, row, strict=False)))
        for line, row in enumerate(table[1:], start=2)
        if any(row)
    ]


def _csv_rows(path: Path) -> list[list[str]]:
    text = path.read_bytes().decode("utf-8-sig")
    delimiter = ";" if text.startswith(f"{COLUMNS[0]};") else ","
    rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter))
    return [[arm(cell) for cell in row] for row in rows]


def _workbook_rows(path: Path) -> list[list[str]]:
    from zipfile import BadZipFile

    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise ValueError(str(error)) from error
    rows = book["Ratings"].iter_rows(values_only=True)
    return [["" if cell is None else str(cell) for cell in row] for row in rows]


def _rating(
    cells: Mapping[str, str], name: str, entry: Mapping[str, Any], place: str
) -> Rating | None:
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
        set_name=name,
        suite=entry["suite"],
        candidate=entry["candidate"],
        item=ItemKey(*known["item"]),
        rater=known["rater"],
        stratum=known["stratum"],
        preference=None if towards_a is None else towards_a if is_tuned_a else -towards_a,
        tuned_side="A" if is_tuned_a else "B",
        choice=choice,
        base_fault=fault_b if is_tuned_a else fault_a,
        tuned_fault=fault_a if is_tuned_a else fault_b,
        comment=comment,
    )


def _summary(name: str, entry: Mapping[str, Any], ratings: Sequence[Rating]) -> SetSummary:
    mine = [rating for rating in ratings if rating.set_name == name]
    judged = [(rating, rating.preference) for rating in mine if rating.preference is not None]
    decided = [(rating, preference) for rating, preference in judged if preference]
    towards_a = sum(
        (preference > 0) == (rating.tuned_side == "A") for rating, preference in decided
    )
    rate, low, high = _win_rate(entry, judged)
    return SetSummary(
        set_name=name,
        suite=entry["suite"],
        candidate=entry["candidate"],
        judgements=len(judged),
        items=len({rating.item for rating, _ in judged}),
        wins=sum(preference > 0 for _, preference in judged),
        ties=len(judged) - len(decided),
        losses=sum(preference < 0 for _, preference in judged),
        not_judged=len(mine) - len(judged),
        identical=entry["identical"],
        win_rate=rate,
        ci_low=low,
        ci_high=high,
        chose_a=towards_a / len(decided) if decided else None,
    )


def _win_rate(
    entry: Mapping[str, Any], judged: Sequence[tuple[Rating, int]]
) -> tuple[float | None, float | None, float | None]:
    """Estimate the suite's win rate from the strata (Cochran, Sampling Techniques, ch. 5).

    The item is the unit: its raters are averaged first.
    """
    items: dict[str, dict[ItemKey, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rating, preference in judged:
        items[rating.stratum][rating.item].append((1 + (preference > 0) - (preference < 0)) / 2)
    total = entry["identical"] + sum(entry["strata"].values())
    won, spread = 0.5 * entry["identical"], 0.0
    for stratum, size in entry["strata"].items():
        values = [fmean(found) for found in items[stratum].values()]
        if size and len(values) < min(2, size):
            return None, None, None
        if size:
            won += size * fmean(values)
            unseen = 1 - len(values) / size
            spread += size**2 * unseen * (variance(values) if len(values) > 1 else 0) / len(values)
    if not total or not judged:
        return None, None, None
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * math.sqrt(spread) / total
    rate = won / total
    return rate, max(0.0, rate - half), min(1.0, rate + half)
