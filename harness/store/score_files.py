"""Scores to compare, from wherever they come: a run of ours, plain JSONL, other tools' samples."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from harness.errors import ComparisonError, DataError
from harness.inputs import first_problem, not_utf8, open_input, parse_json
from harness.records import Document
from harness.store.declared_metrics import DeclaredMetrics, MetricReader
from harness.store.format_version import require_known
from harness.store.interchange import inspect_logs
from harness.store.interchange.evaluation_files import (
    ENDING,
    EvaluatedSample,
    EvaluationFile,
    of_one_model,
)
from harness.store.interchange.inspect_logs import InspectTask
from harness.store.samples import FORMAT, FORMAT_KEY

OWN = ""
"""The name of the one score that a file gives an item without naming its metric."""

_BOOKKEEPING = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash",
}  # fmt: skip
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


class LoggedItem(NamedTuple):
    """One item with every number that its line has for it, by metric; see `OWN`.

    ``measure`` is what a line of `harness rate coherence` says that its score was measured by.
    """

    key: ItemId
    scores: Mapping[str, float | None]
    cluster: str
    prompt_hash: str = ""
    measure: str = ""

    def has(self, metric: str) -> bool:
        """Say whether the line has the metric, or says that the item is unscored."""
        return metric in self.scores or self.scores.get(OWN, 0.0) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedSuite:
    """What one side's files hold of a suite.

    ``by_filter`` has the items in the order of the files; ``declared`` is what stands beside the
    files about the suite's metrics.
    """

    declared: DeclaredMetrics
    by_filter: dict[str, list[LoggedItem]] = field(default_factory=dict)

    @property
    def filters(self) -> tuple[str, ...]:
        """The filters in the files, the task's first one first."""
        first = [name for name in self.declared.filters[:1] if name in self.by_filter]
        return tuple(dict.fromkeys([*first, *self.by_filter]))

    def metrics(self, filter_: str) -> tuple[str, ...]:
        """Return the names that any item of a filter has a number for, in the files' order."""
        items = self.by_filter.get(filter_, [])
        return tuple(dict.fromkeys(name for item in items for name in item.scores))


def read_scores(path: Path, *, cluster: str | None = None) -> dict[str, LoggedSuite]:
    """Read scores by suite.

    Args:
        path: A JSONL with ``id``, ``score`` and optionally ``cluster`` and ``suite``; lm-eval's
            ``samples_<task>_<date>.jsonl``, or a folder that holds such files; Every Eval Ever's
            ``<uuid>_samples.jsonl`` beside its record, or a folder of one model's; a log of
            Inspect, or a folder of one model's; or an arm's ``samples`` folder in a run of ours.
        cluster: A field by which items are grouped: of a line, of lm-eval's document, of a
            sample's metadata; by default ``cluster``, and for lm-eval's samples none.

    Raises:
        DataError: If it is none of these, or a line cannot be used; the message names the line.
        ComparisonError: If the scores of a suite were measured by different things.
    """
    if path.is_dir():
        files = sorted(path.glob("samples_*.jsonl")) or _below(path)
        files = files if inspect_logs.is_log(files[0]) else _newest(files)
    else:
        files = [path]
    if inspect_logs.is_log(files[0]):
        return _of_inspect(inspect_logs.read_tasks(files, cluster))
    return _joined(files, cluster)


def _of_inspect(tasks: Sequence[InspectTask]) -> dict[str, LoggedSuite]:
    """Return logs of Inspect as suites; a task's reducers are its filters."""
    return {
        task.name: LoggedSuite(
            declared=DeclaredMetrics(directions=task.higher, filters=tuple(task.by_reducer)),
            by_filter={
                reducer: [
                    LoggedItem((item.id,), item.scores, item.cluster, item.prompt_hash)
                    for item in items
                ]
                for reducer, items in task.by_reducer.items()
            },
        )
        for task in tasks
    }


def logs_of(path: Path) -> list[Path]:
    """Return the files that `read_scores` may read for a side."""
    if not path.is_dir():
        return [path]
    names = ("samples_*.jsonl", "results_*.json", f"*{ENDING}")
    found = [file for name in names for file in path.rglob(name)]
    return found + inspect_logs.logs_below(path)


