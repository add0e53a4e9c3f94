"""Pure functions over training texts: clean, deduplicate, hold out, detect contamination."""

from harness.corpus.clean import Cleaned, Cleaning, Rules, clean, text_of
from harness.corpus.near import near_duplicates
from harness.corpus.overlap import Overlap, overlap
from harness.corpus.split import hold_out

__all__ = [
    "Cleaned",
    "Cleaning",
    "Overlap",
    "Rules",
    "clean",
    "hold_out",
    "near_duplicates",
    "overlap",
    "text_of",
]
