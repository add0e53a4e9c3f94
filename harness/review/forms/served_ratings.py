"""What a server keeps: one file of ratings a rater, on the disk before a save is confirmed."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from harness.errors import DataError
from harness.files import explained, sync, write_text
from harness.inputs import read_input
from harness.review.forms.ratings_file import RatingsFile, parse_ratings, problem
from harness.review.packet import Packet, RowRating, ratings_json

SERVED = "served"
"""The folder of a draw in which a server keeps ratings; `harness review collect` reads it."""


def served_files(folder: Path) -> list[Path]:
    """Return what servers kept of a draw, or of all draws in a folder."""
    return sorted((*folder.glob(f"{SERVED}/*.json"), *folder.glob(f"*/{SERVED}/*.json")))


class ServedRatings:
    """The ratings of one rater. Saving adds to what is there; a row's newest rating counts.

    Args:
        folder: Where the file lies.
        packet: What the rater sees; nothing else can be rated.

    Raises:
        DataError: If the file that is there is not of this packet.
    """

    def __init__(self, folder: Path, packet: Packet) -> None:
        self.path = folder / f"rater-{packet.rater}.json"
        self._packet = packet
        self._sheets = {row.id: sheet for sheet in packet.sheets for row in sheet.rows}
        self._rated: dict[str, RowRating] = {}
        self._lock = Lock()
        if self.path.exists():
            found = parse_ratings(read_input(self.path))
            self._check(found)
            self._rated = {rating.row: rating for rating in found["ratings"]}

    def all(self) -> tuple[RowRating, ...]:
        """Return every rating that is on the disk."""
        with self._lock:
            return tuple(self._rated.values())

    def save(self, text: str) -> int:
        """Add ratings and return how many rows have one, once they are on the disk.

        Args:
            text: ``harness-ratings/1`` with the rows that changed.

        Raises:
            DataError: If it is not that, of another packet, or rates what its form does not offer.
            InfrastructureError: If it cannot be written; what was saved before still is.
        """
        found = parse_ratings(text)
        self._check(found)
        with self._lock:
            rated = {**self._rated, **{rating.row: rating for rating in found["ratings"]}}
            self._write(list(rated.values()))
            self._rated = rated
        return len(rated)

    def _write(self, ratings: Sequence[RowRating]) -> None:
        write_text(self.path, ratings_json(self._packet.draw, self._packet.rater, ratings))
        with explained(self.path):
            sync(self.path.parent)  # the new name, too, outlives a loss of power

    def _check(self, found: RatingsFile) -> None:
        if (found["draw"], found["rater"]) != (self._packet.draw, self._packet.rater):
            raise DataError(
                f"ratings must be of draw {self._packet.draw}, rater {self._packet.rater}: found "
                f"draw {found['draw']}, rater {found['rater']}"
            )
        for rating in found["ratings"]:
            sheet = self._sheets.get(rating.row)
            wrong = problem(rating, sheet) if sheet else "it is none of this rater's rows"
            if wrong:
                raise DataError(
                    f"a rating must be of what the page offers: {rating.row!r}: {wrong}"
                )
