"""Ratings back from raters: what counts, what is told, and what a second call adds."""

import json
import os
import random
import zipfile
from pathlib import Path

import openpyxl
import pytest
from support.example_result import example_result, moved
from support.rated_sheets import (
    COLUMNS,
    Rater,
    collected,
    csv_rows,
    csv_text,
    drawn,
    likes_two,
    rate_csv,
    rate_workbook,
    sheet_of,
)

from harness.errors import DataError
from harness.records import Comparison, Review
from harness.review import collect, draw_sets, keep, read_review
from harness.review.key import fingerprint_1, read_keys
from harness.review.packet import RowRating, ratings_json
from harness.review.rated_files import read_rated
from harness.review.sheets import SHOWN, arm
from harness.stats.win_rate import Stratum, population_win_rate


def run(comparison: Comparison, folder: Path, rater: Rater, **options: int) -> Review:
    """Draw, let raters fill in their CSV sheets, and collect."""
    files = drawn([comparison], folder, **options)
    rated = [path for name, path in files.items() if name.endswith(".csv")]
    for path in rated:
        rate_csv(path, rater)
    return collected(folder, rated).review


def test_preferences_are_unblinded(tmp_path: Path) -> None:
    """A rater who always prefers tuned's answer gives wins only, whatever the sides were."""
    found = run(moved(["gained"] * 12 + ["both_wrong"] * 12), tmp_path, likes_two, items=24)
    (summary,) = found.summaries
    assert (summary.judgements, summary.items) == (48, 24)
    assert (summary.wins, summary.ties, summary.losses) == (48, 0, 0)
    assert summary.win_rate == 1.0
    assert summary.chose_a == 0.5
    assert {rating.preference for rating in found.ratings} == {1, 2}


def test_hidden_duplicates_are_kept_and_not_counted(tmp_path: Path) -> None:
    """A row that came twice is one judgement; both ratings are there, as one of the same item."""
    found = run(moved(["gained"] * 40), tmp_path, likes_two, items=40, raters=1)
    assert found.summaries[0].judgements == 40
    again = [rating for rating in found.ratings if rating.repeats]
    rows = {rating.row: rating for rating in found.ratings}
    assert len(again) == 2
    for rating in again:
        first = rows[rating.repeats]
        assert (first.item, first.rater) == (rating.item, rating.rater)
        assert first.tuned_side != rating.tuned_side
        assert (first.preference > 0) == (rating.preference > 0)


def test_a_rater_who_prefers_a_side_is_seen(tmp_path: Path) -> None:
    """Always choosing A gives no winner and a share of one for side A."""
    (summary,) = run(moved(["gained"] * 20), tmp_path, lambda *_: "A much better").summaries
    assert summary.win_rate == 0.5
    assert summary.chose_a == 1.0


def test_identical_answers_are_ties(tmp_path: Path) -> None:
    """The win rate speaks of the whole suite, so ties that no rater saw pull it to one half."""
    found = run(moved(["gained"] * 40, same=20), tmp_path, likes_two)
    assert found.summaries[0].win_rate == pytest.approx(0.75)


def test_workbooks_come_back_too(tmp_path: Path) -> None:
    """A filled-in workbook under another name, and one that nobody rated, are understood."""
    files = drawn(example_result().comparisons, tmp_path, items=6, seed=1)
    path = sheet_of(files, 1, "xlsx", "coherence")
    rate_workbook(path, lambda *_: "both bad")
    renamed = path.rename(tmp_path / "back from Hilma.xlsx")
    found = collect(tmp_path, [renamed, files["rater-2/workbooks/coherence-set-2.xlsx"]])
    (draw,) = found.draws
    assert len(draw.review.ratings) == 6
    assert {rating.rater for rating in draw.review.ratings} == {1}
    assert {rating.preference for rating in draw.review.ratings} == {0}
    (empty,) = [file for file in found.files if "rater-2" in file.name]
    assert (empty.new, empty.rows) == (0, 6)
    assert "row 2" in empty.problems[0]
    assert "and 2 more: no rating that counts" in empty.problems[0]


