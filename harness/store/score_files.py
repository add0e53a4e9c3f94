"""Scores to compare, from wherever they come: a run of ours, plain JSONL, lm-eval's samples."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.errors import DataError
from harness.records import Document
from harness.store.format_version import require_known
from harness.store.samples import FORMAT, FORMAT_KEY

_PREFERRED = (
    "score", "acc_norm", "acc", "exact_match", "pass@1", "f1", "mc2", "bleu", "rouge1", "rougeL",
)  # fmt: skip
_TAIL = ', "filter": "'

ItemId = tuple[str, ...]
"""What pairs the answers of two arms: ``(filter, doc_hash, occurrence)``, or ``(id,)``."""


class ScoredItem(NamedTuple):
    """One item's score; None where it is unscored.

    ``prompt_hash`` is empty where the file has none.
    """

    key: ItemId
    score: float | None
    cluster: str
    prompt_hash: str = ""


def read_scores(path: Path) -> dict[str, list[ScoredItem]]:
    """Read scores by suite.

    Args:
        path: A JSONL with ``id``, ``score`` and optionally ``cluster`` and ``suite``; lm-eval's
            ``samples_<task>_<date>.jsonl``, or a folder that holds such files; or an arm's
            ``samples`` folder in a run of ours.

    Raises:
        DataError: If it is none of these, or a line cannot be used; the message names the line.
    """
    if not path.is_dir():
        return _joined([path])
    files = sorted(path.glob("samples_*.jsonl"))
    if not files:
        files = _below(path)
    return _joined(_newest(files))


def _below(path: Path) -> list[Path]:
    """Find the samples of a run folder or of lm-eval's output folder with one model in it."""
    found = sorted(path.glob("**/samples_*.jsonl"))
    folders = sorted({file.parent for file in found})
    if not folders:
        raise DataError(f"scores must be a JSONL file or samples_*.jsonl: found none in {path}")
    if len(folders) > 1:
        names = ", ".join(str(folder.relative_to(path)) for folder in folders)
        raise DataError(f"each side must be one arm: {path} holds several; give one of {names}")
    return found


def _newest(files: list[Path]) -> list[Path]:
    """Return the last log of each lm-eval task."""
    last: dict[str, Path] = {}
    for file in files:
        last[_suite_of(file)] = file
    return list(last.values())


def _suite_of(file: Path) -> str:
    """Return the task in ``samples_<task>_<date>T<time>.jsonl`` or ``samples_<task>.jsonl``."""
    name = file.stem.removeprefix("samples_")
    task, _, date = name.rpartition("_")
    return task if task and "T" in date and date[:4].isdigit() else name


def _joined(files: list[Path]) -> dict[str, list[ScoredItem]]:
    scores: dict[str, list[ScoredItem]] = {}
    for file in files:
        for suite, item in _items(file):
            scores.setdefault(suite, []).append(item)
    if not scores:
        raise DataError(f"scores must hold at least one item: {files[0]} is empty")
    return scores


def _items(file: Path) -> Iterator[tuple[str, ScoredItem]]:
    seen: Counter[tuple[str, ItemId]] = Counter()
    first: str | None = None
    named = _suite_of(file)
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = _parse(line)
                    require_known(row.get(FORMAT_KEY, 1), FORMAT, what="samples", path=file)
                    suite, item = _item(row, named, seen)
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(f"{file}:{number}: {_reason(error)}") from error
                filter_ = item.key[0] if len(item.key) > 1 else ""
                first = filter_ if first is None else first
                if filter_ == first:
                    yield suite, item
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"scores must be readable UTF-8 text: {file}: {error}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"each line must be one JSON object: {error.msg} at column {error.colno}"
    return str(error.args[0]) if error.args else repr(error)


def _parse(line: str) -> Document:
    """Parse a line; of lm-eval's long ones only the end, where the hashes and scores stand.

    The marker has bare quotation marks, which cannot occur inside a JSON text; a line whose end
    does not parse or lacks what is needed is parsed whole.
    """
    place = line.rfind(_TAIL)
    if place > 0:
        try:
            tail = json.loads("{" + line[place + 2 :])
        except json.JSONDecodeError:
            tail = None
        if isinstance(tail, dict) and {"doc_hash", "metrics"} <= tail.keys():
            return tail
    row = json.loads(line)
    if not isinstance(row, dict):
        raise TypeError(f"each line must be one JSON object: found a {type(row).__name__}")
    return row


def _item(row: Document, named: str, seen: Counter[tuple[str, ItemId]]) -> tuple[str, ScoredItem]:
    if "doc_hash" in row:
        suite = str(row.get("suite") or named)
        known: ItemId = (str(row.get("filter", "none")), str(row["doc_hash"]))
        occurrence = seen[suite, known]
        seen[suite, known] += 1
        key = (*known, str(occurrence))
        score = row["score"] if "verdict" in row else row[_metric(row)]
        cluster = str(row.get("cluster") or f"{known[1]}:{occurrence}")
        return suite, ScoredItem(key, _number(score), cluster, str(row.get("prompt_hash") or ""))
    if "id" not in row or "score" not in row:
        raise KeyError("a line needs 'id' and 'score', or must be lm-eval's with 'doc_hash'")
    suite, key = str(row.get("suite", "scores")), (str(row["id"]),)
    if seen[suite, key]:
        raise ValueError(f"each id must stand once: {row['id']!r} is there again")
    seen[suite, key] += 1
    given = row.get("cluster")
    return suite, ScoredItem(key, _number(row["score"]), key[0] if given is None else str(given))


def _metric(row: Document) -> str:
    """Choose an lm-eval task's metric: the usual one for its kind, else its first number."""
    names = row["metrics"]
    if not isinstance(names, list):
        raise TypeError(f"'metrics' must be a list of names: found {names!r}")
    numeric = [name for name in names if isinstance(row.get(name), int | float)]
    for name in (*_PREFERRED, *numeric):
        if name in numeric:
            return str(name)
    raise KeyError(f"an item needs a metric that is a number: found {', '.join(names)}")


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool | int | float):
        number = float(value)
        return None if math.isnan(number) else number
    raise TypeError(f"'score' must be a number or null: found {value!r}")
