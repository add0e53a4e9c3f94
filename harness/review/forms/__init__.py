"""Forms in which raters get a packet: a page, a zip with workbooks, a server, Label Studio."""

from harness.review.forms.instructions import instructions
from harness.review.forms.label_studio import label_studio_files, label_studio_ratings
from harness.review.forms.rater_zip import rater_folder, zipped
from harness.review.forms.rating_page import rating_page
from harness.review.forms.ratings_file import RatingsFile, parse_ratings

__all__ = [
    "RatingsFile",
    "instructions",
    "label_studio_files",
    "label_studio_ratings",
    "parse_ratings",
    "rater_folder",
    "rating_page",
    "zipped",
]
