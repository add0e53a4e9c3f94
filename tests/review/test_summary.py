"""Ratings summed up: duplicates, agreement of several raters, and the file that keeps them."""

from pathlib import Path

import pytest
from support.reviews import rating

from harness.errors import DataError
from harness.records import RatedSet, Rating
from harness.review.summary import read_review, review_of, review_text, summarize

DRAWN = RatedSet(
    name="sql-set-1", suite="sql", candidate="mixed", strata={"lost": 40, "gained": 60}, identical=5
)


def some(preferences: list[int | None], **changes: object) -> list[Rating]:
    """Return one rater's ratings of as many items."""
    return [rating(number, value, **changes) for number, value in enumerate(preferences)]


def test_a_review_comes_back_from_its_file(tmp_path: Path) -> None:
    """Every field of every rating returns, hostile text and empty ones among them."""
    ratings = some([2, None, 0, -1], comment="=1+1 \u2028 </script> \x07 é", seconds=3.5)
    ratings += some([1, 0, 0, -1], rater=2, base_tags=("wrong", "invented"), base_score=3)
    review = review_of("d1", [DRAWN], ratings)
    path = tmp_path / "review.json"
    path.write_text(review_text(review), "utf-8")
    assert read_review(path) == review
    assert review.summaries[0].judgements == 7


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"draw": 1}', '{"format": "harness-review/9"}'])
def test_a_file_that_holds_no_review_is_refused(tmp_path: Path, text: str) -> None:
    """One sentence says which file it is and what to do."""
    path = tmp_path / "review.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"review\.json: .*; collect the sheets again"):
        read_review(path)


def test_hidden_duplicates_tell_about_the_rater_only() -> None:
    """A rater who names the other winner the second time is seen, and no item counts twice."""
    first = some([2, 1, -1, 0] * 3)
    again = [
        rating(0, 1, row="d0", repeats="r1-0"),
        rating(1, -2, row="d1", repeats="r1-1"),
        rating(2, None, row="d2", repeats="r1-2"),
    ]
    found = summarize(DRAWN, [*first, *again])
    assert (found.judgements, found.wins, found.ties, found.losses) == (12, 6, 3, 3)
    assert (found.raters[0].shown_again, found.raters[0].same_again) == (2, 1)


def test_nothing_is_said_of_fewer_than_ten_ratings() -> None:
    """Counts are counts; rates, agreement and intervals need ten."""
    found = summarize(DRAWN, some([1, -1, 1] * 3))
    assert (found.win_rate, found.chose_a_low, found.same, found.agreement) == (None,) * 4
    assert summarize(DRAWN, some([1, -1] * 5, stratum="lost")).win_rate is None  # none of gained
    strata = [rating(n, 1, stratum="lost" if n < 5 else "gained") for n in range(10)]
    assert summarize(DRAWN, strata).win_rate == pytest.approx((100 + 2.5) / 105)


def test_two_raters_have_cohens_kappa_and_three_fleiss() -> None:
    """What is said depends on how many judged; the winner counts, not how clearly it won."""
    one = some([2, 1, -1, 0, 1, -2] * 3)
    two = some([1, 2, -1, 0, 2, 1] * 3, rater=2)
    found = summarize(DRAWN, one + two)
    assert found.kappa_of == "Cohen"
    assert found.same == pytest.approx(5 / 6)
    assert found.agreement_low < found.agreement < found.agreement_high
    three = summarize(DRAWN, one + two + some([1, 1, -1, 0, 1, -1] * 3, rater=3))
    assert three.kappa_of == "Fleiss"
    assert three.kappa > found.kappa
    assert three.raters[1].with_others == pytest.approx(5 / 6)


def test_direct_ratings_have_means() -> None:
    """The mean score of either arm stands beside the win rate."""
    found = summarize(DRAWN, some([1] * 12, base_score=3, tuned_score=4))
    assert (found.base_mean, found.tuned_mean) == (3.0, 4.0)