def test_direct_ratings_are_unblinded(tmp_path: Path) -> None:
    """Scores go to the arms that gave the answers, and their difference is a preference."""
    files = drawn([moved(["gained"] * 12)], tmp_path, forms={"sql": "direct"}, raters=1)
    path = sheet_of(files)
    rows = csv_rows(path)
    assert "Preference" not in rows[0]
    for row in rows:
        likes = row["Answer A"].strip("'").startswith("two")
        row["Score of A"], row["Score of B"] = ("5", "2") if likes else ("2.0", " 5 ")
    rows[0]["Score of A"] = "Cannot judge"
    path.write_text(csv_text(rows))
    found = collected(tmp_path, [path]).review
    assert found.sets[0].form == "direct"
    assert [r.preference for r in found.ratings].count(2) == len(found.ratings) - 1
    assert {(r.base_score, r.tuned_score) for r in found.ratings} == {(2, 5), (None, None)}
    rows[1]["Score of A"], rows[2]["Score of B"], rows[3]["Score of A"] = "6", "", "good"
    path.write_text(csv_text(rows))
    (file,) = collect(tmp_path, [path]).files
    assert file.new == len(rows) - 3
    assert any("found '6'; use 1 · 2 · 3 · 4 · 5 · cannot judge" in p for p in file.problems)
    assert any("needs a score of both answers" in p for p in file.problems)


def test_cannot_judge_is_no_tie(tmp_path: Path) -> None:
    """Rows that a rater could not judge count neither for nor against."""
    (summary,) = run(moved(["lost"] * 8), tmp_path, lambda *_: "cannot judge").summaries
    assert (summary.judgements, summary.not_judged, summary.win_rate) == (0, 16, None)


def change(path: Path, column: str, text: str) -> None:
    """Change a cell of the fourth row of a workbook."""
    book = openpyxl.load_workbook(path)
    book["Ratings"].cell(row=4, column=COLUMNS.index(column) + 1).value = text
    book.save(path)


@pytest.mark.parametrize(
    ("column", "text", "told"),
    [
        ("Question", "another question", "not as they were handed out"),
        ("Answer A", "a better answer", "not as they were handed out"),
        ("Row", "row-0000000000", "row 4 (row-0000000000): not in the key"),
        ("Preference", "A is fine", "a rating must be in the list: found 'A is fine'; use A much"),
        ("Preference", "5", "a rating must be in the list: found '5'"),
        ("Preference", "", "no rating that counts"),
    ],
)
def test_what_cannot_count_is_told_and_the_rest_counts(
    tmp_path: Path, column: str, text: str, told: str
) -> None:
    """One row is edited, unknown, impossible or empty: it is named, and all others count."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    path = sheet_of(files, 1, "xlsx")
    rate_workbook(path, likes_two)
    change(path, column, text)
    (file,) = collect(tmp_path, [path]).files
    assert file.new == 7
    assert any(told in problem for problem in file.problems), file.problems
    assert all("row" in problem for problem in file.problems)


def test_an_unknown_fault_costs_the_fault(tmp_path: Path) -> None:
    """A rating is kept where only the fault beside it is none; several faults have commas."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    path = sheet_of(files, 1, "xlsx")
    rate_workbook(path, likes_two)
    change(path, "Fault of A", "Wrong, dull;  off-topic")
    found = collect(tmp_path, [path])
    (file,) = found.files
    assert file.new == 8
    assert "kept without the fault 'dull', which is not in the list" in file.problems[0]
    tags = [r.base_tags or r.tuned_tags for r in found.draws[0].review.ratings]
    assert tags.count(("wrong", "off topic")) == 1


def test_deleted_rows_are_missed(tmp_path: Path) -> None:
    """Rows that were handed out and are gone from a sheet are named."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    path = sheet_of(files)
    rows = rate_csv(path, likes_two)
    path.write_text(csv_text(rows[2:]))
    (file,) = collect(tmp_path, [path]).files
    gone = [problem for problem in file.problems if "no longer in the file" in problem]
    assert len(gone) == 1
    assert all(row["Row"] in gone[0] for row in rows[:2])


def test_a_second_call_adds_and_counts_nothing_twice(tmp_path: Path) -> None:
    """The same file again is no change; another rater's is added; what was known stays."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    one, two = sheet_of(files, 1), sheet_of(files, 2)
    for path in (one, two):
        rate_csv(path, likes_two)
    first = collect(tmp_path, [one])
    (path,) = keep(first)
    assert read_review(path) == first.draws[0].review
    kept = path.read_bytes()
    again = collect(tmp_path, [one])
    assert (again.files[0].new, again.files[0].known) == (0, 8)
    keep(again)
    assert path.read_bytes() == kept
    both = collect(tmp_path, [two])
    assert (both.files[0].new, both.files[0].problems) == (8, ())
    keep(both)
    assert read_review(path).summaries[0].judgements == 16
    assert (both.draws[0].missing, both.draws[0].rows) == ({}, {1: 8, 2: 8})


