"""Human review: which pairs raters see, how they are blinded, and what their ratings show."""

from harness.review.collect import Ratings, collect
from harness.review.summary import Rating, SetSummary
from harness.review.write import write_sheets

__all__ = ["Rating", "Ratings", "SetSummary", "collect", "write_sheets"]
