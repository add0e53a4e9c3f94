"""Sheets drawn for tests, and raters who fill them in."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl

from harness.records import Comparison
from harness.review import CollectedDraw, collect, draw_sets, write_sheets
from harness.review.sheets import SHOWN, columns

Rater = Callable[[str, str], str]
"""Looks at answers A and B, and says what to write into the column of the rating."""

COLUMNS = columns("preference")


def drawn(
    comparisons: Sequence[Comparison], folder: Path, *, items: int = 20, seed: int = 0,
    raters: int = 2, **options: Any,
) -> dict[str, Path]:  # fmt: skip
    """Draw and write sheets; return their paths by name."""
    sets = draw_sets(comparisons, items=items, seed=seed, **options)
    return write_sheets(sets, folder, seed=seed, raters=raters)


def sheet_of(files: dict[str, Path], rater: int = 1, kind: str = "csv", name: str = "sql") -> Path:
    """Return the sheet of a rater."""
    return files[f"rater-{rater}/workbooks/{name}-set-1.{kind}"]


def csv_rows(path: Path) -> list[dict[str, str]]:
    """Return what a CSV as it was written shows, row by row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def csv_text(rows: Sequence[dict[str, str]], delimiter: str = ",") -> str:
    """Return rows as CSV."""
    import io

    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def rate_csv(path: Path, rater: Rater, *, delimiter: str = ",") -> list[dict[str, str]]:
    """Fill in a CSV, written back with the delimiter of another country; return its rows."""
    table = csv_rows(path)
    for row in table:
        row["Preference"] = rater(row["Answer A"], row["Answer B"])
    path.write_bytes(csv_text(table, delimiter).encode("utf-8-sig"))
    return table


def rate_workbook(path: Path, rater: Rater) -> None:
    """Fill in a workbook as a person would, from what it shows."""
    book = openpyxl.load_workbook(path)
    for row in book["Ratings"].iter_rows(min_row=2):
        row[len(SHOWN)].value = rater(row[3].value, row[4].value)
    book.save(path)


def likes_two(a: str, b: str) -> str:
    """Prefer the answer that begins with ``two`` (tuned's, in the made-up comparisons)."""
    assert a.strip("'").startswith("two") != b.strip("'").startswith("two")
    return "A much better" if a.strip("'").startswith("two") else "B slightly better"


def collected(folder: Path, files: Sequence[Path]) -> CollectedDraw:
    """Collect files of one draw."""
    (found,) = collect(folder, files).draws
    return found
