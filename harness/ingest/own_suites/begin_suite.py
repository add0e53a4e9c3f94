"""The folder of a suite begun from a file of one's own: YAML, data and card.

All rows of the file are in the suite: nothing is split off and nothing is left out silently.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.content import TASKS
from harness.errors import DataError, StudyError, nearest
from harness.ingest.file_formats import SourceRow
from harness.ingest.flags import is_there
from harness.ingest.groups import group_column, groups_of
from harness.ingest.own_rows import OPTION
from harness.ingest.own_suites.row_kinds import ROW_KINDS, RowKind
from harness.ingest.own_suites.suite_texts import card_text, likeliest, yaml_text
from harness.ingest.sources import rows_of
from harness.ingest.turns import EmptyFieldError, Fields
from harness.rating.input_rows import document_problem
from harness.suites.own import check_name

_SHOWN = 200
"""Labels that a prompt can name; a file with more is no closed set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunSuite:
    """What `harness tasks new KIND --data FILE` writes, and what it found.

    ``columns`` says which column of the file became which field, ``by`` how rows that belong
    together were grouped, ``empty`` counts rows that were left out since a column is empty,
    ``unread`` are columns that nothing is asked or judged by, ``unfound`` fields without a column.
    """

    files: Mapping[str, str]
    rows: int
    groups: int
    columns: Mapping[str, str]
    by: str
    empty: int = 0
    unread: tuple[str, ...] = ()
    unfound: tuple[str, ...] = ()


def kinds() -> list[str]:
    """Return the kinds that can be begun from a file."""
    return [kind for kind, of in ROW_KINDS.items() if (TASKS / of.suite).is_dir()]


def begin_suite(
    kind: str,
    source: str,
    name: str,
    *,
    columns: Mapping[str, str] | None = None,
    group: str = "",
    likelihood: bool = False,
) -> BegunSuite:
    """Make the files of a suite about rows of one's own.

    Args:
        kind: One of `kinds`.
        source: A file of rows, a folder of texts, or ``hub:owner/name``.
        name: The suite's name.
        columns: Field -> the column that it is, where the names do not say so.
        group: The column whose values belong together; by default a known one, and near
            repetitions always.
        likelihood: For classification: the likeliest label is the answer.

    Raises:
        StudyError: If there is no such kind, or the name is none for a folder.
        DataError: If the columns are not recognised, or a row cannot be used.
    """
    if kind not in kinds():
        raise StudyError(f"no kind of suite {kind!r} can be begun{nearest(kind, kinds())}")
    check_name(name)
    if likelihood and kind != "classification":
        raise StudyError(f"only classification can be asked by likelihood: found {kind!r}")
    of = ROW_KINDS[kind]
    rows = [SourceRow(origin, _named(fields, origin)) for origin, fields in rows_of(source, Path())]
    if not rows:
        raise DataError(f"a suite needs rows: {source} is empty")
    found = _columns(kind, of, rows, columns or {}, source)
    items, kept = _items(kind, rows, found, source)
    column = group_column(list(rows[0].fields), [row.fields for row in kept], group)
    groups = groups_of(
        [of.asked(item) for item in items],
        [str(row.fields.get(column)) for row in kept] if column else None,
    )
    for item, value in zip(items, groups, strict=True):
        item["group"] = value
    labels = _labels(items, source) if kind == "classification" else []
    shown = [{**item, "labels": labels} for item in items] if likelihood else items
    metric, scored = likeliest(shown) if likelihood or kind == "choice" else ("", "")
    yaml = yaml_text(
        of.suite, name, source, items, title=of.title, metric=metric, labels=labels,
        likelihood=likelihood,
    )  # fmt: skip
    by = f"column {column!r} and near repetitions" if column else "near repetitions"
    return BegunSuite(
        files={
            f"{name}.yaml": yaml,
            "data/test.jsonl": "".join(_line(item) for item in items),
            "card.md": card_text(of.suite, name, source, len(items), by, found, scored),
        },
        rows=len(items), groups=len(set(groups)), columns=found, by=by,
        empty=len(rows) - len(items),
        unread=_unread(kind, rows, {*found.values(), column, "id"}),
        unfound=tuple(field for field in of.columns if field not in found),
    )  # fmt: skip


