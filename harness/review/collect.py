"""Ratings back from raters: checked against the key, unblinded, added to what came before."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.display_text import one_line
from harness.errors import DataError
from harness.files import write_text
from harness.records import Rating, Review
from harness.review.key import (
    Key,
    KeyRow,
    fingerprint,
    fingerprint_1,
    fingerprints_ascii,
    read_keys,
)
from harness.review.packet import GENERAL_TAGS
from harness.review.rated_files import SHOWN_CELLS, RatedFile, RatedRow, read_rated
from harness.review.said import said
from harness.review.sheets import arm
from harness.review.summary import REVIEW, read_review, review_of, review_text
from harness.review.unblind import rated_set, unblinded

_NAMED = 4
"""Rows that a sentence names; of more it says how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of one file: ratings that are ``new``, that ``changed`` and that were ``known``.

    ``rows`` counts those that were handed out; ``problems`` are sentences about what was left out,
    or kept with a doubt.
    """

    name: str
    rows: int = 0
    new: int = 0
    changed: int = 0
    known: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedDraw:
    """All ratings of one draw so far, those of earlier calls among them.

    ``rows`` are those that each rater has, ``missing`` those without a rating.
    """

    folder: Path
    review: Review
    missing: Mapping[int, int]
    rows: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a call of `collect` found; draws of which nothing came back are not among them."""

    draws: tuple[CollectedDraw, ...]
    files: tuple[FileReport, ...]


@dataclass(slots=True)
class _Drawing:
    """A draw while files are read: its key, its ratings by row, and those known ``before``."""

    folder: Path
    key: Key
    rated: dict[str, Rating]
    before: Mapping[str, Rating]


_Where = Mapping[str, tuple[_Drawing, str]]
"""Draw and set of each row."""


class _ReadFile:
    """One file while it is read: its rows by name, what came of them, and which have a problem."""

    def __init__(self, file: RatedFile) -> None:
        self.file = file
        self.rows: dict[str, RatedRow] = {}
        self.counts: Counter[str] = Counter()
        self._problems: dict[str, list[str]] = defaultdict(list)

    def note(self, problem: str, row: RatedRow) -> None:
        """Note a problem of a row."""
        name = one_line(row.cells.get("row", ""), 40)
        self._problems[problem].append(f"{row.place} ({name})" if name else row.place)

    def report(self, where: _Where) -> FileReport:
        """Say what became of the file, once all files are read: another may have what it lacks."""
        if self.file.is_sheet:
            for name, row in self.rows.items():
                if name not in where[name][0].rated:
                    self.note("no rating that counts", row)
            for name in _gone(self.rows, where):
                self.note("handed out and no longer in the file", RatedRow(place=name, cells={}))
        problems = tuple(f"{_listed(rows)}: {told}" for told, rows in self._problems.items())
        return FileReport(
            name=self.file.name,
            rows=len(self.rows),
            new=self.counts["new"],
            changed=self.counts["changed"],
            known=self.counts["known"],
            problems=(self.file.problem,) if self.file.problem else problems,
        )


def collect(folder: Path, files: Sequence[Path]) -> Collected:
    """Read what came back and add it to what was collected before; nothing is written.

    A rating that is known counts once; where a row is rated otherwise, what is in the newer file
    counts. A row that was edited, or whose rating its form does not offer, is left out and named.

    Args:
        folder: A draw's folder, with ``key.json``, or the folder of all draws.
        files: Workbooks, CSV, JSON or archives of them, under any name.

    Raises:
        DataError: No key; ratings of earlier calls that cannot be read; or files with nothing that
            was handed out.
    """
    draws = [_drawing(path, key) for path, key in read_keys(folder)]
    where = {
        row: (draw, name)
        for draw in draws
        for name, entry in draw.key["sets"].items()
        for row in entry["rows"]
    }
    read = [
        _read_file(file, where)
        for file in sorted(read_rated(files), key=lambda file: file.modified)
    ]
    reports = [reading.report(where) for reading in read]
    collected = Collected(
        draws=tuple(_collected(draw) for draw in draws if draw.rated), files=tuple(reports)
    )
    if not any(report.rows for report in reports):
        wrong = [(report.name, told) for report in reports for told in report.problems]
        name, told = wrong[0] if wrong else ("", "none was given")
        rest = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise DataError(f"a rating sheet must be one that was handed out: {name}: {told}{rest}")
    return collected


def keep(collected: Collected) -> list[Path]:
    """Write ``review.json`` of every draw that has ratings; each is there whole or as before."""
    written = []
    for draw in collected.draws:
        path = draw.folder / REVIEW
        write_text(path, review_text(draw.review))
        written.append(path)
    return written


