"""Ratings for tests, as they come out of a collected draw."""

from dataclasses import replace
from typing import Any

from harness.records import ItemKey, Rating


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
