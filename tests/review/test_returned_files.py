"""Sheets come back as other programs save them: every rating returns, and nothing is live."""

import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command import run
from support.example_result import moved
from support.rated_sheets import csv_rows, csv_text, drawn

from harness.records import Comparison, Response
from harness.review import collect
from harness.review.packet import CANNOT_JUDGE, CHOICES, GENERAL_TAGS
from harness.review.said import said

OFFICE = shutil.which("soffice") or shutil.which("libreoffice")
no_office = pytest.mark.skipif(OFFICE is None, reason="no LibreOffice on this machine")

TEXTS = (
    "=1+1", '=HYPERLINK("http://example.com","x")', "=cmd|' /C calc'!A0", "{=SUM(1)}", "+1", "-1",
    "@SUM(A1)", "\t=1", "#N/A", "http://example.com/", "mailto:a@example.com",
    "internal:Sheet1!A1", "nul\x00tab\x0besc\x1b[31m", "x" * 40_000, "'quoted", "＝1",
    "<script>alert(1)</script>&amp;", "1577", "1.50", "3/4", "2020-01-02", "5 March 2020", "TRUE",
    "true", "007", "1e5", "12:30", "50%", "$1,000", "1 234,5", "two\nlines\n\n  indented",
    "tab\tinside", "  spaces  kept ", 'a;b,c|d\t"e"', "naïve café – “quoted” … €", "日本語",
    "🙂 emoji", "\u202eright to left", "_x0041_ _x000D_", "sep=;", "Row", "", "-", "'", "''", '"',
    "1" * 60, "(1)", "½", "1\u00a0000",
)  # fmt: skip
"""What models answer, and raters write: a spreadsheet would run it or make something else of it."""

Rows = list[dict[str, str]]


def answering(texts: Sequence[str]) -> Comparison:
    """Let tuned give these answers, where base says something of its own."""
    comparison = moved(["lost"] * len(texts))
    pairs = tuple(
        replace(pair, tuned=replace(pair.tuned, responses=(Response(text=text),)))
        for pair, text in zip(comparison.pairs, texts, strict=True)
    )
    return replace(comparison, pairs=pairs)


def rated(rows: Rows) -> Rows:
    """Fill in every row, each another rating, with a fault and sometimes a comment."""
    return [
        row
        | {
            "Preference": CHOICES[n % len(CHOICES)],
            "Fault of B": GENERAL_TAGS[n % len(GENERAL_TAGS)],
            "Comment": comment(n),
        }
        for n, row in enumerate(rows)
    ]


def comment(number: int) -> str:
    """Return a comment that a spreadsheet can hold; none in every other row."""
    text = TEXTS[number % len(TEXTS)][:200]
    is_kept = text.isprintable() and "_x000D_" not in text  # which is a line's end to a workbook
    return text.strip() if is_kept and number % 2 == 0 else ""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a draw of all those answers."""
    folder = tmp_path_factory.mktemp("drawn")
    drawn([answering(TEXTS)], folder, items=100, raters=1)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Return a draw of one's own."""
    return Path(shutil.copytree(made, tmp_path / "review"))


def sheet(folder: Path, kind: str = "csv") -> Path:
    """Return the one sheet."""
    (path,) = folder.glob(f"*/for_raters/rater-1/workbooks/*.{kind}")
    return path


def expect_all(folder: Path, path: Path, rows: Rows, *, comments: bool = True) -> None:
    """Every row's rating is there, with all that was written into it."""
    found = collect(folder, [path])
    (file,) = found.files
    assert (file.new, file.problems) == (len(rows), ())
    ratings = {rating.row: rating for rating in found.draws[0].review.ratings}
    assert {r.row: r.choice for r in ratings.values()} == {r["Row"]: r["Preference"] for r in rows}
    for row in rows:
        rating = ratings[row["Row"]]
        assert rating.base_tags + rating.tuned_tags == (row["Fault of B"],)
        assert not comments or rating.comment == row["Comment"]


