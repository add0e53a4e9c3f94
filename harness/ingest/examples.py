"""From a data file to training examples: one shape a file, every row checked."""

from pathlib import Path

from harness.errors import DataError
from harness.ingest.files import Row, read_rows
from harness.ingest.shapes import Shape, nearest_shape, shape_of
from harness.records import Example


def read_examples(path: Path) -> list[Example]:
    """Read all training rows of a file, in order.

    Raises:
        DataError: If the file is missing, malformed, empty, mixes shapes, or has a row that cannot
            be learnt from; the message names the line, the rule and what was found.
    """
    examples: list[Example] = []
    first: tuple[Shape, str] | None = None
    for row in read_rows(path):
        shape = _recognise(row)
        if first is None:
            first = (shape, row.origin)
        if shape is not first[0]:
            raise DataError(
                f"all rows of a file must have one shape: {row.origin} is {shape.name}, but "
                f"{first[1]} is {first[0].name}; put them into two files"
            )
        prompt, completion = shape.convert(row.fields, row.origin)
        examples.append(Example(prompt=prompt, completion=completion, origin=row.origin))
    if not examples:
        raise DataError(f"training needs at least one row: {path} is empty")
    return examples


def _recognise(row: Row) -> Shape:
    shape = shape_of(row.fields)
    if shape is None:
        found = ", ".join(row.fields) or "no keys"
        raise DataError(
            f"unrecognised row at {row.origin}: found {found}{nearest_shape(row.fields)}"
        )
    return shape
