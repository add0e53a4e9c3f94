"""``harness-ratings/1``: the JSON in which a page or a server keeps one rater's ratings."""

from typing import Literal

from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic needs it on Python 3.11

from harness.errors import DataError
from harness.inputs import first_problem, parse_json
from harness.review.packet import CHOICES, RATINGS_FORMAT, SCORES, RowRating, SuiteSheet

LONGEST_COMMENT = 4000
"""Characters of a comment that a page takes."""


class RatingsFile(TypedDict):
    """One rater's ratings of one draw."""

    format: Literal["harness-ratings/1"]
    draw: str
    rater: int
    ratings: list[RowRating]


def parse_ratings(text: str) -> RatingsFile:
    """Parse the JSON that a rating page gives.

    Raises:
        DataError: If it is not of this format.
    """
    try:
        return TypeAdapter(RatingsFile).validate_python(parse_json(text))
    except ValueError as error:
        reason = first_problem(error)
    raise DataError(f"ratings must be JSON of the format {RATINGS_FORMAT}: {reason}")


def problem(rating: RowRating, sheet: SuiteSheet) -> str:
    """Say what in a rating a sheet does not offer; empty where everything is."""
    is_direct = sheet.form == "direct"
    choices = ("", CHOICES[-1]) if is_direct else ("", *CHOICES)
    scores = (None, *SCORES) if is_direct else (None,)
    if rating.choice not in choices:
        return f"{rating.choice!r} is none of the choices of this form"
    if rating.score_a not in scores or rating.score_b not in scores:
        return f"scores {rating.score_a!r} and {rating.score_b!r} are none of this form"
    if unknown := {*rating.tags_a, *rating.tags_b} - {*sheet.tags}:
        return f"{min(unknown)!r} is none of the faults of this suite"
    if len(rating.comment) > LONGEST_COMMENT:
        return f"a comment has at most {LONGEST_COMMENT} characters, found {len(rating.comment)}"
    return ""