def _below(path: Path) -> list[Path]:
    """Find the samples of a run folder or of lm-eval's output folder with one model in it."""
    found = sorted(path.glob("**/samples_*.jsonl"))
    folders = sorted({file.parent for file in found})
    if not folders and (evaluations := sorted(path.rglob(f"*{ENDING}"))):
        return of_one_model(evaluations)
    if not folders and (logs := inspect_logs.logs_below(path)):
        return logs
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


def _joined(files: list[Path], cluster: str | None) -> dict[str, LoggedSuite]:
    suites: dict[str, LoggedSuite] = {}
    reader = MetricReader()
    for file in files:
        for suite, filter_, item in _items(file, reader, cluster):
            if suite not in suites:
                declared = reader.beside(file, suite, item.measure)
                suites[suite] = LoggedSuite(
                    declared=replace(declared, own=declared.own or item.measure)
                )
            if item.measure not in ("", suites[suite].declared.own):
                raise ComparisonError(
                    f"one measure must score all of a file: {file} has scores by "
                    f"{suites[suite].declared.own or 'no named measure'} and by {item.measure}"
                )
            suites[suite].by_filter.setdefault(filter_, []).append(item)
    if not suites:
        raise DataError(f"scores must hold at least one item: {files[0]} is empty")
    return suites


class _Lines:
    """What was seen of a file so far: it tells equal documents apart, and filters without names."""

    def __init__(self, file: Path, reader: MetricReader, cluster: str | None) -> None:
        self.cluster = cluster
        self.named = _suite_of(file)
        self.filters = reader.beside(file, self.named).filters
        self.keys: Counter[tuple[str, ItemId]] = Counter()
        self.documents: Counter[object] = Counter()
        self._scores: dict[tuple[tuple[str, float | None], ...], Mapping[str, float | None]] = {}

    def shared(self, scores: Mapping[str, float | None]) -> Mapping[str, float | None]:
        """Return one record for all lines with the same numbers, of which there may be millions."""
        return self._scores.setdefault(tuple(scores.items()), scores)

    def filter_of(self, row: Document) -> str:
        """Return a line's filter; lm-eval before 0.4.6 logged a document once a filter, unnamed."""
        if "filter" in row:
            return str(row["filter"])
        number = self.documents[row.get("doc_id")]
        self.documents[row.get("doc_id")] += "doc_id" in row
        if number < len(self.filters):
            return self.filters[number]
        return f"filter {number + 1}" if number else "none"

    def again(self, suite: str, key: ItemId) -> int:
        """Return how often a key of a suite was seen before."""
        self.keys[suite, key] += 1
        return self.keys[suite, key] - 1


