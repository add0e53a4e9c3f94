"""What was collected and judged of all draws of a run, held to the answers that it has now."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.analysis import answer_text
from harness.records import Comparison, ItemKey, Review
from harness.review.draw import clean
from harness.review.judging import JUDGED, read_judged
from harness.review.summary import REVIEW, answers_hash, read_review, review_of

_Answers = Mapping[tuple[str, ItemKey], str]
"""The hash of the answers of base and candidate, by candidate and item."""


def read_reviews(folder: Path, comparisons: Sequence[Comparison]) -> tuple[Review, ...]:
    """Read the ratings of every draw in a folder.

    Ratings and judgements of answers that the run does not have (any more) are left out and
    counted.

    Args:
        folder: of all draws.
        comparisons: of the run, those of its chats among them.

    Raises:
        DataError: If a file of ratings or judgements is broken.
    """
    files = {path.parent for name in (REVIEW, JUDGED) for path in folder.glob(f"*/{name}")}
    if not files:
        return ()
    answers = {
        (comparison.candidate, pair.base.item.key): answers_hash(
            clean(answer_text(pair.base)), clean(answer_text(pair.tuned))
        )
        for comparison in comparisons
        for pair in comparison.pairs
    }
    return tuple(_current(_read(draw), answers) for draw in sorted(files))


def _read(draw: Path) -> Review:
    judged = read_judged(draw / JUDGED) if (draw / JUDGED).is_file() else None
    if (draw / REVIEW).is_file():
        return replace(read_review(draw / REVIEW), judged=judged)
    return Review(draw=draw.name, sets=judged.sets if judged else (), judged=judged)


def _current(review: Review, answers: _Answers) -> Review:
    """Keep what is of answers that the run has."""
    candidates = {drawn.name: drawn.candidate for drawn in review.sets}

    def holds(candidate: str, item: ItemKey, hashed: str) -> bool:
        now = answers.get((candidate, item))
        return now is not None and hashed in ("", now)

    ratings = [r for r in review.ratings if holds(r.candidate, r.item, r.answers)]
    judged = review.judged
    if judged is not None:
        pairs = (p for p in judged.pairs if p.set_name in candidates)
        kept = (p for p in pairs if holds(candidates[p.set_name], p.item, p.answers))
        judged = replace(judged, pairs=tuple(kept))
    return replace(
        review_of(review.draw, review.sets, ratings),
        judged=judged,
        left_out=len(review.ratings) - len(ratings),
    )
