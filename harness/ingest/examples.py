"""Turn a source's rows into training examples: one shape per source, every row checked."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import DataError
from harness.ingest.file_formats import SourceRow
from harness.ingest.flags import is_there, learnt
from harness.ingest.shapes import Shape, nearest_shape, shape_of
from harness.ingest.sources import Source, rows_of
from harness.ingest.turns import NothingLearntError, parsed, refuse_media
from harness.records import Document, Example

UNWANTED = "not to be learnt, by its own flag"
"""What cleaning calls rows that say of themselves that they are not to be learnt."""


@dataclass(slots=True)
class Unlearnt:
    """What of a source is not learnt, filled while its rows are read.

    ``rows`` are the origins of rows whose own flag says so, ``columns`` counts the rows that hold
    something in a column that nothing is made of.
    """

    rows: list[str] = field(default_factory=list)
    columns: Counter[str] = field(default_factory=Counter)

    @property
    def ignored(self) -> dict[str, int]:
        """The columns and their rows, the most frequent first."""
        return dict(sorted(self.columns.items(), key=lambda entry: (-entry[1], entry[0])))

    def dropped(self, others: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Return these rows and those that cleaning dropped, by step."""
        return {**({UNWANTED: tuple(self.rows)} if self.rows else {}), **others}


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


def iter_examples(
    source: Source | Path, folder: Path = Path(), unlearnt: Unlearnt | None = None
) -> Iterator[tuple[Shape, Example]]:
    """Yield the training rows of a source one at a time, each with the shape of all.

    A stream: the source may be larger than memory; see `read_examples`. What is not learnt of it
    is added to ``unlearnt``.
    """
    origin = str(source) if isinstance(source, Path) else source
    notes = unlearnt if unlearnt is not None else Unlearnt()
    first: tuple[Shape, str] | None = None
    learnt_rows = 0
    for row in rows_of(origin, folder):
        shape = _recognize(row)
        if first is None:
            first = (shape, row.origin)
        if shape is not first[0]:
            raise DataError(
                f"all rows of a file must have one shape: {row.origin} is {shape.name}, but "
                f"{first[1]} is {first[0].name}; put them into two files"
            )
        notes.columns.update(shape.ignored(row.fields))
        example = _example(shape, row)
        if example is None:
            notes.rows.append(row.origin)
            continue
        learnt_rows += 1
        yield shape, example
    if first is None:
        raise DataError(f"training needs at least one row: {source} is empty")
    if not learnt_rows:
        raise DataError(
            f"training needs at least one row: all {len(notes.rows)} of {source} say that they "
            "are not to be learnt"
        )


def _example(shape: Shape, row: SourceRow) -> Example | None:
    """Return a row as it is learnt, or None where it says that it is not to be."""
    if learnt(row.fields, row.origin) is False:
        return None
    refuse_media(row.fields, row.origin)
    try:
        prompt, completion, *rejected = shape.convert(row.fields, row.origin)
    except NothingLearntError:
        return None
    desirable = shape.label(row.fields)
    if desirable is not None and not isinstance(prompt, str):
        prompt = tuple(replace(turn, learnt=None) for turn in prompt)  # one answer is judged
    return Example(
        prompt=prompt,
        completion=completion,
        origin=row.origin,
        rejected=rejected[0] if rejected else None,
        desirable=desirable,
        tools=_tools(row) if "tools" in shape.optional else (),
    )


def _tools(row: SourceRow) -> tuple[Document, ...]:
    """Return the tools that a row declares, a list of objects or that list as JSON."""
    value = row.fields.get("tools")
    if not is_there(value):
        return ()
    tools = parsed(value, "tools", row.origin)
    if not isinstance(tools, (list, tuple)) or not all(isinstance(one, Mapping) for one in tools):
        raise DataError(f"'tools' must be a list of objects: {row.origin}")
    return tuple(tools)


def _recognize(row: SourceRow) -> Shape:
    shape = shape_of(row.fields)
    if shape is None:
        found = ", ".join(row.fields) or "no keys"
        raise DataError(
            f"unrecognised row at {row.origin}: found {found}{nearest_shape(row.fields)}"
        )
    return shape
