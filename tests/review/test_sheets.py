"""The files that raters get: blind, safe to open, and pleasant enough to fill in."""

import csv
import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command import run
from support.example_result import example_result, saying
from support.rated_sheets import COLUMNS, drawn

from harness.errors import InfrastructureError, StudyError
from harness.records import Comparison, Response
from harness.review.packet import CHOICES
from harness.review.sheets import arm, disarm

OFFICE = shutil.which("soffice") or shutil.which("libreoffice")

HOSTILE = [
    "=1+1",
    "=HYPERLINK(\"http://example.com\",\"x\")",
    "{=SUM(1)}",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "#N/A",
    "http://example.com/",
    "mailto:a@example.com",
    "internal:Sheet1!A1",
    "nul\x00tab\x0b",
    "x" * 40_000,
    "lone \ud800 surrogate",
    "'quoted",
    "＝1",
]  # fmt: skip


def sheets(comparisons: tuple[Comparison, ...], folder: Path, **options: Any) -> dict[str, Path]:
    """Draw sheets with a fixed seed."""
    return drawn(comparisons, folder, **{"items": 8, "seed": 5, **options})


def answering(texts: list[str]) -> tuple[Comparison, ...]:
    """Let the tuned arm of the first comparison answer these texts."""
    comparison = example_result(size=max(len(texts), 12)).comparisons[0]
    pairs = tuple(
        replace(pair, tuned=replace(pair.tuned, responses=(Response(text=text),)))
        for pair, text in zip(comparison.pairs, texts, strict=False)
    )
    return (replace(comparison, pairs=pairs),)


def test_every_rater_has_a_folder_with_every_set_in_all_forms(tmp_path: Path) -> None:
    """Eight sets, two raters: a page, workbooks, CSV, and how to rate; the key lies outside."""
    files = sheets(example_result().comparisons, tmp_path)
    (draw,) = tmp_path.iterdir()
    assert files["key"] == draw / "key.json"
    assert json.loads(files["key"].read_text())["draw"] == draw.name
    assert sorted(path.name for path in draw.iterdir()) == ["for_raters", "key.json"]
    for rater in (1, 2):
        mine = draw / "for_raters" / f"rater-{rater}"
        assert sorted(path.name for path in mine.iterdir()) == [
            "READ ME FIRST.txt", "instructions-arc_mini.html", "instructions-coherence.html",
            "instructions-domain_qa.html", "instructions-sql.html", "rate.html", "workbooks",
        ]  # fmt: skip
        workbooks = sorted(path.name for path in (mine / "workbooks").iterdir())
        assert len(workbooks) == 8 * 2
        assert workbooks[:2] == ["arc_mini-set-1.csv", "arc_mini-set-1.xlsx"]
        with zipfile.ZipFile(files[f"rater-{rater}.zip"]) as archive:
            packed = {part: archive.read(part) for part in archive.namelist()}
        assert packed == {
            name: path.read_bytes() for name, path in files.items()
            if name.startswith(f"rater-{rater}/")
        }  # fmt: skip
        projects = draw / "for_raters" / "label-studio" / f"rater-{rater}"
        assert len(list(projects.iterdir())) == 8 * 2


def test_nothing_handed_out_tells_an_arm(tmp_path: Path) -> None:
    """Neither names, contents nor metadata of any file hold a candidate's name or an arm's role."""
    result = example_result()
    files = sheets(result.comparisons, tmp_path)
    telling = re.compile(r"mixed|narrow|\bbase\b|\btuned\b|adapter|candidate|LoRA", re.IGNORECASE)
    for name, path in files.items():
        if name != "key":
            for text in told(name, path.read_bytes()):
                assert not telling.search(text), name


def told(name: str, data: bytes) -> Iterator[str]:
    """Yield all that a file tells: its name and its text, or those of what is packed in it."""
    yield name
    if not zipfile.is_zipfile(io.BytesIO(data)):
        yield data.decode("utf-8-sig").replace("base-uri", "")
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for part in archive.infolist():
            yield part.comment.decode()
            if "styles" not in part.filename and "theme" not in part.filename:
                yield from told(part.filename, archive.read(part))