def _unread(kind: str, rows: Sequence[SourceRow], read: set[str]) -> tuple[str, ...]:
    """Return the columns that nothing is asked or judged by."""
    there = dict.fromkeys(name for row in rows for name in row.fields)
    lettered = {name for name in there if kind == "choice" and OPTION.fullmatch(name)}
    return tuple(name for name in there if name not in read | lettered)


def _line(item: Mapping[str, object]) -> str:
    return json.dumps(item, ensure_ascii=False, default=str) + "\n"


def _named(fields: Fields, origin: str) -> dict[str, object]:
    """Return a row with names in lower case and without spaces."""
    named = {"_".join(str(key).lower().split()): value for key, value in fields.items()}
    if len(named) < len(fields):
        raise DataError(f"column names must differ by more than case and spaces: {origin}")
    return named


def _columns(
    kind: str, of: RowKind, rows: Sequence[SourceRow], given: Mapping[str, str], source: str
) -> dict[str, str]:
    """Return the column of each field."""
    there = list(dict.fromkeys(key for row in rows for key in row.fields))
    found: dict[str, str] = {}
    for field, column in given.items():
        name = "_".join(column.lower().split())
        if field not in of.columns:
            raise StudyError(f"a {kind} row has no field {field!r}{nearest(field, of.columns)}")
        if name not in there:
            raise DataError(f"no column {column!r} in {source}{nearest(name, there)}")
        found[field] = name
    for field, names in of.columns.items():
        taken = set(found.values())
        column = next((name for name in names if name in there and name not in taken), "")
        if field not in found and column:
            found[field] = column
    lacking = [field for field in of.needed if field not in found]
    if lacking:
        told = " ".join(f"--column {field}=NAME" for field in lacking)
        raise DataError(
            f"a {kind} row needs {' and '.join(map(repr, of.needed))}: {source} has the columns "
            f"{', '.join(there)}; say which it is with {told}"
        )
    return found


def _items(
    kind: str, rows: Sequence[SourceRow], found: Mapping[str, str], source: str
) -> tuple[list[dict[str, object]], list[SourceRow]]:
    """Return the items, each with its other plain columns, and the rows that they are made of.

    Raises:
        DataError: If a row cannot be used, or all lack something.
    """
    of, why = ROW_KINDS[kind], ""
    ids = [row.fields.get("id") for row in rows]
    own_ids = all(map(is_there, ids)) and len(set(map(str, ids))) == len(ids)
    items: list[dict[str, object]] = []
    kept: list[SourceRow] = []
    for number, row in enumerate(rows, start=1):
        fields = {**row.fields, **{field: row.fields.get(name) for field, name in found.items()}}
        if lacking := next((name for name in of.needed if not is_there(fields.get(name))), ""):
            why = why or f"{lacking!r} must not be empty: {row.origin}"
            continue
        try:
            made = of.make(fields, row.origin)
        except EmptyFieldError as error:
            why = why or str(error).partition(";")[0]
            continue
        if kind != "classification" and (problem := document_problem(kind, made)):  # no labels yet
            raise DataError(f"{row.origin}: {problem}")
        others = {
            key: value
            for key, value in row.fields.items()
            if key not in {*found.values(), *made, "id", "group"} and isinstance(value, str | int)
        }
        identity = str(row.fields["id"]) if own_ids else f"row-{number}"
        items.append({"id": identity, **made, **others})
        kept.append(row)
    if not items:
        raise DataError(f"a suite needs rows that can be asked: {source} has none ({why})")
    return items, kept


def _labels(items: Sequence[Mapping[str, object]], source: str) -> list[str]:
    """Return the closed set of labels.

    Raises:
        DataError: If it is none: one label, or too many, or two that cannot be told apart.
    """
    from harness.scoring.label_answers import same_labels
    from harness.suites.dataset import in_order

    counts = Counter(str(item["label"]) for item in items)
    labels = sorted(counts, key=in_order)
    if len(labels) < 2:
        raise DataError(
            f"a classification needs two labels: every row of {source} has {labels[0]!r}"
        )
    if len(labels) > _SHOWN or (len(labels) > 20 and len(labels) * 2 > len(items)):
        raise DataError(
            f"labels are a closed set that the prompt can name: {source} has {len(labels)} in "
            f"{len(items)} rows, such as {labels[0]!r}; name its column with --column label=NAME"
        )
    if (same := same_labels(labels)) is not None:
        raise DataError(
            f"labels must differ by more than case and how their words are joined: {source} has "
            f"{same[0]!r} and {same[1]!r}; write one of them in all rows"
        )
    return labels
