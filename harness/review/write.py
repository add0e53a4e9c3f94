"""A draw's folder: sheets for raters in a folder of their own, the key to them beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.content import REPORTS
from harness.errors import StudyError
from harness.files import whole_folder, write_bytes
from harness.records import Comparison
from harness.review.blind import BlindedRow, rows
from harness.review.draw import Draw, draw, keyed
from harness.review.key import KEY, KeyRow, KeySet, fingerprint, key_text
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

    A draw has a folder of its own, ``folder/<draw>``, named by what was drawn. Raters get its
    ``for_raters`` and nothing else; its ``key.json`` says which answer was whose. File names and
    contents tell the suite, never the candidate or the arm. What a draw has once written is never
    written again, so neither ratings nor a key are lost; another draw goes beside it.

    Args:
        comparisons: Base against each candidate on each suite.
        folder: Where draws are kept.
        items_per_suite: Pairs a rater sees of each suite and candidate, at most.
        seed: Of draw, sides, row names and order.
        raters: Raters of every pair; each sees an own order, and half the sides exchanged.

    Returns:
        Each file of the draw by its name, the key as ``key``.

    Raises:
        StudyError: What lies at the draw's place is no folder of ours.
        InfrastructureError: The folder cannot be written to.
    """
    named = [
        (name, comparison, draw(comparison, items=items_per_suite, seed=seed, part=k, parts=n))
        for name, comparison, k, n in _named(comparisons, seed)
    ]
    drawing = _name_of(named, seed, raters)
    files: dict[str, bytes] = {}
    sets: dict[str, KeySet] = {}
    rubric = (REPORTS / "rubric.md").read_text("utf-8")
    for name, comparison, found in named:
        entries: dict[str, KeyRow] = {}
        for rater in range(1, raters + 1):
            sheet = rows(found.drawn, name=name, rater=rater, seed=seed, drawing=drawing)
            entries.update({row.id: _key_row(row, rater) for row in sheet})
            if sheet:
                files[f"{name}-rater-{rater}.xlsx"] = workbook(sheet, rubric)
                files[f"{name}-rater-{rater}.csv"] = csv_sheet(sheet)
        sets[name] = _key_set(comparison, found, entries)
    if files:
        files["instructions.md"] = rubric.encode()
    return _put(folder / drawing, files, key_text(sets, files, seed, drawing))


def _name_of(named: Sequence[tuple[str, Comparison, Draw]], seed: int, raters: int) -> str:
    """Return a draw's name: equal where sheets and key would be equal."""
    drawn = (
        repr((name, comparison.candidate, found.sizes, found.identical, found.unscored, [
            (tuple(each.pair.base.item.key), each.pair.transition, each.probability, each.base,
             each.tuned, each.pair.base.item.prompt, each.pair.base.item.target)
            for each in found.drawn
        ]))
        for name, comparison, found in named
    )  # fmt: skip
    return keyed(seed, "drawing", str(raters), *drawn)[:8]


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
    """Write a draw, the key first; of one that is there, write what was taken away."""
    sheets = folder / FOR_RATERS
    if folder.parent.is_symlink() or folder.is_symlink() or sheets.is_symlink():
        raise StudyError(f"sheets are written to a folder of the run: {folder} leads elsewhere")
    if not (folder / KEY).exists():
        with whole_folder(folder) as part:
            write_bytes(part / KEY, [key.encode("utf-8", "backslashreplace")])
            for name, data in files.items():
                write_bytes(part / FOR_RATERS / name, [data])
    for name, data in files.items():
        if not (sheets / name).exists():
            write_bytes(sheets / name, [data])
    return {"key": folder / KEY, **{name: sheets / name for name in files}}
