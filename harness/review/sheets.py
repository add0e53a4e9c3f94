"""The files that raters fill in as spreadsheets: a workbook, and the same rows as CSV.

Models may answer with formulas, links or control characters, so cells are written as strings,
never interpreted, and CSV cells that a spreadsheet would run or rewrite begin with an apostrophe.
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.content import REPORTS
from harness.review.packet import CANNOT_JUDGE, CHOICES, SCORES, Form, SuiteSheet, shown_cells

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

SHOWN = ("Row", "Question", "Reference", "Answer A", "Answer B")
ASKED: dict[Form, tuple[str, ...]] = {
    "preference": ("Preference", "Fault of A", "Fault of B", "Comment"),
    "direct": ("Score of A", "Score of B", "Fault of A", "Fault of B", "Comment"),
}
"""The columns that a rater fills in, by the form of the sheet."""

_WIDTHS = {
    "Row": 6, "Question": 32, "Reference": 20, "Answer A": 38, "Answer B": 38, "Preference": 17,
    "Score of A": 9, "Score of B": 9, "Fault of A": 13, "Fault of B": 13, "Comment": 24,
}  # fmt: skip
_ZOOM = 85
"""Widths in characters, and a scale in percent, at which all columns are in view on a laptop."""

_HERE = (REPORTS / "rubrics" / "workbook.md").read_text("utf-8")
_RISKY = re.compile("['=+\\-@\t\r\n\0＝＋－＠]")
_VALUE = re.compile(r"(?=.*\d)[^\n]{1,40}|[-+\d\s.,:/%e]+|true|false|[^\w\n]{1,3}", re.IGNORECASE)
"""What a spreadsheet may take for a number, a date or a truth value, and write back otherwise."""


def columns(form: Form) -> tuple[str, ...]:
    """Return the columns of a sheet."""
    return SHOWN + ASKED[form]


def csv_sheet(sheet: SuiteSheet) -> bytes:
    """Write rows as CSV for spreadsheets: UTF-8 with a byte-order mark, formulas disarmed."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(columns(sheet.form))
    for row in sheet.rows:
        name, *texts = shown_cells(row)
        writer.writerow([name, *map(disarm, texts), *[""] * len(ASKED[sheet.form])])
    return file.getvalue().encode("utf-8-sig")


def disarm(text: str) -> str:
    """Keep a spreadsheet from running or rewriting a CSV cell; `arm` takes it back.

    >>> disarm("=1+1"), disarm("1.50"), disarm("fine")
    ("'=1+1", "'1.50", 'fine')
    """
    return f"'{text}" if _RISKY.match(text) or _VALUE.fullmatch(text) else text


def arm(text: str) -> str:
    """Return the text that `disarm` was given.

    >>> arm("'=1+1"), arm("fine")
    ('=1+1', 'fine')
    """
    return text.removeprefix("'")


def workbook(sheet: SuiteSheet, rubric: str) -> bytes:
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
        _instructions(book, f"{rubric}\n{_HERE}", len(sheet.rows))
        _ratings(book, sheet)
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
    text = re.sub(r"\n(?!\n|- |\d+\. |# )[ ]*", " ", rubric.strip().replace("`", ""))
    return [f"•  {line[2:]}" if line.startswith("- ") else line.strip()
            for line in text.split("\n") if line.strip()]  # fmt: skip


def _ratings(book: "Workbook", sheet: SuiteSheet) -> None:
    page = book.add_worksheet("Ratings")
    look = {"text_wrap": True, "valign": "top", "border": 1, "border_color": "#c9ced6"}
    header = book.add_format({**look, "bold": True, "bg_color": "#e4e9f0", "locked": True})
    fixed = book.add_format({**look, "quote_prefix": True, "locked": True})
    small = book.add_format({**look, "quote_prefix": True, "locked": True, "text_wrap": False,
                             "font_size": 8, "font_color": "#6b7280"})  # fmt: skip
    open_cell = book.add_format({**look, "locked": False, "bg_color": "#fffbe6"})
    titles = columns(sheet.form)
    no_reference = not any(row.reference for row in sheet.rows)
    for column, title in enumerate(titles):
        is_hidden = no_reference and title == "Reference"
        page.set_column(column, column, _WIDTHS[title], None, {"hidden": is_hidden})
        page.write_string(0, column, title, header)
    for place, row in enumerate(sheet.rows, start=1):
        cells = shown_cells(row)
        for column, text in enumerate(cells):
            page.write_string(place, column, text, fixed if column else small)
        for column in range(len(SHOWN), len(titles)):
            page.write_blank(place, column, None, open_cell)
        texts = zip(SHOWN[1:], cells[1:], strict=True)
        page.set_row(place, _height([(text, _WIDTHS[title]) for title, text in texts]))
    _lists(page, sheet)
    page.freeze_panes(1, 1)
    page.set_zoom(_ZOOM)
    page.set_selection(1, len(SHOWN), 1, len(SHOWN))
    page.set_landscape()
    page.set_paper(8)
    page.fit_to_pages(1, 0)
    page.repeat_rows(0)
    page.protect("", {"format_columns": True, "format_rows": True, "sort": True})


def _lists(page: "Worksheet", sheet: SuiteSheet) -> None:
    scores = (*map(str, SCORES), CANNOT_JUDGE)
    lists = {"Preference": CHOICES, "Score of A": scores, "Score of B": scores}
    for column, title in enumerate(columns(sheet.form)):
        is_fault = title.startswith("Fault")
        if not is_fault and title not in lists:
            continue
        page.data_validation(
            1,
            column,
            max(len(sheet.rows), 1),
            column,
            {
                "validate": "list",
                "source": list(lists.get(title, sheet.tags)),
                "input_title": title,
                "input_message": "Choose from the list"
                + ("; write commas between several." if is_fault else "; see Instructions."),
                "error_title": "Not in the list",
                "error_message": "Please choose one of the entries of the list.",
                "error_type": "information" if is_fault else "stop",
            },
        )


def _height(cells: Sequence[tuple[str, int]]) -> float:
    """Estimate the height of a wrapped row in points; spreadsheets end at 409."""
    lines = max(
        sum(max(1, -(-len(line) // max(1, int(width * 0.95)))) for line in text.split("\n"))
        for text, width in cells
    )
    return min(409.0, 15.0 * lines + 3)
