"""What raters get and give, whatever the form."""

import json

import pytest

from harness.records import Suite
from harness.review.packet import CHOICES, RowRating, ratings_json, tags_of


@pytest.mark.parametrize(
    ("rating", "preference"),
    [
        (RowRating(row="r1", choice="A much better"), 2),
        (RowRating(row="r1", choice="B slightly better"), -1),
        (RowRating(row="r1", choice="both bad"), 0),
        (RowRating(row="r1", choice="cannot judge"), None),
        (RowRating(row="r1", score_a=5, score_b=1), 2),
        (RowRating(row="r1", score_a=3, score_b=4), -1),
        (RowRating(row="r1"), None),
    ],
)
def test_a_rating_leans_to_a_side(rating: RowRating, preference: int | None) -> None:
    """Preferences and pairs of scores are on one scale; who cannot judge is on none."""
    assert rating.preference == preference
    assert rating.cannot_judge == (rating.choice == CHOICES[-1])


def test_ratings_are_one_json_object() -> None:
    """What a page gives back names its draw and its rater, and holds every field of a rating."""
    rating = RowRating(row="r1", choice="both good", tags_a=("wrong",), comment="née")
    told = json.loads(ratings_json("a1", 2, [rating]))
    assert (told["format"], told["draw"], told["rater"]) == ("harness-ratings/1", "a1", 2)
    assert told["ratings"] == [
        {"row": "r1", "choice": "both good", "score_a": None, "score_b": None,
         "tags_a": ["wrong"], "tags_b": [], "comment": "née"}
    ]  # fmt: skip


def test_suites_have_faults_of_their_own() -> None:
    """SQL can join wrongly; a suite with another judge has the general faults."""
    assert "wrong join" in tags_of(Suite(name="s", metric="m", judge="sql"))
    assert "invented" in tags_of(Suite(name="s", metric="m"))
