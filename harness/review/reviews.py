"""What was collected and judged of all draws of a run, held to the answers that it has now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from harness.analysis import shown_text
from harness.records import Comparison, ItemKey, Pair, Review
from harness.review.draw import clean
from harness.review.judging import JUDGED, read_judged
from harness.review.summary import REVIEW, answers_hash, read_review, review_of

_Pairs = Mapping[tuple[str, ItemKey], Pair]
"""What base and candidate answered, by candidate and item."""


def kept_reviews(folder: Path) -> tuple[Review, ...]:
    """Read the ratings of every draw in a folder, as they were collected.

    Args:
        folder: of all draws.

    Raises:
        DataError: If a file of ratings or judgements is broken.
    """
    files = {path.parent for name in (REVIEW, JUDGED) for path in folder.glob(f"*/{name}")}
    return tuple(map(_read, sorted(files)))


def rated_items(reviews: Iterable[Review]) -> frozenset[ItemKey]:
    """Return the items that people or judge models have rated."""
    ratings = chain(*(review.ratings for review in reviews))
    judged = chain(*(review.judged.pairs for review in reviews if review.judged))
    return frozenset((*(one.item for one in ratings), *(one.item for one in judged)))


def of_answers(reviews: Sequence[Review], comparisons: Sequence[Comparison]) -> tuple[Review, ...]:
    """Leave out, and count, ratings and judgements of answers that a run does not have any more.

    Args:
        reviews: As they were collected.
        comparisons: of the run, those of its chats among them.
    """
    rated = rated_items(reviews)
    pairs = {
        (comparison.candidate, pair.base.item.key): pair
        for comparison in comparisons
        for pair in comparison.shown
        if pair.base.item.key in rated
    }
    return tuple(_current(review, pairs) for review in reviews)


def _read(draw: Path) -> Review:
    judged = read_judged(draw / JUDGED) if (draw / JUDGED).is_file() else None
    if (draw / REVIEW).is_file():
        return replace(read_review(draw / REVIEW), judged=judged)
    return replace(review_of(draw.name, judged.sets if judged else (), ()), judged=judged)


def _current(review: Review, pairs: _Pairs) -> Review:
    """Keep what is of answers that the run has."""
    known: dict[tuple[str, ItemKey], str] = {}

    def holds(candidate: str, item: ItemKey, hashed: str) -> bool:
        key = candidate, item
        if key not in known and key in pairs:
            pair = pairs[key]
            texts = clean(shown_text(pair.base)), clean(shown_text(pair.tuned))
            known[key] = answers_hash(*texts)
        return key in known and hashed in ("", known[key])

    ratings = [r for r in review.ratings if holds(r.candidate, r.item, r.answers)]
    left_out = len(review.ratings) - len(ratings)
    if left_out:
        summed = review_of(review.draw, review.sets, ratings)
        review = replace(summed, judged=review.judged, left_out=left_out)
    if review.judged is None:
        return review
    candidates = {drawn.name: drawn.candidate for drawn in review.sets}
    said = (pair for pair in review.judged.pairs if pair.set_name in candidates)
    kept = (pair for pair in said if holds(candidates[pair.set_name], pair.item, pair.answers))
    return replace(review, judged=replace(review.judged, pairs=tuple(kept)))
