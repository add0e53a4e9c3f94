"""Load a suite's own data for lm-eval: ``custom_dataset: !function harness.suites.dataset.load``.

A suite's YAML names this function; lm-eval then calls it with everything under ``metadata:`` and
with the path of the YAML. The rows are ``data/<split>.jsonl`` beside the YAML; every file there is
one split. So a suite needs no hub, no cache and no working directory, and strings stay strings.
``lm_eval ... --metadata '{"data": "my.jsonl"}'`` scores other rows of the same shape.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError
from harness.inputs import json_problem, not_utf8, open_input, parse_json

if TYPE_CHECKING:
    from datasets import Dataset


def load(*, config_source: str = "", data: str | None = None, **_: object) -> "dict[str, Dataset]":
    """Return a suite's splits as datasets, for lm-eval's ``custom_dataset``.

    Args:
        config_source: Path of the suite's YAML, given by lm-eval.
        data: A JSONL file (taken as ``test``) or a folder of ``<split>.jsonl`` to use instead.

    Raises:
        DataError: If a file is missing, malformed (with its line number) or empty.
    """
    folder = Path(data) if data else Path(config_source).parent / "data"
    return datasets_of(folder)


def load_labelled(
    *, config_source: str = "", data: str | None = None, labels: Sequence[object] = (), **_: object
) -> "dict[str, Dataset]":
    """Return a suite's splits whose rows each have the closed set that their label is of.

    Args:
        config_source: Path of the suite's YAML, given by lm-eval.
        data: As `load` takes it.
        labels: The set, for rows without ``labels`` of their own; by default what the rows have.

    Raises:
        DataError: As `load` does, and where a row has no label.
    """
    folder = Path(data) if data else Path(config_source).parent / "data"
    return datasets_from(with_labels(splits_of(folder), labels))


def with_labels(
    splits: Mapping[str, list[dict[str, object]]], declared: Sequence[object] = ()
) -> dict[str, list[dict[str, object]]]:
    """Return rows that each have ``labels``, as texts: their own, the declared ones, or all found.

    Raises:
        DataError: If a row has no label.

    >>> with_labels({"test": [{"label": 1}, {"label": 0}]})["test"][0]
    {'label': '1', 'labels': ['0', '1']}
    """
    for name, rows in splits.items():
        for number, row in enumerate(rows, start=1):
            if row.get("label") is None or isinstance(row["label"], list | Mapping):
                raise DataError(
                    f"a row of a classification needs one 'label': row {number} of {name} has "
                    f"{row.get('label')!r}"
                )
    every = {str(row["label"]) for rows in splits.values() for row in rows}
    shown = list(map(str, declared)) or sorted(every, key=in_order)
    return {
        name: [{**row, "label": str(row["label"]), "labels": _own(row) or shown} for row in rows]
        for name, rows in splits.items()
    }


def declared_labels(config: Mapping[str, object]) -> list[object]:
    """Return the closed set of labels that a suite's YAML declares, if it does."""
    metadata = config.get("metadata")
    given = metadata.get("labels") if isinstance(metadata, dict) else None
    return list(given) if isinstance(given, list) else []


def _own(row: Mapping[str, object]) -> list[str]:
    """Return the closed set that a row brings itself, empty where it brings none."""
    given = row.get("labels")
    return list(map(str, given)) if isinstance(given, list | tuple) else []


def in_order(label: str) -> tuple[float, str]:
    """Sort numbers by value, and before texts."""
    try:
        return float(label), label
    except ValueError:
        return inf, label


def datasets_of(path: Path, *, split: str = "test") -> "dict[str, Dataset]":
    """Return ``{split: Dataset}`` of a JSONL file or of every JSONL file in a folder."""
    return datasets_from(splits_of(path, split=split))


def datasets_from(splits: Mapping[str, list[dict[str, object]]]) -> "dict[str, Dataset]":
    """Return rows as lm-eval takes them."""
    return {name: _as_written(rows) for name, rows in splits.items()}


def _as_written(rows: list[dict[str, object]]) -> "Dataset":
    """Return a dataset whose rows are those that were read.

    Arrow gives all objects of a column the same keys, and all values at one place one type: a
    column whose values would change (tools and their JSON schemas) is stored as JSON.
    """
    from datasets import Dataset

    changed = {name for name in rows[0] if _would_change([row[name] for row in rows])}
    if not changed:
        return Dataset.from_list(rows)
    texts = [
        {key: json.dumps(value) if key in changed else value for key, value in row.items()}
        for row in rows
    ]

    def read(batch: dict[str, list[object]]) -> dict[str, list[object]]:
        return {
            key: [json.loads(str(text)) for text in values] if key in changed else values
            for key, values in batch.items()
        }

    return Dataset.from_list(texts).with_transform(read)


def _would_change(values: list[object]) -> bool:
    if not any(isinstance(value, list | dict) for value in values):
        return False
    from datasets import Dataset
    from pyarrow.lib import ArrowException

    try:
        stored = Dataset.from_list([{"value": value} for value in values])["value"][:]
    except (ArrowException, TypeError, ValueError, OverflowError):
        return True
    return json.dumps(stored) != json.dumps(values)


def splits_of(path: Path, *, split: str = "test") -> dict[str, list[dict[str, object]]]:
    """Return ``{split: rows}``; a single file is the split that is named.

    Raises:
        DataError: If there is no JSONL file at that path, or one that cannot be used.
    """
    if path.is_dir():
        files = {file.stem: file for file in sorted(path.glob("*.jsonl"))}
        if not files:
            raise DataError(f"a data folder must hold <split>.jsonl files: found none in {path}")
    else:
        files = {split: path}
    return {name: read(file) for name, file in files.items()}


def read(path: Path) -> list[dict[str, object]]:
    """Return the rows of a JSONL file.

    Raises:
        DataError: If the file is missing, holds a line that is no JSON object, or holds no row.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"a data file must hold at least one row: {path} is empty")
    keys = set().union(*(row.keys() for row in rows))
    return [{key: row.get(key) for key in sorted(keys)} for row in rows] if _ragged(rows) else rows


def _ragged(rows: list[dict[str, object]]) -> bool:
    return any(row.keys() != rows[0].keys() for row in rows)


def _rows(path: Path) -> Iterator[dict[str, object]]:
    try:
        with open_input(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _row(path, number, line)
    except FileNotFoundError as error:
        raise DataError(f"no data file at {path}; give a JSONL file or a folder of them") from error
    except OSError as error:
        raise DataError(f"a data file must be readable: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"a data file must be UTF-8 text: {path}: {not_utf8(error)}") from error


def _row(path: Path, number: int, line: str) -> dict[str, object]:
    try:
        row = parse_json(line)
    except ValueError as error:
        problem = json_problem(error)
        raise DataError(f"each line must be one JSON object: {path}:{number}: {problem}") from error
    if not isinstance(row, Mapping):
        kind = type(row).__name__
        raise DataError(f"each line must be one JSON object: {path}:{number} holds a {kind}")
    return dict(row)
