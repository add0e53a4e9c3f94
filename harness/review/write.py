"""A draw's folder: what raters get in a folder of their own, the key to it beside that."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.analysis import thought_text
from harness.errors import StudyError
from harness.files import whole_folder, write_bytes
from harness.records import Comparison
from harness.review.blind import BlindedRow, rows
from harness.review.draw import Draw, draw, keyed
from harness.review.key import (
    KEY,
    KeyRow,
    KeySet,
    fingerprint,
    fingerprints_ascii,
    key_text,
    read_key,
    sha256,
)
from harness.review.packet import Form, Packet, SuiteSheet, kind_of, shown_cells, tags_of
from harness.review.precision import Precision, precision
from harness.review.rater_files import rater_files
from harness.review.summary import answers_hash

FOR_RATERS = "for_raters"

_LAYOUT = "2"
"""Of sheets and keys: part of a draw's name, so that no two layouts share a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSet:
    """What was drawn of one candidate on one suite; ``name`` tells the suite only."""

    name: str
    comparison: Comparison
    draw: Draw
    form: Form

    @property
    def drawn(self) -> dict[str, int]:
        """Pairs that raters see of each stratum."""
        found = Counter(each.stratum for each in self.draw.drawn)
        return {name: found[name] for name in self.draw.sizes}

    @property
    def precision(self) -> Precision | None:
        """How much the ratings will tell; None where nothing is drawn of a stratum."""
        if not self.draw.drawn or not all(self.drawn.values()):
            return None
        return precision(self.drawn, self.draw.sizes, self.draw.identical)


def draw_sets(
    comparisons: Sequence[Comparison],
    *,
    items: int,
    seed: int,
    by: str = "",
    forms: Mapping[str, Form] | None = None,
) -> tuple[DrawnSet, ...]:
    """Draw from every comparison; see `draw.draw`.

    Args:
        comparisons: Base against each candidate on each suite.
        items: Pairs a rater sees of each suite and candidate, at most.
        seed: Of the draw, and of the order of candidates.
        by: A field of the rows, or "label", that strata are split by; empty for none.
        forms: How a suite is rated, by its name; by preference where it is not named.

    Returns:
        A set for each comparison. Those of a suite are numbered in an order that has nothing to do
        with the study.
    """
    found = []
    for suite in dict.fromkeys(c.suite.name for c in comparisons):
        mine = [c for c in comparisons if c.suite.name == suite]
        mine.sort(key=lambda c: keyed(seed, "set", suite, c.candidate))
        found += [
            DrawnSet(
                name=f"{_file_name(suite)}-set-{place + 1}",
                comparison=comparison,
                draw=draw(comparison, items=items, seed=seed, part=place, parts=len(mine), by=by),
                form=(forms or {}).get(suite, "preference"),
            )
            for place, comparison in enumerate(mine)
        ]
    return tuple(found)


def write_sheets(
    sets: Sequence[DrawnSet], folder: Path, *, seed: int, raters: int = 2
) -> dict[str, Path]:
    """Blind and write what was drawn, for every rater in all forms.

    A draw has a folder of its own, ``folder/<draw>``, named by what was drawn. Raters get of its
    ``for_raters`` what bears their number and nothing else; its ``key.json`` says which answer was
    whose. File names and contents tell the suite, never the candidate or the arm. What a draw has
    once written is never written again, so neither ratings nor a key are lost; another draw goes
    beside it.

    Args:
        sets: What was drawn.
        folder: Where draws are kept.
        seed: Of sides, row names and order.
        raters: Raters of every pair; each sees an own order, and half the sides exchanged.

    Returns:
        Each file of the draw by its name below ``for_raters``, the key as ``key``.

    Raises:
        StudyError: What lies at the draw's place is no folder of ours.
        InfrastructureError: The folder cannot be written to.
    """
    drawing = _name_of(sets, seed, raters)
    entries: dict[str, dict[str, KeyRow]] = {each.name: {} for each in sets}
    files: dict[str, bytes] = {}
    for rater in range(1, raters + 1):
        sheets = []
        for each in sets:
            blinded = rows(each.draw.drawn, name=each.name, rater=rater, seed=seed, drawing=drawing)
            entries[each.name].update({row.shown.id: _key_row(row, rater) for row in blinded})
            if blinded:
                sheets.append(_sheet(each, blinded))
        if sheets:
            packet = Packet(draw=drawing, rater=rater, sheets=tuple(sheets))
            files |= rater_files(packet)
    key = {each.name: _key_set(each, entries[each.name]) for each in sets}
    return _put(folder / drawing, files, key_text(key, files, seed, drawing))


