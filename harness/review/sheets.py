"""The files that raters get: a workbook, and the same rows as CSV.

Models may answer with formulas, links or control characters, so cells are written as strings,
never interpreted, and CSV cells that a spreadsheet would run begin with an apostrophe.
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.review.blind import BlindedRow

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

CHOICES = (
    "A much better",
    "A slightly better",
    "both good",
    "both bad",
    "B slightly better",
    "B much better",
    "cannot judge",
)
FAULTS = (
    "wrong",
    "invented",
    "incomplete",
    "contradicts",
    "repeats",
    "off topic",
    "wrong form",
    "harmful",
)
SHOWN = ("Row", "Question", "Reference", "Answer A", "Answer B")
ASKED = ("Preference", "Fault of A", "Fault of B", "Comment")
COLUMNS = SHOWN + ASKED

_WIDTHS = (12, 55, 30, 50, 50, 19, 14, 14, 34)
_RISKY = re.compile("['=+\\-@\t\r\n\0＝＋－＠]")


def shown_cells(row: BlindedRow) -> tuple[str, ...]:
    """Return what a rater sees of a row, in the order of ``SHOWN``."""
    return row.id, row.question, row.reference, row.answer_a, row.answer_b


def csv_sheet(rows: Sequence[BlindedRow]) -> bytes:
    """Write rows as CSV for spreadsheets: UTF-8 with a byte-order mark, formulas disarmed."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([*map(disarm, shown_cells(row)), *[""] * len(ASKED)])
    return file.getvalue().encode("utf-8-sig")


def disarm(text: str) -> str:
    """Keep a spreadsheet from running a CSV cell; `arm` takes it back.

    >>> disarm("=1+1"), disarm("fine")
    ("'=1+1", 'fine')
    """
    return f"'{text}" if _RISKY.match(text) else text


def arm(text: str) -> str:
    """Return the text that `disarm` was given.

    >>> arm("'=1+1"), arm("fine")
    ('=1+1', 'fine')
    """
    return text.removeprefix("'")


def workbook(rows: Sequence[BlindedRow], rubric: str) -> bytes:
    """Write the instructions and the rows as a workbook; the same rows give the same bytes.

    Only the cells to be filled in can be changed, as a protection against slips (no password).
    """
    import xlsxwriter

    file = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(file, options) as book:
        book.set_properties({"title": "Rating sheet", "created": datetime(2020, 1, 1, tzinfo=UTC)})
        _instructions(book, rubric, len(rows))
        _ratings(book, rows)
    return file.getvalue()


def _instructions(book: "Workbook", rubric: str, count: int) -> None:
    sheet = book.add_worksheet("Instructions")
    sheet.set_column(0, 0, 72)
    sheet.hide_gridlines(2)
    heading = book.add_format({"bold": True, "font_size": 15, "font_color": "#1c2128"})
    plain = book.add_format({"text_wrap": True, "valign": "top", "font_size": 11})
    place = 0
    for block in _blocks(rubric):
        is_heading = block.startswith("# ")
        text = block.removeprefix("# ")
        if is_heading and place:
            place += 1
        sheet.write_string(place, 0, text, heading if is_heading else plain)
        sheet.set_row(place, 24 if is_heading else _height([(text, 78)]))
        place += 1
    done = f'=COUNTA(Ratings!F2:F{count + 1})&" of {count} rows rated"'
    sheet.write_formula(place + 1, 0, done, heading, f"0 of {count} rows rated")
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.protect("", {"select_locked_cells": True})


def _blocks(rubric: str) -> list[str]:
    """Join the wrapped lines of the rubric's Markdown into paragraphs and list items."""
    text = re.sub(r"\n(?!\n|- |\d+\. |# )[ ]*", " ", rubric.strip())
    return [f"•  {line[2:]}" if line.startswith("- ") else line.strip()
            for line in text.split("\n") if line.strip()]  # fmt: skip


def _ratings(book: "Workbook", rows: Sequence[BlindedRow]) -> None:
    sheet = book.add_worksheet("Ratings")
    look = {"text_wrap": True, "valign": "top", "border": 1, "border_color": "#c9ced6"}
    header = book.add_format({**look, "bold": True, "bg_color": "#e4e9f0", "locked": True})
    fixed = book.add_format({**look, "quote_prefix": True, "locked": True})
    open_cell = book.add_format({**look, "locked": False, "bg_color": "#fffbe6"})
    for column, (title, width) in enumerate(zip(COLUMNS, _WIDTHS, strict=True)):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, title, header)
    for place, row in enumerate(rows, start=1):
        cells = shown_cells(row)
        for column, text in enumerate(cells):
            sheet.write_string(place, column, text, fixed)
        for column in range(len(SHOWN), len(COLUMNS)):
            sheet.write_blank(place, column, None, open_cell)
        sheet.set_row(place, _height(list(zip(cells, _WIDTHS, strict=False))))
    _lists(sheet, len(rows))
    sheet.freeze_panes(1, 1)
    sheet.set_landscape()
    sheet.set_paper(8)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.protect("", {"format_columns": True, "format_rows": True, "sort": True})


def _lists(sheet: "Worksheet", count: int) -> None:
    for column, choices, title in ((5, CHOICES, "Preference"), (6, FAULTS, "Fault of A"),
                                   (7, FAULTS, "Fault of B")):  # fmt: skip
        sheet.data_validation(
            1,
            column,
            max(count, 1),
            column,
            {
                "validate": "list",
                "source": list(choices),
                "input_title": title,
                "input_message": "Choose from the list; see Instructions.",
                "error_title": "Not in the list",
                "error_message": "Please choose one of the entries of the list.",
            },
        )


def _height(cells: Sequence[tuple[str, int]]) -> float:
    """Estimate the height of a wrapped row in points; spreadsheets end at 409."""
    lines = max(
        sum(max(1, -(-len(line) // max(1, int(width * 0.95)))) for line in text.split("\n"))
        for text, width in cells
    )
    return min(409.0, 15.0 * lines + 3)
