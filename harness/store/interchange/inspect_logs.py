"""Logs of Inspect (``.eval``, ``.json``), read through `inspect_ai` itself; the extra ``inspect``.

Values are made numbers by Inspect's own ``value_to_float`` (C 1, P 0.5, I and N 0), and several
epochs of a sample one value by the reducers that the task named, as the log has them.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ComparisonError, DataError
from harness.extras import require
from harness.inputs import refuse_pipe

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Value

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}T.+_.+\.json")
"""How Inspect calls its logs in JSON."""
_WORDS = {"C", "I", "P", "N", "yes", "no", "true", "false"}
"""Texts that are a value; any other has to be a number."""
_GRADES = {"C", "I", "P", "N"}
_MEANS = ("accuracy", "mean")
"""Inspect's metrics that are a plain mean over samples."""


@dataclass(frozen=True, slots=True)
class InspectItem:
    """A sample by one reducer: its scores by scorer, and by key of a scorer with several values."""

    id: str
    scores: Mapping[str, float | None]
    cluster: str
    prompt_hash: str


@dataclass(frozen=True, slots=True)
class InspectTask:
    """What a log holds of its task.

    ``higher`` has the scorers in the log's order, the deciding one first: True where more is
    better for certain (grades, or Inspect's ``accuracy``), None where the log does not say.
    """

    name: str
    higher: Mapping[str, bool | None]
    by_reducer: Mapping[str, Sequence[InspectItem]]


def is_log(file: Path) -> bool:
    """Tell whether a file that was named is to be read as a log of Inspect."""
    if file.suffix == ".json" and file.is_file():
        refuse_pipe(file)
        with file.open("rb") as opened:
            return b'"eval"' in opened.read(4096)
    return file.suffix == ".eval"


def logs_below(folder: Path) -> list[Path]:
    """Return the logs in a folder."""
    dated = (path for path in folder.rglob("*.json") if _DATED.fullmatch(path.name))
    return sorted([*folder.rglob("*.eval"), *dated])


def read_tasks(files: Sequence[Path], cluster: str | None) -> list[InspectTask]:
    """Read the logs of one side of a comparison; of several of one task the newest.

    Args:
        files: The logs.
        cluster: The field of the samples' metadata that groups them, by default ``cluster``.

    Raises:
        ComparisonError: If they are of several models.
        DataError: If a log is not whole, or its values are none that can be averaged.
    """
    require("inspect")
    heads = {file: _read(file, header_only=True) for file in files}
    models = sorted({head.eval.model for head in heads.values()})
    if len(models) > 1:
        raise ComparisonError(
            f"each side must be one model: the logs are of {', '.join(models)}; give one's log, or "
            "a folder with one's logs"
        )
    newest: dict[str, Path] = {}
    for file in sorted(files, key=lambda one: heads[one].eval.created):
        newest[heads[file].eval.task] = file
    return [_task(file, cluster or "cluster") for file in newest.values()]


def _read(file: Path, *, header_only: bool = False) -> "EvalLog":
    from inspect_ai.log import read_eval_log

    try:
        refuse_pipe(file)
        return read_eval_log(str(file), header_only=header_only)
    except Exception as error:  # of zip, JSON, pydantic and Inspect, whatever the file is
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"a log of Inspect must be readable: {file}: {reason}") from error


def _task(file: Path, cluster: str) -> InspectTask:
    log = _read(file)
    if log.status != "success" or log.invalidated:
        found = "invalidated" if log.invalidated else log.status
        raise DataError(
            f"a log must be of an evaluation that ended well: {file} is {found!r}; go on with "
            "'inspect eval-retry', or give another log"
        )
    if not log.samples or not log.results or not log.results.scores:
        raise DataError(f"a log must have samples and their scores: {file} has none")
    reduced = _reduced(log, file)
    names = list(dict.fromkeys(name for scores in reduced.values() for name in scores))
    whole = _whole(log)
    asked = _asked(log.samples)
    groups = {str(sample.id): (sample.metadata or {}).get(cluster) for sample in log.samples}
    by_reducer = {
        reducer: [
            InspectItem(
                id=one,
                scores={
                    name: scores.get(name, {}).get(one) if (name, one) in whole else None
                    for name in names
                },
                cluster=one if groups[one] is None else str(groups[one]),
                prompt_hash=asked[one],
            )
            for one in asked
        ]
        for reducer, scores in reduced.items()
    }
    return InspectTask(log.eval.task, _directions(log, names), by_reducer)


Values = dict[str, dict[str, float]]
"""Scorer, or scorer and key -> sample -> number."""