def shouting(rows: Rows) -> bytes:
    """Save rows with values in another case, spaces around them and the columns turned round."""
    for row in (rows := [dict(reversed(list(row.items()))) for row in rows]):
        row.update({"Preference": f"  {row['Preference'].upper()} ", "Row": f" {row['Row']} "})
    return csv_text(rows).encode()


def titled(rows: Rows, title: Callable[[str], str]) -> bytes:
    """Save rows with other titles."""
    return csv_text([{title(name): value for name, value in row.items()} for row in rows]).encode()


_OTHER = {"Row": "Row ID", "Preference": "Rating", "Fault of B": "Error B", "Comment": "Notes"}
_LEAST = ("Row", "Preference", "Fault of B", "Comment")

SAVED: dict[str, Callable[[Rows], bytes]] = {
    "utf-8": lambda rows: csv_text(rows).encode(),
    "utf-8 with mark": lambda rows: csv_text(rows).encode("utf-8-sig"),
    "utf-16": lambda rows: csv_text(rows, "\t").encode("utf-16"),
    "utf-16-le without mark": lambda rows: csv_text(rows, "\t").encode("utf-16-le"),
    "utf-16-be": lambda rows: b"\xfe\xff" + csv_text(rows).encode("utf-16-be"),
    "cp1252": lambda rows: csv_text(rows, ";").encode("cp1252", "replace"),
    "semicolons": lambda rows: csv_text(rows, ";").encode("utf-8-sig"),
    "tabs": lambda rows: csv_text(rows, "\t").encode(),
    "sep line": lambda rows: ("sep=;\r\n" + csv_text(rows, ";")).encode("utf-8-sig"),
    "quoted sep line": lambda rows: ('"sep=|"\r\n' + csv_text(rows, "|")).encode(),
    "unix line ends": lambda rows: csv_text(rows).replace("\r\n", "\n").encode(),
    "lines before": lambda rows: ("Ratings of Hilma,,\r\n,,\r\n" + csv_text(rows)).encode(),
    "small titles": lambda rows: titled(rows, str.lower),
    "titles with signs": lambda rows: titled(rows, lambda t: f" {t.replace(' ', '_')}: "),
    "other titles": lambda rows: titled(rows, lambda t: _OTHER.get(t, t)),
    "turned round": shouting,
    "without the texts": lambda rows: csv_text([{k: r[k] for k in _LEAST} for r in rows]).encode(),
    "columns more": lambda rows: csv_text([{"No": "7", **r, "Done": "x"} for r in rows]).encode(),
}


@pytest.mark.parametrize("name", SAVED)
def test_every_rating_returns_however_a_csv_was_saved(folder: Path, name: str) -> None:
    """Encodings, separators, titles and case change nothing that was said."""
    path = sheet(folder)
    rows = rated(csv_rows(path))
    path.write_bytes(SAVED[name](rows))
    expect_all(folder, path, rows, comments=name != "cp1252")


def test_an_edited_row_is_found_in_an_old_encoding(folder: Path) -> None:
    """Letters that the encoding does not know are forgiven, other words are not."""
    path = sheet(folder)
    rows = rated(csv_rows(path))
    place = next(n for n, row in enumerate(rows) if "日本語" in row["Answer A"] + row["Answer B"])
    rows[place]["Question"] += " really"
    path.write_bytes(csv_text(rows).encode("cp1252", "replace"))
    (file,) = collect(folder, [path]).files
    assert file.new == len(rows) - 1
    assert rows[place]["Row"] in file.problems[0]


def fill_workbook(path: Path, rows: Rows) -> None:
    """Write the ratings into a workbook, and call its tab otherwise."""
    book = openpyxl.load_workbook(path)
    page = book["Ratings"]
    page.title = "My ratings"
    places = {cell.value: place for place, cell in enumerate(page[1])}
    said_of = {row["Row"]: row for row in rows}
    for cells in page.iter_rows(min_row=2):
        for column in ("Preference", "Fault of B", "Comment"):
            cell = cells[places[column]]
            cell.value = said_of[cells[0].value][column]
            cell.data_type = "s"
    book.save(path)