@pytest.mark.parametrize("calls", [1, 2])
def test_of_two_ratings_the_newer_file_counts(tmp_path: Path, calls: int) -> None:
    """Whatever the order of files or calls; it is said, and a row counts once."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    old, new = sheet_of(files, 1, "xlsx"), sheet_of(files, 1)
    rate_workbook(old, likes_two)
    rate_csv(new, lambda *_: "both good")
    os.utime(old, (1e9, 1e9))
    os.utime(new, (2e9, 2e9))
    for given in ([new, old], [old, new]):
        reports = []
        for part in [given] if calls == 1 else [[path] for path in given]:
            found = collect(tmp_path, part)
            (kept,) = keep(found)
            reports += found.files
        assert {r.preference for r in read_review(kept).ratings} == {0}
        told = [problem for report in reports for problem in report.problems]
        assert any("rated otherwise in a" in problem for problem in told)
        if calls == 2:
            kept.unlink()


def test_what_comes_late_is_told(tmp_path: Path) -> None:
    """Ratings of a rater who was summed up before count, and are named as late."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    path = sheet_of(files)
    rows = rate_csv(path, likes_two)
    first = [
        {**row, "Preference": row["Preference"] if n < 5 else ""} for n, row in enumerate(rows)
    ]
    path.write_text(csv_text(first))
    keep(collect(tmp_path, [path]))
    path.write_text(csv_text(rows))
    (file,) = collect(tmp_path, [path]).files
    assert (file.new, file.known) == (3, 5)
    assert any("late: added" in problem for problem in file.problems)


def test_a_row_rated_twice_differently_in_one_file_does_not_count(tmp_path: Path) -> None:
    """Nobody can know which of the two was meant; the same twice is one."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    path = sheet_of(files)
    rows = rate_csv(path, likes_two)
    path.write_text(csv_text([*rows, {**rows[0], "Preference": "both bad"}, rows[1]]))
    found = collect(tmp_path, [path])
    assert found.files[0].new == 7
    assert any("differently, in one file" in problem for problem in found.files[0].problems)


def test_a_pages_ratings_are_read(tmp_path: Path) -> None:
    """The JSON of a rating page counts like a sheet; rows that it leaves out are not gone."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    rows = csv_rows(sheet_of(files))
    said = [
        RowRating(row=rows[0]["Row"], choice="A much better", tags_b=("wrong", "invented")),
        RowRating(row=rows[1]["Row"], choice="cannot judge", comment="=1+1"),
        RowRating(row=rows[2]["Row"]),
    ]
    path = tmp_path / "ratings.json"
    path.write_text(ratings_json("any", 1, said))
    found = collect(tmp_path, [path])
    assert (found.files[0].new, found.files[0].problems) == (2, ())
    ratings = found.draws[0].review.ratings
    assert {rating.comment for rating in ratings} == {"", "=1+1"}
    assert ("wrong", "invented") in {tags for r in ratings for tags in (r.base_tags, r.tuned_tags)}
    path.write_text(path.read_text().replace("cannot judge", "B is nice"))
    found = collect(tmp_path, [path])
    assert found.files[0].new == 1
    assert "found 'B is nice'" in found.files[0].problems[0]


def test_a_raters_zip_is_read(tmp_path: Path) -> None:
    """Whatever else is in it; the sheet that stayed empty does not hide the one that was filled."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    rate_workbook(sheet_of(files, 1, "xlsx"), likes_two)
    path = tmp_path / "back.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in files.items():
            if name.startswith("rater-1/"):
                archive.write(file, name)
        archive.writestr("__MACOSX/rater-1/._sql-set-1.csv", b"\x00\x05")
        archive.writestr("rater-1/photo.jpg", b"\xff\xd8")
    found = collect(tmp_path, [path])
    assert sum(file.new for file in found.files) == 8
    assert [file.problems for file in found.files] == [(), ()]
    path.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DataError, match=r"back\.zip"):
        collect(tmp_path, [path])


@pytest.mark.parametrize("name", ["key.json", "rater-1/workbooks/sql-set-1.xlsx"])
def test_broken_files_are_named(tmp_path: Path, name: str) -> None:
    """A key or a sheet that cannot be read is named in one sentence."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    files["key" if name == "key.json" else name].write_text("no sheet at all")
    with pytest.raises(DataError, match=Path(name).name):
        collect(tmp_path, [sheet_of(files, 1, "xlsx")])