def test_the_key_says_what_the_sheets_hide(tmp_path: Path) -> None:
    """For every row the key has item, side and probability; identical answers are counted."""
    files = sheets(example_result().comparisons, tmp_path)
    key = json.loads(files["key"].read_text())
    identical = {(e["suite"], e["candidate"]): e["identical"] for e in key["sets"].values()}
    assert identical["arc_mini", "mixed"] > 100
    for name, one in key["sets"].items():
        with files[f"rater-1/workbooks/{name}.csv"].open(encoding="utf-8-sig", newline="") as file:
            handed_out = {row["Row"] for row in csv.DictReader(file)}
        assert handed_out == {row for row, known in one["rows"].items() if known["rater"] == 1}
        assert all(0 < known["probability"] <= 1 for known in one["rows"].values())


def test_the_workbook_is_ready_to_fill_in(tmp_path: Path) -> None:
    """Instructions first; a frozen header, lists to choose from, and only ratings unlocked."""
    files = sheets(example_result().comparisons, tmp_path)
    book = openpyxl.load_workbook(files["rater-1/workbooks/sql-set-1.xlsx"])
    assert book.sheetnames == ["Instructions", "Ratings"]
    assert book["Instructions"]["A1"].value == "How to rate: SQL"
    ratings = book["Ratings"]
    assert tuple(cell.value for cell in ratings[1]) == COLUMNS
    assert ratings.freeze_panes == "B2"
    lists = {str(v.sqref): v.formula1 for v in ratings.data_validations.dataValidation}
    assert lists["F2:F9"] == '"' + ",".join(CHOICES) + '"'
    assert ratings.protection.sheet
    assert ratings["D2"].protection.locked
    assert not ratings["F2"].protection.locked
    assert ratings["D2"].alignment.wrap_text
    widths = [ratings.column_dimensions[cell.column_letter].width for cell in ratings[1]]
    pixels = sum(width * 7 + 5 for width in widths) * ratings.sheet_view.zoomScale / 100
    assert pixels < 1300  # every column is in view on a laptop's screen, 1,366 wide
    assert ratings.sheet_view.selection[-1].activeCell == "F2"


def test_no_cell_is_ever_a_formula(tmp_path: Path) -> None:
    """Whatever models answer, a cell is text that shows it; what is too long says so."""
    files = sheets(answering(HOSTILE), tmp_path, items=40)
    book = openpyxl.load_workbook(files["rater-1/workbooks/sql-set-1.xlsx"])
    cells = [cell for row in book["Ratings"].iter_rows(min_row=2, max_col=5) for cell in row]
    assert {cell.data_type for cell in cells} == {"s"}
    assert not any(cell.hyperlink for cell in cells)
    shown = {cell.value for cell in cells}
    assert {"=1+1", "@SUM(A1)", "#N/A", "mailto:a@example.com", "'quoted"} <= shown
    assert any(value.endswith("[cut here: too long for a cell]") for value in shown)
    text = files["rater-1/workbooks/sql-set-1.csv"].read_text("utf-8-sig")
    for row in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell[:1] in tuple("=+-@\t\r＝") for cell in row if cell)


@given(st.text())
def test_csv_text_comes_back(text: str) -> None:
    """Disarming is undone exactly, and leaves nothing that a spreadsheet would run."""
    assert arm(disarm(text)) == text
    assert disarm(text)[:1] not in set("=+-@\t\r\n\0＝＋－＠")


def test_hostile_prompts_are_safe_too(tmp_path: Path) -> None:
    """Questions and references are foreign text as well as answers."""
    comparison = saying("=cmd|' /C calc'!A0").comparisons[0]
    changed = tuple(
        replace(pair, tuned=replace(pair.tuned, responses=(Response(text="other"),)))
        for pair in comparison.pairs
    )
    files = sheets((replace(comparison, pairs=changed),), tmp_path)
    book = openpyxl.load_workbook(files["rater-1/workbooks/sql-set-1.xlsx"])
    assert book["Ratings"]["B2"].data_type == "s"