def _drawing(folder: Path, key: Key) -> _Drawing:
    path = folder / REVIEW
    kept = {rating.row: rating for rating in read_review(path).ratings} if path.exists() else {}
    return _Drawing(folder=folder, key=key, rated=dict(kept), before=kept)


def _read_file(file: RatedFile, where: _Where) -> _ReadFile:
    """Read the ratings of one file into their draws."""
    read = _ReadFile(file)
    ratings: dict[str, Rating | None] = {}
    for row in file.rows:
        name = row.cells["row"].strip()
        if name not in where:
            read.note("not in the key: of another draw, or its name was changed", row)
            continue
        rating = _rating(row, name, where, read)
        if rating and ratings.setdefault(name, rating) != rating:
            read.note("rated twice, differently, in one file: neither counts", row)
            ratings[name] = None
        read.rows.setdefault(name, row)
    for name, rating in ratings.items():
        if rating:
            read.counts[_add(where[name][0], replace(rating, modified=file.modified), read)] += 1
    return read


def _rating(row: RatedRow, name: str, where: _Where, read: _ReadFile) -> Rating | None:
    """Return the rating of a row, unblinded; None where it has none that counts."""
    draw, set_name = where[name]
    entry = draw.key["sets"][set_name]
    rating, wrong, doubts = said(
        name, row.cells, entry.get("form", "preference"), entry.get("tags", GENERAL_TAGS)
    )
    if wrong:
        read.note(wrong, row)
    if rating is None:
        return None
    if _is_edited(row, name, entry["rows"][name]):
        read.note("question or answers are not as they were handed out", row)
        return None
    for doubt in doubts:
        read.note(doubt, row)
    return unblinded(rating, set_name, entry)


def _is_edited(row: RatedRow, name: str, known: KeyRow) -> bool:
    """Tell whether a row shows something else than was handed out, as far as the file can tell."""
    if not all(each in row.cells for each in SHOWN_CELLS):
        return False  # a file without the answers, such as a page's: there is nothing to compare
    shown = [row.cells[each] for each in SHOWN_CELLS]
    versions = [[name, *shown], [name, *map(arm, shown)]]
    left = known.get("sha256_ascii")
    whole = fingerprint if left else fingerprint_1
    if any(whole(version) == known["sha256"] for version in versions):
        return False
    if row.is_exact or left is None:
        return True
    found = [zip(fingerprints_ascii(version), left, strict=True) for version in versions]
    return not any(one == other for pairs in found for one, other in pairs)


def _add(draw: _Drawing, rating: Rating, read: _ReadFile) -> str:
    """Add a rating to its draw; return whether it was new, changed or known."""
    before, row = draw.rated.get(rating.row), read.rows[rating.row]
    if before is None:
        draw.rated[rating.row] = rating
        if any(each.rater == rating.rater for each in draw.before.values()):
            read.note("late: added to ratings of this rater that were summed up before", row)
        return "new"
    if before == rating:
        return "known"
    if before.modified > rating.modified:
        read.note("rated otherwise in a newer file: that one counts", row)
        return "known"
    read.note("rated otherwise in an older file: this one counts", row)
    draw.rated[rating.row] = rating
    return "changed"


def _gone(read: Mapping[str, RatedRow], where: _Where) -> list[str]:
    """Return rows without a rating that were handed out on the same sheets and are not here."""
    sheets = {
        (id(draw), set_name, draw.key["sets"][set_name]["rows"][name]["rater"]): draw
        for name in read
        for draw, set_name in [where[name]]
    }
    return [
        name
        for (_, set_name, rater), draw in sheets.items()
        for name, known in draw.key["sets"][set_name]["rows"].items()
        if known["rater"] == rater and name not in read and name not in draw.rated
    ]


def _collected(draw: _Drawing) -> CollectedDraw:
    sets = draw.key["sets"]
    rows = [
        (known["rater"], name) for entry in sets.values() for name, known in entry["rows"].items()
    ]
    review = review_of(
        draw.key.get("draw", draw.folder.name),
        [rated_set(name, entry) for name, entry in sets.items()],
        [draw.rated[name] for _, name in rows if name in draw.rated],
    )
    return CollectedDraw(
        folder=draw.folder,
        review=review,
        missing=Counter(rater for rater, name in rows if name not in draw.rated),
        rows=Counter(rater for rater, _ in rows),
    )


def _listed(rows: Sequence[str]) -> str:
    more = len(rows) - _NAMED
    named = ", ".join(rows[:_NAMED])
    return f"{named} and {more} more" if more > 0 else named