def test_a_broken_file_costs_no_other(tmp_path: Path) -> None:
    """Good files count; the others are told, each with its reason."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    good = sheet_of(files)
    rate_csv(good, likes_two)
    bad = {
        "page.html": b"<!doctype html><p>x</p>", "empty.csv": b"", "text.csv": b"a,b\n1,2\n",
        "cut.xlsx": b"PK\x03\x04", "old.xls": b"\xd0\xcf\x11\xe0\xa1\xb1", "list.json": b"[]",
        "other.json": b'{"format": "x"}', "deep.json": b"[" * 100_000,
        "strange.json": b'{"format": "harness-ratings/1", "ratings": [1, {"row": [2]}, {}]}',
    }  # fmt: skip
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe.csv")
    given = [good, tmp_path / "none.csv", tmp_path, *(tmp_path / n for n in [*bad, "pipe.csv"])]
    found = collect(tmp_path, given)
    told = {Path(file.name).name: file.problems for file in found.files}
    assert sum(file.new for file in found.files) == 8
    assert told.pop(good.name) == ()
    assert len(told) == len(given) - 1
    assert all(told.values()), told
    assert "press Download" in told["page.html"][0]


def test_every_draw_is_collected_with_its_own_key(tmp_path: Path) -> None:
    """Sheets find the key that they were written with, also several draws at once."""
    comparison = moved(["gained"] * 12)
    sheets = [sheet_of(drawn([comparison], tmp_path, items=n)) for n in (4, 8)]
    for path in sheets:
        rate_csv(path, likes_two)
    found = collect(tmp_path, sheets)
    assert {len(draw.review.ratings) for draw in found.draws} == {4, 8}
    assert {draw.review.draw for draw in found.draws} == {d.folder.name for d in found.draws}
    one = collect(found.draws[0].folder, [p for p in sheets if found.draws[0].folder in p.parents])
    assert one.draws[0].review == found.draws[0].review


def test_a_draw_of_an_earlier_version_is_still_collected(tmp_path: Path) -> None:
    """Its key lies beside ``for_raters`` and knows less, and its ratings count."""
    files = drawn([moved(["gained"] * 8)], tmp_path / "old", items=8)
    key = json.loads(files["key"].read_text())
    del key["draw"]
    shown = {
        row["Row"]: fingerprint_1([row["Row"], *(arm(row[name]) for name in SHOWN[1:])])
        for rater in (1, 2)
        for row in csv_rows(sheet_of(files, rater))
    }
    for entry in key["sets"].values():
        del entry["form"], entry["tags"]
        for name, row in entry["rows"].items():
            del row["sha256_ascii"], row["answers"]
            row["sha256"] = shown[name]
    (tmp_path / "key.json").write_text(json.dumps(key))
    drawn([moved(["gained"] * 8)], tmp_path, items=4, seed=1)
    rate_csv(sheet_of(files), likes_two)
    assert len(collected(tmp_path, [sheet_of(files)]).review.ratings) == 8


@pytest.mark.parametrize(
    "key", ["[]", "{}", '{"sets": 1}', '{"sets": {"a": {"rows": 3}}}', "[" * 100_000, "\ud800"]
)
def test_what_is_no_key_is_one_sentence(tmp_path: Path, key: str) -> None:
    """A key of another shape is named, with what is wrong in it."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    files["key"].write_bytes(key.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=r"needs the key .*key\.json: "):
        collect(tmp_path, [sheet_of(files)])


def test_a_review_that_cannot_be_read_is_not_overwritten(tmp_path: Path) -> None:
    """Ratings of earlier calls are worth more than a new call: it refuses."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    rate_csv(sheet_of(files), likes_two)
    path = files["key"].parent / "review.json"
    path.write_text("{")
    with pytest.raises(DataError, match=r"review\.json"):
        collect(tmp_path, [sheet_of(files)])
    assert path.read_text() == "{"


def test_the_interval_covers_the_truth() -> None:
    """Over 100 draws from a suite with a known win rate, the 90 % interval covers it as it says."""
    comparison = moved(["gained"] * 30 + ["lost"] * 10 + ["both_wrong"] * 80, same=6)
    chance = random.Random(4)
    wins = {
        pair.base.item.key: chance.random() < (0.9 if pair.transition == "gained" else 0.3)
        for pair in comparison.pairs
    }
    exact = (6 * 0.5 + sum(wins[pair.base.item.key] for pair in comparison.pairs[6:])) / 120
    covered = 0
    for seed in range(100):
        (one,) = draw_sets([comparison], items=40, seed=seed)
        scores = {name: [] for name in one.draw.sizes}
        for drawn_pair in one.draw.drawn:
            scores[drawn_pair.stratum].append(float(wins[drawn_pair.pair.base.item.key]))
        strata = [Stratum(size, scores[name]) for name, size in one.draw.sizes.items()]
        _, low, high = population_win_rate(strata, ties=one.draw.identical)
        covered += low <= exact <= high
    assert covered >= 83


def test_no_arm_is_needed_to_read_what_came_back(tmp_path: Path) -> None:
    """Rows have the names that the key knows; the reader itself knows no key."""
    files = drawn([moved(["lost"] * 8)], tmp_path, items=8)
    (file,) = read_rated([sheet_of(files)])
    ((_, key),) = read_keys(tmp_path)
    assert {row.cells["row"] for row in file.rows} <= set(key["sets"]["sql-set-1"]["rows"])
