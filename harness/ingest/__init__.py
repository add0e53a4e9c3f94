"""Files of a user's data become `Example`s; whatever is wrong with them is told with its line."""

from harness.ingest.examples import read_examples
from harness.ingest.files import FORMATS, read_rows
from harness.ingest.shapes import SHAPES, Shape, shape_of

__all__ = ["FORMATS", "SHAPES", "Shape", "read_examples", "read_rows", "shape_of"]
