"""Who guesses the arm from everything about a sheet but its texts is right half of the time."""

import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from support.example_result import example_result, moved
from support.rated_sheets import drawn

from harness.records import Comparison, Response

SPREADSHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
SEEDS = range(4)
MOVES = ["lost", "gained", "both_wrong", "both_right"] * 45
RATERS = 3

Examples = tuple[np.ndarray, np.ndarray]
"""Features of rows, shape (rows, features), and whether the base is on side A, shape (rows,)."""


def features_of(path: Path, key: dict, *, lengths: bool) -> Examples:
    """Describe every row of a workbook and its CSV by what a program can see beside the words.

    Its place, its name's digits, its height and styles, the order in which its strings lie in the
    file, bytes and their sums in the CSV, what the archive says; with ``lengths``, those of both
    answers.
    """
    lines = path.with_suffix(".csv").read_bytes().split(b"\r\nrow-")[1:]
    with zipfile.ZipFile(path) as archive:
        page = ElementTree.parse(io.BytesIO(archive.read("xl/worksheets/sheet2.xml")))
        shared = ElementTree.parse(io.BytesIO(archive.read("xl/sharedStrings.xml"))).getroot()
        parts = [(i.file_size, i.compress_size, *i.date_time) for i in archive.infolist()]
    strings = ["".join(t.text or "" for t in s.iter(f"{SPREADSHEET}t")) for s in shared]
    features, sides = [], []
    rows = page.getroot().findall(f".//{SPREADSHEET}row")[1:]
    for place, (row, line) in enumerate(zip(rows, lines, strict=True)):
        cells = row.findall(f"{SPREADSHEET}c")
        places = [int(cell.findtext(f"{SPREADSHEET}v") or -1) for cell in cells[:5]]
        name = strings[places[0]]
        is_new = min(places[3:]) > places[0]  # who meets an answer again learns that from its text
        digits = [int(digit, 16) for digit in name.removeprefix("row-")]
        seen = [
            place, place % 2, place % 4, place < len(rows) / 2, float(row.get("ht", 0)), *digits,
            *(int(cell.get("s", 0)) for cell in cells), (places[4] - places[3]) * is_new,
            sum(line) % 7, sum(line) % 2, len(line) % 2, line.count(b'"'), len(parts),
            sum(map(sum, parts)) % 2,
        ]  # fmt: skip
        if lengths:
            seen += [len(strings[places[3]]), len(strings[places[4]]), len(line)]
        features.append(seen)
        sides.append(key[name]["base_side"] == "A")
    return np.array(features, dtype=float), np.array(sides)


def all_rows(comparison: Comparison, folder: Path, *, lengths: bool) -> list[Examples]:
    """Draw with several seeds; return the rows of each draw."""
    found = []
    for seed in SEEDS:
        files = drawn([comparison], folder, items=160, seed=seed, raters=RATERS)
        (key,) = json.loads(files["key"].read_text())["sets"].values()
        books = [path for name, path in files.items() if name.endswith(".xlsx")]
        each = [features_of(path, key["rows"], lengths=lengths) for path in books]
        found.append((np.vstack([x for x, _ in each]), np.concatenate([y for _, y in each])))
    return found


def accuracy(draws: Sequence[Examples]) -> tuple[float, float]:
    """Learn a logistic regression from half of the draws; return how often it is right, and 3.5 sd.

    Ridge of 1 on standardized features; Newton's method.
    """
    half = len(draws) // 2
    train, test = (
        (np.vstack([x for x, _ in part]), np.concatenate([y for _, y in part]))
        for part in (draws[:half], draws[half:])
    )
    mean, scale = train[0].mean(axis=0), train[0].std(axis=0) + 1e-9

    def standard(x: np.ndarray) -> np.ndarray:
        return np.hstack([np.clip((x - mean) / scale, -9, 9), np.ones((len(x), 1))])

    x, y = standard(train[0]), train[1]
    weights = np.zeros(x.shape[1])
    for _ in range(20):
        p = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (p - y) + weights
        weights -= np.linalg.solve((x.T * (p * (1 - p))) @ x + np.eye(x.shape[1]), slope)
    guessed = standard(test[0]) @ weights > 0
    return float(np.mean(guessed == test[1])), 3.5 * 0.5 / len(test[1]) ** 0.5


def test_answers_of_equal_length_cannot_be_told_apart(tmp_path: Path) -> None:
    """Place, name, height, styles, bytes, metadata and lengths: none of them tells the arm."""
    found = all_rows(moved(MOVES), tmp_path, lengths=True)
    assert min(len(x) for x, _ in found) == RATERS * 168
    right, chance = accuracy(found)
    assert abs(right - 0.5) < chance
    planted = [(np.hstack([x, (y ^ (x[:, :1].ravel() % 9 < 1))[:, None]]), y) for x, y in found]
    assert accuracy(planted)[0] > 0.8  # a tell that is right in eight of nine rows would be found


def test_where_one_arm_says_more_only_lengths_tell(tmp_path: Path) -> None:
    """Raters see how long an answer is; nothing else of the files says who gave it."""
    comparison = moved(MOVES)
    pairs = tuple(
        replace(pair, tuned=replace(pair.tuned, responses=(Response(text=f"two {n}, I think"),)))
        for n, pair in enumerate(comparison.pairs)
    )
    longer = replace(comparison, pairs=pairs)
    right, chance = accuracy(all_rows(longer, tmp_path, lengths=False))
    assert abs(right - 0.5) < chance
    assert accuracy(all_rows(longer, tmp_path, lengths=True))[0] > 0.9


@pytest.mark.parametrize("name", ["key.json", "review.json"])
def test_what_tells_the_arm_lies_outside(tmp_path: Path, name: str) -> None:
    """Nothing below ``for_raters`` names a side, a stratum, a seed or a candidate."""
    files = drawn(example_result().comparisons, tmp_path, items=12)
    telling = re.compile(rb"base_side|stratum|probability|\"seed\"|narrow|mixed")
    assert not any(path.name == name for path in files["key"].parent.glob("for_raters/**/*"))
    for path in files["key"].parent.glob("for_raters/**/*"):
        assert path.is_dir() or not telling.search(path.read_bytes())