def _items(
    file: Path, reader: MetricReader, cluster: str | None
) -> Iterator[tuple[str, str, LoggedItem]]:
    seen = _Lines(file, reader, cluster)
    try:
        with open_input(file) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = _parse(line, whole=cluster is not None)
                    require_known(row.get(FORMAT_KEY, 1), FORMAT, what="samples", path=file)
                    if "doc_hash" in row:
                        yield _logged(row, seen)
                    elif "evaluation_id" in row:
                        yield _evaluated(row, seen, reader.record(file))
                    else:
                        yield _plain(row, seen)
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(f"{file}:{number}: {_reason(error)}") from error
    except OSError as error:
        raise DataError(f"scores must be readable: {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"scores must be UTF-8 text: {file}: {not_utf8(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"each line must be one JSON object: {error.msg} at column {error.colno}"
    if isinstance(error, ValidationError):
        return first_problem(error)
    return str(error.args[0]) if error.args else repr(error)


def _parse(line: str, *, whole: bool) -> Document:
    """Parse a line; unless all is asked for, of lm-eval's long ones only the end with the scores.

    The marker has bare quotation marks, which cannot occur inside a JSON text; a line whose end
    does not parse or lacks what is needed is parsed whole.
    """
    place = -1 if whole else line.rfind(_TAIL)
    if place > 0:
        try:
            tail = parse_json("{" + line[place + 2 :])
        except ValueError:
            tail = None
        if isinstance(tail, dict) and {"doc_hash", "metrics"} <= tail.keys():
            return tail
    row = parse_json(line)
    if not isinstance(row, dict):
        raise TypeError(f"each line must be one JSON object: found a {type(row).__name__}")
    return row


def _logged(row: Document, seen: _Lines) -> tuple[str, str, LoggedItem]:
    suite = str(row.get("suite") or seen.named)
    filter_, document = seen.filter_of(row), str(row["doc_hash"])
    occurrence = seen.again(suite, (filter_, document))
    scores = _numbers(row)
    if "verdict" in row:
        scores = {OWN: _number(row["score"]), **scores}
    elif not scores:
        listed = row.get("metrics")
        found = ", ".join(map(str, listed)) if isinstance(listed, list) else "no number"
        raise KeyError(f"an item needs a metric that is a number for each item: found {found}")
    return (
        suite,
        filter_,
        LoggedItem(
            (filter_, document, str(occurrence)),
            seen.shared(scores),
            str(_group(row, seen.cluster) or f"{document}:{occurrence}"),
            str(row.get("prompt_hash") or ""),
        ),
    )


def _group(row: Document, field: str | None) -> object:
    """Return what groups an item of lm-eval's log: a field of its document, if one is asked for."""
    document = row.get("doc")
    found = document.get(field) if field and isinstance(document, dict) else row.get("cluster")
    return None if found is None else str(found)


def _plain(row: Document, seen: _Lines) -> tuple[str, str, LoggedItem]:
    if "id" not in row or "score" not in row:
        raise KeyError("a line needs 'id' and 'score', or must be lm-eval's with 'doc_hash'")
    suite, key = str(row.get("suite", "scores")), (str(row["id"]),)
    if seen.again(suite, key):
        raise ValueError(f"each id must stand once: {row['id']!r} is there again")
    cluster = row.get(seen.cluster or "cluster")
    item = LoggedItem(
        key,
        {OWN: _number(row["score"])},
        key[0] if cluster is None else str(cluster),
        measure=str(row.get("measure") or ""),
    )
    return suite, "", item


def _evaluated(row: Document, seen: _Lines, record: EvaluationFile) -> tuple[str, str, LoggedItem]:
    """Read a sample of Every Eval Ever; its score becomes a share of the metric's scale."""
    sample = EvaluatedSample.model_validate(row)
    suite, key = sample.evaluation_name, (sample.sample_id,)
    if seen.again(suite, key):
        raise ValueError(f"each sample must stand once: {sample.sample_id!r} is there again")
    if sample.model_id != record.model_info.id:
        raise ValueError(
            f"a sample must be of its record's model: found {sample.model_id!r}, the record is of "
            f"{record.model_info.id!r}"
        )
    by = record.score_of(suite, sample.evaluation_result_id or "")
    item = LoggedItem(
        key,
        {OWN: by.share(sample.evaluation.score)},
        (sample.metadata or {}).get(seen.cluster or "cluster", key[0]),
        sample.sample_hash or "",
        measure=by.metric,
    )
    return suite, "", item


def _numbers(row: Document) -> dict[str, float | None]:
    """Return the numbers of a line by metric, without what is no score of its item.

    lm-eval before 0.4.6 lists no names: then every number is one that is no bookkeeping. What it
    logs under a perplexity's name is the item's log-likelihood, whose direction is the opposite.
    """
    names = row["metrics"] if "metrics" in row else [n for n in row if n not in _BOOKKEEPING]
    if not isinstance(names, list):
        raise TypeError(f"'metrics' must be a list of names: found {names!r}")
    return {
        name: _number(row[name])
        for name in map(str, names)
        if isinstance(row.get(name), int | float) and not name.endswith("perplexity")
    }


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool | int | float):
        number = float(value)
        return None if math.isnan(number) else number
    raise TypeError(f"'score' must be a number or null: found {value!r}")
