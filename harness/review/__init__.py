"""Human review: which pairs raters see, how they are blinded, and what their ratings show."""

from harness.review.collect import Ratings, collect
from harness.review.summary import read_review, review_of, review_text
from harness.review.write import write_sheets

__all__ = ["Ratings", "collect", "read_review", "review_of", "review_text", "write_sheets"]
