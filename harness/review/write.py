"""Sheets for raters in one folder, the key to them outside of it."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.content import REPORTS
from harness.errors import InfrastructureError, StudyError
from harness.records import Comparison
from harness.review.blind import BlindedRow, rows
from harness.review.draw import Draw, draw, keyed
from harness.review.key import KEY, KeyRow, KeySet, fingerprint, key_text, read_key
from harness.review.sheets import csv_sheet, shown_cells, workbook

FOR_RATERS = "for_raters"


def write_sheets(
    comparisons: Sequence[Comparison],
    folder: Path,
    *,
    items_per_suite: int,
    seed: int,
    raters: int = 2,
) -> dict[str, Path]:
    """Draw, blind and write rating sheets: a workbook and a CSV a rater, suite and candidate.

    Raters get ``folder/for_raters`` and nothing else; ``folder/key.json`` says which answer was
    whose. File names and contents tell the suite, never the candidate or the arm. Sheets of the
    same draw that are there already are left alone, so a second run destroys no ratings.

    Args:
        comparisons: Base against each candidate on each suite.
        folder: Where ``for_raters/`` and ``key.json`` go.
        items_per_suite: Pairs a rater sees of each suite and candidate, at most.
        seed: Of draw, sides, row names and order.
        raters: Raters of every pair; each sees an own order, and half the sides exchanged.

    Returns:
        Each written file by its name.

    Raises:
        StudyError: Sheets of another draw are there and hold ratings.
        InfrastructureError: The folder cannot be written to.
    """
    files: dict[str, bytes] = {}
    sets: dict[str, KeySet] = {}
    rubric = (REPORTS / "rubric.md").read_text("utf-8")
    for name, comparison, part, parts in _named(comparisons, seed):
        found = draw(comparison, items=items_per_suite, seed=seed, part=part, parts=parts)
        entries: dict[str, KeyRow] = {}
        for rater in range(1, raters + 1):
            sheet = rows(found.drawn, name=name, rater=rater, seed=seed)
            entries.update({row.id: _key_row(row, rater) for row in sheet})
            if sheet:
                files[f"{name}-rater-{rater}.xlsx"] = workbook(sheet, rubric)
                files[f"{name}-rater-{rater}.csv"] = csv_sheet(sheet)
        sets[name] = _key_set(comparison, found, entries)
    if files:
        files["instructions.md"] = rubric.encode()
    return _put(folder, files, key_text(sets, files, seed))


def _named(comparisons: Sequence[Comparison], seed: int) -> list[tuple[str, Comparison, int, int]]:
    """Number the sets of a suite in an order that has nothing to do with the study.

    Beside name and comparison stand the set's place and how many sets the suite has.
    """
    found = []
    for suite in dict.fromkeys(c.suite.name for c in comparisons):
        mine = [c for c in comparisons if c.suite.name == suite]
        mine.sort(key=lambda c: keyed(seed, "set", suite, c.candidate))
        found += [
            (f"{_file_name(suite)}-set-{place + 1}", comparison, place, len(mine))
            for place, comparison in enumerate(mine)
        ]
    return found


def _file_name(suite: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "_" for char in suite)


def _key_row(row: BlindedRow, rater: int) -> KeyRow:
    pair = row.drawn.pair
    return {
        "rater": rater,
        "item": list(pair.base.item.key),
        "transition": pair.transition,
        "stratum": row.drawn.stratum,
        "probability": row.drawn.probability,
        "base_side": row.base_side,
        "sha256": fingerprint(shown_cells(row)),
    }


def _key_set(comparison: Comparison, found: Draw, entries: dict[str, KeyRow]) -> KeySet:
    return {
        "suite": comparison.suite.name,
        "candidate": comparison.candidate,
        "strata": found.sizes,
        "identical": found.identical,
        "unscored": found.unscored,
        "rows": entries,
    }


def _put(folder: Path, files: Mapping[str, bytes], key: str) -> dict[str, Path]:
    sheets, key_path = folder / FOR_RATERS, folder / KEY
    try:
        is_same_draw = key_path.exists() and key_path.read_text("utf-8") == key
        if key_path.exists() and not is_same_draw:
            _remove_unrated(sheets, read_key(key_path)["files"])
        sheets.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            if not (is_same_draw and (sheets / name).exists()):
                (sheets / name).write_bytes(data)
        key_path.write_text(key, "utf-8")
    except OSError as error:
        raise InfrastructureError(
            f"review sheets need a folder that can be written to: {folder}: "
            f"{error.strerror or error}; free space or choose another folder"
        ) from error
    return {"key": key_path, **{name: sheets / name for name in files}}


def _remove_unrated(sheets: Path, old: Mapping[str, str]) -> None:
    """Take an earlier draw away, unless someone has filled it in."""
    present = [(sheets / name, digest) for name, digest in old.items() if (sheets / name).exists()]
    for path, digest in present:
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise StudyError(
                f"a new draw must not replace ratings: {path} has been filled in; "
                "collect it and move the folder away first"
            )
    for path, _ in present:
        path.unlink()
