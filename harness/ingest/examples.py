"""Turn a source's rows into training examples: one shape per source, every row checked."""

from collections.abc import Iterator
from pathlib import Path

from harness.errors import DataError
from harness.ingest.file_formats import SourceRow
from harness.ingest.shapes import Shape, nearest_shape, shape_of
from harness.ingest.sources import Source, rows_of
from harness.records import Example


def read_examples(source: Source | Path, folder: Path = Path()) -> list[Example]:
    """Read all training rows of a source, in order.

    Args:
        source: A path, ``hub:owner/name[/config][:split]``, or a query on a database.
        folder: To which relative paths belong.

    Raises:
        DataError: If the source is missing, malformed, empty, mixes shapes, or has a row that
            cannot be learnt from; the message names the line, the rule and what was found.
    """
    return [example for _, example in iter_examples(source, folder)]


def iter_examples(source: Source | Path, folder: Path = Path()) -> Iterator[tuple[Shape, Example]]:
    """Yield the training rows of a source one at a time, each with the shape of all.

    A stream: the source may be larger than memory; see `read_examples`.
    """
    origin = str(source) if isinstance(source, Path) else source
    first: tuple[Shape, str] | None = None
    for row in rows_of(origin, folder):
        shape = _recognize(row)
        if first is None:
            first = (shape, row.origin)
        if shape is not first[0]:
            raise DataError(
                f"all rows of a file must have one shape: {row.origin} is {shape.name}, but "
                f"{first[1]} is {first[0].name}; put them into two files"
            )
        prompt, completion, *rejected = shape.convert(row.fields, row.origin)
        yield (
            shape,
            Example(
                prompt=prompt,
                completion=completion,
                origin=row.origin,
                rejected=rejected[0] if rejected else None,
            ),
        )
    if first is None:
        raise DataError(f"training needs at least one row: {source} is empty")


def _recognize(row: SourceRow) -> Shape:
    shape = shape_of(row.fields)
    if shape is None:
        found = ", ".join(row.fields) or "no keys"
        raise DataError(
            f"unrecognised row at {row.origin}: found {found}{nearest_shape(row.fields)}"
        )
    return shape
