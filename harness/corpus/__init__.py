"""Pure functions over training texts: clean, hold out, find repetitions and test items."""

from harness.corpus.clean import Cleaned, clean, text_of
from harness.corpus.near import near_duplicates
from harness.corpus.overlap import Overlap, overlap
from harness.corpus.split import hold_out

__all__ = ["Cleaned", "Overlap", "clean", "hold_out", "near_duplicates", "overlap", "text_of"]
