"""Read training data from files, the hub or databases as `Example`s; errors name the row."""

from harness.ingest.examples import Unlearnt, iter_examples, read_examples
from harness.ingest.file_formats import FORMATS, read_rows
from harness.ingest.shapes import SHAPES, Shape, shape_of
from harness.ingest.sources import Source, rows_of

__all__ = [
    "FORMATS",
    "SHAPES",
    "Shape",
    "Source",
    "Unlearnt",
    "iter_examples",
    "read_examples",
    "read_rows",
    "rows_of",
    "shape_of",
]
