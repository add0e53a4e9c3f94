"""Ratings back from raters, and what they say."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from support.example_result import example_result, moved

from harness.errors import DataError
from harness.records import Comparison
from harness.review import Ratings, collect, write_sheets
from harness.review.sheets import COLUMNS

Rater = Callable[[str, str], str]


def rate_workbook(path: Path, rater: Rater) -> None:
    """Fill in a workbook as a person would, from what it shows."""
    book = openpyxl.load_workbook(path)
    for row in book["Ratings"].iter_rows(min_row=2):
        row[COLUMNS.index("Preference")].value = rater(row[3].value, row[4].value)
    book.save(path)


def rate_csv(path: Path, rater: Rater, *, delimiter: str = ",") -> None:
    """Fill in a CSV, written back with the delimiter of another country."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    for row in table:
        row["Preference"] = rater(row["Answer A"], row["Answer B"])
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)


def run(comparison: Comparison, folder: Path, rater: Rater, **options: int) -> Ratings:
    """Draw, let raters fill in their CSV sheets, and collect."""
    files = write_sheets([comparison], folder, **{"items_per_suite": 20, "seed": 0, **options})
    rated = [path for name, path in files.items() if name.endswith(".csv")]
    for path in rated:
        rate_csv(path, rater)
    return collect(folder, rated)


def likes_two(a: str, b: str) -> str:
    """Prefer the answer that begins with ``two`` (tuned's, in the made-up comparisons)."""
    assert a.startswith("two") != b.startswith("two")
    return "A much better" if a.startswith("two") else "B slightly better"


def test_preferences_are_unblinded(tmp_path: Path) -> None:
    """A rater who always prefers tuned's answer gives wins only, whatever the sides were."""
    found = run(
        moved(["gained"] * 12 + ["both_wrong"] * 12), tmp_path, likes_two, items_per_suite=24
    )
    (summary,) = found.summaries
    assert (summary.judgements, summary.items) == (48, 24)
    assert (summary.wins, summary.ties, summary.losses) == (48, 0, 0)
    assert (summary.win_rate, summary.ci_low, summary.ci_high) == (1.0, 1.0, 1.0)
    assert summary.chose_a == 0.5
    assert {rating.preference for rating in found.ratings} == {1, 2}


def test_agreement_is_that_of_the_raters(tmp_path: Path) -> None:
    """Raters with one mind agree fully, raters with opposite minds never do."""
    files = write_sheets([moved(["gained", "lost"] * 10)], tmp_path, items_per_suite=20, seed=0)
    sheets = [files[f"sql-set-1-rater-{rater}.csv"] for rater in (1, 2)]

    def odd_wins(a: str, b: str) -> str:
        is_odd = int(a.split()[1]) % 2 == 1
        return "A much better" if a.startswith("two") == is_odd else "B much better"

    def even_wins(a: str, b: str) -> str:
        return {"A": "B", "B": "A"}[odd_wins(a, b)[0]] + " much better"

    rate_csv(sheets[0], odd_wins)
    rate_csv(sheets[1], odd_wins)
    (summary,) = collect(tmp_path, sheets).summaries
    assert (summary.agreement, summary.same) == (1.0, 1.0)
    rate_csv(sheets[1], even_wins)
    (summary,) = collect(tmp_path, sheets).summaries
    assert summary.agreement < 0
    assert summary.same == 0
    (alone,) = collect(tmp_path, sheets[:1]).summaries
    assert (alone.agreement, alone.same) == (None, None)


def test_a_rater_who_prefers_a_side_is_seen(tmp_path: Path) -> None:
    """Always choosing A gives no winner and a share of one for side A."""
    found = run(moved(["gained"] * 20), tmp_path, lambda *_: "A much better")
    (summary,) = found.summaries
    assert summary.win_rate == 0.5
    assert summary.chose_a == 1.0


def test_identical_answers_are_ties(tmp_path: Path) -> None:
    """The win rate speaks of the whole suite, so ties that no rater saw pull it to one half."""
    found = run(moved(["gained"] * 40, same=20), tmp_path, likes_two)
    assert found.summaries[0].win_rate == pytest.approx(0.75)


def test_workbooks_come_back_too(tmp_path: Path) -> None:
    """A filled-in workbook under another name, and one with an unrated row, are understood."""
    comparisons = example_result().comparisons
    files = write_sheets(comparisons, tmp_path, items_per_suite=6, seed=1)
    path = files["coherence-set-1-rater-1.xlsx"]
    rate_workbook(path, lambda *_: "both bad")
    renamed = path.rename(tmp_path / "back from Hilma.xlsx")
    other = files["coherence-set-2-rater-2.xlsx"]
    found = collect(tmp_path, [renamed, other])
    assert len(found.ratings) == 6
    assert {rating.rater for rating in found.ratings} == {1}
    assert {rating.preference for rating in found.ratings} == {0}
    assert found.missing == 6


def test_a_sheet_saved_with_semicolons_is_read(tmp_path: Path) -> None:
    """Spreadsheets of many countries save CSV with semicolons."""
    files = write_sheets([moved(["lost"] * 8)], tmp_path, items_per_suite=8, seed=0)
    path = files["sql-set-1-rater-1.csv"]
    rate_csv(path, likes_two, delimiter=";")
    assert len(collect(tmp_path, [path]).ratings) == 8


