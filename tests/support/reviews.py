"""Ratings for tests, as they come out of a collected draw."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.records import Comparison, ItemKey, Pair, RatedSet, Rating, Review
from harness.review.draw import draw
from harness.review.summary import answers_hash, review_of, review_text

Opinion = Callable[[int, Pair], int | None]
"""What a rater, counted from 1, says of a pair: above zero for tuned."""


def rating(number: int, preference: int | None, **changes: Any) -> Rating:
    """Return rater 1's judgement of item ``number`` of the suite ``sql``; tuned is A on even ones.

    Rows are called by rater and item, such as ``r1-0``.
    """
    rater = changes.get("rater", 1)
    made = Rating(
        row=f"r{rater}-{number}",
        set_name="sql-set-1",
        suite="sql",
        candidate="mixed",
        item=ItemKey("sql", "none", f"{number:064d}", 0),
        rater=rater,
        stratum="lost" if number % 2 else "gained",
        tuned_side="B" if number % 2 else "A",
        preference=preference,
    )
    return replace(made, **changes)


def rated(
    comparisons: list[Comparison], opinion: Opinion, *, items: int = 40, raters: int = 2
) -> Review:
    """Draw pairs of each comparison and let raters say of them what ``opinion`` says."""
    sets, ratings = [], []
    for comparison in comparisons:
        found = draw(comparison, items=items, seed=0)
        name = f"{comparison.suite.name}-{comparison.candidate}"
        sets.append(
            RatedSet(
                name=name,
                suite=comparison.suite.name,
                candidate=comparison.candidate,
                strata={str(stratum): size for stratum, size in found.sizes.items()},
                identical=found.identical,
                unscored=found.unscored,
            )
        )
        ratings += [
            rating(
                number,
                opinion(rater, one.pair),
                row=f"{name}-{rater}-{number}",
                set_name=name,
                suite=comparison.suite.name,
                candidate=comparison.candidate,
                item=one.pair.base.item.key,
                rater=rater,
                stratum=str(one.stratum),
                tuned_side="A" if (number + rater) % 2 else "B",
                answers=answers_hash(one.base, one.tuned),
            )
            for rater in range(1, raters + 1)
            for number, one in enumerate(found.drawn)
        ]
    return review_of("d1", sets, ratings)


def keep(review: Review, folder: Path) -> None:
    """Write a draw's ``review.json`` into the folder of all draws."""
    path = folder / review.draw / "review.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(review_text(review), "utf-8")