def _name_of(sets: Sequence[DrawnSet], seed: int, raters: int) -> str:
    """Return a draw's name: equal where sheets and key would be equal."""
    drawn = (
        repr((each.name, each.form, each.comparison.candidate, each.draw.sizes,
              each.draw.identical, each.draw.unscored, [
            (tuple(one.pair.base.item.key), one.pair.transition, one.stratum, one.probability,
             one.base, one.tuned, one.pair.base.item.prompt, one.pair.base.item.target)
            for one in each.draw.drawn
        ]))
        for each in sets
    )  # fmt: skip
    return keyed(seed, "drawing", _LAYOUT, str(raters), *drawn)[:8]


def _file_name(suite: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "_" for char in suite)


def _sheet(each: DrawnSet, blinded: Sequence[BlindedRow]) -> SuiteSheet:
    suite = each.comparison.suite
    return SuiteSheet(
        name=each.name,
        suite=suite.name,
        title=suite.heading,
        kind=kind_of(suite),
        form=each.form,
        tags=tags_of(suite),
        rows=tuple(row.shown for row in blinded),
        thoughts=any(
            thought_text(sample)
            for row in blinded
            for sample in (row.drawn.pair.base, row.drawn.pair.tuned)
        ),
    )


def _key_row(row: BlindedRow, rater: int) -> KeyRow:
    pair, cells = row.drawn.pair, shown_cells(row.shown)
    known: KeyRow = {
        "rater": rater,
        "item": list(pair.base.item.key),
        "transition": pair.transition,
        "stratum": row.drawn.stratum,
        "probability": row.drawn.probability,
        "base_side": row.base_side,
        "sha256": fingerprint(cells),
        "sha256_ascii": fingerprints_ascii(cells),
        "answers": answers_hash(row.drawn.base, row.drawn.tuned),
    }
    if row.repeats:
        known["repeats"] = row.repeats
    return known


def _key_set(each: DrawnSet, entries: dict[str, KeyRow]) -> KeySet:
    return {
        "suite": each.comparison.suite.name,
        "candidate": each.comparison.candidate,
        "strata": each.draw.sizes,
        "identical": each.draw.identical,
        "unscored": each.draw.unscored,
        "rows": entries,
        "form": each.form,
        "tags": list(tags_of(each.comparison.suite)),
    }


def _put(folder: Path, files: Mapping[str, bytes], key: str) -> dict[str, Path]:
    """Write a draw, the key first; of one that is there, write what was taken away.

    Only what its key names is written again: other files would be another version's.
    """
    sheets = folder / FOR_RATERS
    if any(path.is_symlink() for path in (folder.parent, folder, sheets, *sheets.glob("rater-*"))):
        raise StudyError(f"sheets are written to a folder of the run: {folder} leads elsewhere")
    if not (folder / KEY).exists():
        with whole_folder(folder) as part:
            write_bytes(part / KEY, [key.encode("utf-8", "backslashreplace")])
            for name, data in files.items():
                write_bytes(part / FOR_RATERS / name, [data])
    named = read_key(folder / KEY)["files"]
    for name, data in files.items():
        if not (sheets / name).exists() and named.get(name) == sha256(data):
            write_bytes(sheets / name, [data])
    return {"key": folder / KEY, **{name: sheets / name for name in files}}
