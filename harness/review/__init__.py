"""Human review: which pairs raters see, how they are blinded, and what their ratings show."""

from harness.review.collect import Collected, CollectedDraw, FileReport, collect, keep
from harness.review.draw import LABEL
from harness.review.precision import Precision
from harness.review.reviews import kept_reviews, of_answers, rated_items
from harness.review.summary import read_review, review_of, review_text
from harness.review.write import DrawnSet, draw_sets, write_sheets

__all__ = [
    "LABEL",
    "Collected",
    "CollectedDraw",
    "DrawnSet",
    "FileReport",
    "Precision",
    "collect",
    "draw_sets",
    "keep",
    "kept_reviews",
    "of_answers",
    "rated_items",
    "read_review",
    "review_of",
    "review_text",
    "write_sheets",
]