def test_cannot_judge_is_no_tie(tmp_path: Path) -> None:
    """Rows that a rater could not judge count neither for nor against."""
    found = run(moved(["lost"] * 8), tmp_path, lambda *_: "cannot judge")
    (summary,) = found.summaries
    assert (summary.judgements, summary.not_judged, summary.win_rate) == (0, 16, None)


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("Question", "another question", "was edited"),
        ("Answer A", "a better answer", "was edited"),
        ("Row", "0000000000", "is not; collect with the key"),
        ("Preference", "A is fine", "a rating must be in the list: found 'A is fine'"),
        ("Fault of B", "dull", "a rating must be in the list: found 'dull'"),
    ],
)
def test_edited_sheets_are_refused(tmp_path: Path, column: str, text: str, message: str) -> None:
    """What was not handed out is not counted; the message has file, line, rule and remedy."""
    files = write_sheets([moved(["lost"] * 8)], tmp_path, items_per_suite=8, seed=0)
    path = files["sql-set-1-rater-1.xlsx"]
    rate_workbook(path, likes_two)
    book = openpyxl.load_workbook(path)
    book["Ratings"].cell(row=4, column=COLUMNS.index(column) + 1).value = text
    book.save(path)
    with pytest.raises(DataError, match=rf"rater-1.xlsx:4: .*{message}"):
        collect(tmp_path, [path])


def test_two_ratings_of_a_row_that_differ_are_refused(tmp_path: Path) -> None:
    """The same sheet twice is harmless unless its ratings contradict each other."""
    files = write_sheets([moved(["lost"] * 8)], tmp_path, items_per_suite=8, seed=0)
    one, two = files["sql-set-1-rater-1.xlsx"], files["sql-set-1-rater-1.csv"]
    rate_workbook(one, likes_two)
    rate_csv(two, likes_two)
    assert len(collect(tmp_path, [one, two]).ratings) == 8
    rate_csv(two, lambda *_: "both good")
    with pytest.raises(DataError, match="two different ratings"):
        collect(tmp_path, [one, two])


@pytest.mark.parametrize("name", ["key.json", "for_raters/sql-set-1-rater-1.xlsx"])
def test_broken_files_are_named(tmp_path: Path, name: str) -> None:
    """A key or a sheet that cannot be read is named in one sentence."""
    files = write_sheets([moved(["lost"] * 8)], tmp_path, items_per_suite=8, seed=0)
    (files["key"].parent / name).write_text("no sheet at all")
    with pytest.raises(DataError, match=Path(name).name):
        collect(tmp_path, [files["sql-set-1-rater-1.xlsx"]])


def test_every_draw_is_collected_with_its_own_key(tmp_path: Path) -> None:
    """Sheets find the key that they were written with, and two draws are not mixed."""
    comparison = moved(["gained"] * 12)
    draws = [write_sheets([comparison], tmp_path, items_per_suite=n, seed=0) for n in (4, 8)]
    sheets = [files["sql-set-1-rater-1.csv"] for files in draws]
    for path, items in zip(sheets, (4, 8), strict=True):
        rate_csv(path, likes_two)
        (summary,) = collect(tmp_path, [path]).summaries
        assert (summary.wins, summary.losses) == (items, 0)
    with pytest.raises(DataError, match="one draw are collected at a time"):
        collect(tmp_path, sheets)


def test_a_draw_of_an_earlier_version_is_still_collected(tmp_path: Path) -> None:
    """Its key lies beside ``for_raters``, without a name, and its ratings count."""
    comparison = moved(["gained"] * 8)
    files = write_sheets([comparison], tmp_path / "old", items_per_suite=8, seed=0)
    key = json.loads(files["key"].read_text())
    del key["draw"]
    (tmp_path / "key.json").write_text(json.dumps(key))
    write_sheets([comparison], tmp_path, items_per_suite=4, seed=1)
    rate_csv(files["sql-set-1-rater-1.csv"], likes_two)
    assert len(collect(tmp_path, [files["sql-set-1-rater-1.csv"]]).ratings) == 8


@pytest.mark.parametrize(
    "key", ["[]", "{}", '{"sets": 1}', '{"sets": {"a": {"rows": 3}}}', "[" * 100_000, "\ud800"]
)
def test_what_is_no_key_is_one_sentence(tmp_path: Path, key: str) -> None:
    """A key of another shape is named, with what is wrong in it."""
    files = write_sheets([moved(["lost"] * 8)], tmp_path, items_per_suite=8, seed=0)
    files["key"].write_bytes(key.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=r"needs the key .*key\.json: "):
        collect(tmp_path, [files["sql-set-1-rater-1.csv"]])


def test_the_interval_covers_the_truth(tmp_path: Path) -> None:
    """Over 100 draws from a suite with a known win rate, the 90 % interval covers it as it says."""
    comparison = moved(["gained"] * 30 + ["lost"] * 10 + ["both_wrong"] * 80, same=6)
    truth = {}
    draw = random.Random(4)
    for pair in comparison.pairs:
        chance = 0.9 if pair.transition == "gained" else 0.3
        truth[pair.tuned.responses[0].text] = draw.random() < chance
    exact = (6 * 0.5 + sum(truth[p.tuned.responses[0].text] for p in comparison.pairs[6:])) / 120

    def rater(a: str, b: str) -> str:
        tuned = a if a.startswith("two") else b
        return "A much better" if truth[tuned] == (tuned == a) else "B much better"

    covered = 0
    for seed in range(100):
        found = run(
            comparison, tmp_path / str(seed), rater, items_per_suite=40, seed=seed, raters=1
        )
        covered += found.summaries[0].ci_low <= exact <= found.summaries[0].ci_high
    assert covered >= 83
