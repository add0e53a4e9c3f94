"""Pure functions over texts: what training rows share with the items that test them."""

from harness.corpus.overlap import Overlap, overlap

__all__ = ["Overlap", "overlap"]
