"""Rows that belong together: by a column, and where they ask the same or nearly the same."""

from collections import Counter
from collections.abc import Sequence

from harness import corpus
from harness.errors import DataError, nearest
from harness.ingest.turns import Fields

GROUPS = (
    "group", "cluster", "conversation", "conversation_id", "document", "document_id", "doc_id",
    "source_id", "fact", "template", "title",
)  # fmt: skip
"""Columns whose values keep rows together, where some of them repeat."""


def group_column(columns: Sequence[str], rows: Sequence[Fields], wanted: str) -> str:
    """Return the column that groups rows, empty where none does.

    Raises:
        DataError: If there is no column of the wanted name.
    """
    wanted = "_".join(wanted.lower().split())
    if wanted and wanted not in columns:
        raise DataError(f"no column {wanted!r} to group by{nearest(wanted, columns)}")
    if wanted:
        return wanted
    for name in GROUPS:
        if name in columns:
            values = Counter(str(row.get(name)) for row in rows)
            if 2 <= len(values) < len(rows):
                return name
    return ""


def groups_of(asked: Sequence[str], values: Sequence[str] | None = None) -> list[str]:
    """Return the group of each row: those with one value, one question or nearly one are joined.

    Args:
        asked: What each row asks.
        values: What each has in the column that groups; None where there is none.
    """
    parent = list(range(len(asked)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[tuple[str, str], int] = {}
    for place, question in enumerate(asked):
        words = " ".join(question.lower().split())
        keys = [("asks", words)] if words else []
        if values is not None:
            keys.append(("value", values[place]))
        for key in keys:
            parent[root(place)] = root(first.setdefault(key, place))
    for place, earlier in corpus.near_duplicates(list(asked)).items():
        parent[root(place)] = root(earlier)
    return [f"group-{root(place) + 1}" for place in range(len(asked))]