def converted(files: Sequence[Path], to: str, out: Path, *options: str) -> list[Path]:
    """Let LibreOffice open files and save them as something else."""
    profile = f"-env:UserInstallation={(out.parent / 'profile').as_uri()}"
    before = set(out.glob("*"))
    done = run(
        OFFICE, "--headless", profile, *options, "--convert-to", to, "--outdir", out, *files,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = set(out.glob("*")) - before
    assert found, done.stdout + done.stderr
    return sorted(found)


@no_office
def test_every_rating_returns_from_libreoffice(folder: Path, tmp_path: Path) -> None:
    """Workbook and CSV, opened and saved as ODS: nothing is lost, and nothing is live."""
    rows = rated(csv_rows(sheet(folder)))
    book, text = tmp_path / "filled.xlsx", tmp_path / "text.csv"
    shutil.copy(sheet(folder, "xlsx"), book)
    fill_workbook(book, rows)
    plain = [{**row, "Comment": ""} for row in rows]
    text.write_bytes(csv_text(plain).encode("utf-8-sig"))
    out = tmp_path / "out"
    for path in converted([book, text], "ods", out):
        expect_all(folder, path, rows, comments="filled" in path.name)
        with zipfile.ZipFile(path) as archive:
            content = archive.read("content.xml").decode()
        formulas = re.findall('table:formula="([^"]*)"', content)
        assert all("COUNTA" in formula for formula in formulas)  # how many rows are rated: ours
        assert "xlink:href" not in content


_TEXT = "csv:Text - txt - csv (StarCalc):{},34,{},1,,0,{},true,false,false,false,"
FILTERS = {
    "ods": "ods",
    "xlsx": "xlsx",
    "xls": "xls",
    "utf-8": _TEXT.format(44, 76, "false"),
    "utf-16 and tabs": _TEXT.format(9, 65535, "false"),
    "cp1252 and semicolons": _TEXT.format(59, 1, "false"),
    "all quoted": _TEXT.format(44, 76, "true"),
}
"""What LibreOffice saves as; text is of one tab, whose number comes last."""


@no_office
@pytest.mark.nightly
@pytest.mark.parametrize("source", ["workbook", "csv", "csv with numbers"])
@pytest.mark.parametrize("name", FILTERS)
def test_every_rating_returns_from_libreoffice_in_any_form(
    folder: Path, tmp_path: Path, source: str, name: str
) -> None:
    """Workbooks and CSV files through every form that LibreOffice saves, numbers guessed or not."""
    rows = rated(csv_rows(sheet(folder)))
    path = tmp_path / ("filled.xlsx" if source == "workbook" else "filled.csv")
    if source == "workbook":
        shutil.copy(sheet(folder, "xlsx"), path)
        fill_workbook(path, rows)
    else:
        path.write_bytes(csv_text(rows).encode("utf-8-sig"))
    options = ["--infilter=CSV:44,34,76,1,,0,false,true"] if source == "csv with numbers" else []
    tab = "" if FILTERS[name] == name else "2" if source == "workbook" else "1"
    (out,) = converted([path], FILTERS[name] + tab, tmp_path / "out", *options)
    expect_all(folder, out, rows, comments=False)


@given(st.text(max_size=30), st.sampled_from(["preference", "direct"]))
def test_whatever_stands_in_a_cell_is_a_rating_or_a_sentence(text: str, form: str) -> None:
    """No cell breaks the reader, and nothing is a rating that the form does not offer."""
    cells = {"choice": text, "score_a": text, "score_b": text, "tags_a": text, "comment": text}
    rating, wrong, _ = said("row-1", cells, form, GENERAL_TAGS)
    if rating is None:
        assert not text.strip() or wrong or form == "direct"
    else:
        assert rating.choice in (*CHOICES, "")
        assert rating.cannot_judge == (rating.choice == CANNOT_JUDGE)