def test_the_same_draw_gives_the_same_bytes(tmp_path: Path) -> None:
    """Workbooks carry no time of writing; two draws are equal byte for byte."""
    result = example_result()
    first, second = (sheets(result.comparisons, tmp_path / name) for name in "ab")
    assert first.keys() == second.keys()
    for name, path in first.items():
        assert path.read_bytes() == second[name].read_bytes(), name


@pytest.mark.parametrize(
    "other",
    [{"seed": 6}, {"items": 4}, {"raters": 1}, {"forms": {"sql": "direct"}}, {"by": "template"}],
)
def test_another_draw_goes_beside_one_that_was_handed_out(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    """A key and its sheets, rated or not, are never written again; no two draws share a row."""
    result = example_result()
    first = sheets(result.comparisons, tmp_path)
    rated = first["rater-1/workbooks/sql-set-1.csv"]
    rated.write_bytes(rated.read_bytes() + b"rated\r\n")
    before = {path: path.read_bytes() for path in first.values()}
    first["rater-1/rate.html"].unlink()
    assert sheets(result.comparisons, tmp_path) == first
    second = sheets(result.comparisons, tmp_path, **other)
    assert {path: path.read_bytes() for path in first.values()} == before
    names = [
        {
            row
            for one in json.loads(files["key"].read_text())["sets"].values()
            for row in one["rows"]
        }
        for files in (first, second)
    ]
    assert not names[0] & names[1]
    assert len(list(tmp_path.iterdir())) == 2


def test_changed_answers_are_another_draw(tmp_path: Path) -> None:
    """The key of the old answers stays with the sheets that show them."""
    first = sheets(answering(["one"] * 12), tmp_path)
    second = sheets(answering(["other"] * 12), tmp_path)
    assert first["key"] != second["key"]
    assert first["key"].exists()


@pytest.mark.parametrize("place", ["review", "draw", "for_raters", "sheet"])
def test_sheets_are_not_written_through_a_link(tmp_path: Path, place: str) -> None:
    """A run folder of a stranger leads nowhere else."""
    comparisons, review, away = answering(["x"] * 12), tmp_path / "review", tmp_path / "away"
    files = sheets(comparisons, review)
    path = {
        "review": review, "draw": files["key"].parent,
        "for_raters": files["key"].parent / "for_raters", "sheet": files["rater-1/rate.html"],
    }[place]  # fmt: skip
    (shutil.rmtree if path.is_dir() else Path.unlink)(path)
    path.symlink_to(away)
    with pytest.raises(StudyError, match=r"leads elsewhere|is a link"):
        sheets(comparisons, review)
    assert not away.exists()


def test_nothing_to_rate_leaves_no_sheet(tmp_path: Path) -> None:
    """A comparison without differing answers is in the key, with its ties, and has no file."""
    comparison = answering(["x"] * 12)[0]
    same = tuple(
        replace(p, base=replace(p.base, responses=p.tuned.responses)) for p in comparison.pairs
    )
    files = sheets((replace(comparison, pairs=same),), tmp_path)
    assert list(files) == ["key"]
    assert json.loads(files["key"].read_text())["sets"]["sql-set-1"]["identical"] == 12


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in the folder's place gives one sentence."""
    (tmp_path / "review").write_text("")
    with pytest.raises(InfrastructureError, match="cannot write"):
        sheets(example_result(size=12).comparisons, tmp_path / "review")


@pytest.mark.skipif(OFFICE is None, reason="no LibreOffice on this machine")
def test_libreoffice_shows_what_was_written(tmp_path: Path) -> None:
    """Another program reads every answer as the text it is."""
    files = sheets(answering(HOSTILE), tmp_path, items=40)
    path = files["rater-1/workbooks/sql-set-1.xlsx"]
    options = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,2"
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    done = run(OFFICE, "--headless", profile, "--convert-to", options, "--outdir", tmp_path, path)
    assert done.returncode == 0, done.stderr
    (converted,) = tmp_path.glob("*.csv")
    with converted.open(encoding="utf-8", newline="") as file:
        shown = list(csv.reader(file))
    book = openpyxl.load_workbook(path)["Ratings"]
    written = [[cell or "" for cell in row] for row in book.iter_rows(values_only=True)]
    assert [row[:5] for row in shown if any(row)] == [row[:5] for row in written]