def _reduced(log: "EvalLog", file: Path) -> dict[str, Values]:
    """Return each reducer's numbers, held against the means that Inspect computed of them.

    Raises:
        DataError: If they differ: then the task reads values in a way of its own.
    """
    found: dict[str, Values] = {}
    for one in log.reductions or ():
        values = found.setdefault(one.reducer or "", {})
        for sample in one.samples:
            for name, number in _numbers(one.scorer, sample.value, file):
                values.setdefault(name, {})[str(sample.sample_id)] = number
    if not found:
        if (log.eval.config.epochs or 1) > 1:
            raise DataError(
                f"several epochs must be reduced by Inspect: {file} has no reductions; let "
                "'inspect score' write them"
            )
        found[""] = {}
        for sample in log.samples or ():
            for scorer, score in (sample.scores or {}).items():
                for name, number in _numbers(scorer, score.value, file):
                    found[""].setdefault(name, {})[str(sample.id)] = number
    _hold(log, found, file)
    return {"": next(iter(found.values()))} if len(found) == 1 else found


def _numbers(scorer: str, value: "Value", file: Path) -> Iterator[tuple[str, float]]:
    """Yield a value's numbers; what is unscored has none."""
    from inspect_ai.scorer import value_to_float

    if isinstance(value, Mapping):
        parts = [(f"{scorer}:{key}", one) for key, one in value.items()]
    elif isinstance(value, str) or not isinstance(value, Sequence):
        parts = [(scorer, value)]
    else:
        parts = [(f"{scorer}:{place}", one) for place, one in enumerate(value)]
    for name, one in parts:
        if one is None:
            continue
        if isinstance(one, str) and not _is_value(one):
            raise DataError(
                f"a score must be a number or a grade: {name} of {file} is {one[:40]!r}, which "
                "Inspect cannot average either"
            )
        number = value_to_float()(one)
        if not math.isnan(number):
            yield name, number


def _is_value(text: str) -> bool:
    if text in _WORDS or text.lower() in _WORDS:
        return True
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _hold(log: "EvalLog", found: Mapping[str, Values], file: Path) -> None:
    assert log.results is not None
    for score in log.results.scores:
        name = score.name if score.name == score.scorer else f"{score.scorer}:{score.name}"
        numbers = found.get(score.reducer or "", {}).get(name)
        if numbers is None and len(found) == 1:
            numbers = next(iter(found.values())).get(name)
        for metric in _MEANS:
            said = score.metrics.get(metric)
            if not numbers or said is None or isinstance(said.value, bool):
                continue
            mean = math.fsum(numbers.values()) / len(numbers)
            if abs(mean - said.value) > 1e-6:
                raise DataError(
                    f"a log's values must give its own means: {metric} of {name} is "
                    f"{said.value:g} in {file}, its values give {mean:g}; the task reads values in "
                    "a way of its own: let its scorer give numbers"
                )


def _whole(log: "EvalLog") -> set[tuple[str, str]]:
    """Return which samples each scorer scored in every epoch: a part of them is no score."""
    epochs = log.eval.config.epochs or 1
    counted: Counter[tuple[str, str]] = Counter()
    for sample in log.samples or ():
        for scorer, score in (sample.scores or {}).items():
            if sample.error is None:
                parts = dict(_numbers(scorer, score.value, Path(log.location)))
                counted.update((name, str(sample.id)) for name in parts)
    return {pair for pair, count in counted.items() if count == epochs}


def _directions(log: "EvalLog", names: Sequence[str]) -> dict[str, bool | None]:
    assert log.results is not None
    averaged = {
        score.name if score.name == score.scorer else f"{score.scorer}:{score.name}"
        for score in log.results.scores
        if "accuracy" in score.metrics
    }
    grades: dict[str, bool] = {}
    for sample in log.samples or ():
        for scorer, score in (sample.scores or {}).items():
            is_grade = isinstance(score.value, str) and score.value in _GRADES
            grades[scorer] = grades.get(scorer, True) and is_grade
    return {name: True if name in averaged or grades.get(name) else None for name in names}


def _asked(samples: "Sequence[EvalSample]") -> dict[str, str]:
    """Return what each sample was asked and is held against, hashed, over its epochs."""
    said: dict[str, list[object]] = {}
    for sample in sorted(samples, key=lambda one: one.epoch):
        said.setdefault(str(sample.id), []).append(
            [_first_prompt(sample), sample.choices, sample.target]
        )
    return {
        name: hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()
        for name, one in said.items()
    }


def _first_prompt(sample: "EvalSample") -> list[object]:
    """Return what the model was first sent; before any answer where the log has no events."""
    sent = next((event.input for event in sample.events if event.event == "model"), None)
    if sent is None:
        sent = []
        for message in sample.messages:
            if message.role == "assistant":
                break
            sent.append(message)
    told: list[object] = []
    for message in sent:
        content = message.content
        whole = (
            content if isinstance(content, str) else [p.model_dump(mode="json") for p in content]
        )
        told.append([message.role, whole])
    return told or [sample.input if isinstance(sample.input, str) else str(sample.input)]
