"""What stands beside samples about their metrics: lm-eval's ``results_*.json``, or a run's lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.errors import DataError
from harness.inputs import first_problem, parse_json, read_input
from harness.records import Document
from harness.store.interchange.evaluation_files import (
    EvaluationFile,
    EvaluationScore,
    is_evaluation,
    record_beside,
)
from harness.store.interchange.lm_eval_results import DECLARED

_TEXT = TypeAdapter(str)
_NAME = TypeAdapter[str | None](str | None)
_SCALE = TypeAdapter(tuple[float, float])
_MARGIN = TypeAdapter(float)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredMetrics:
    """A suite's metrics as declared where its samples were made.

    ``directions`` are the metrics in the task's order, True where higher is better and None where
    that is not said; ``filters`` the task's filters in order; ``own`` what a run of ours scored by,
    ``margin``, ``cluster`` and ``strata`` what it declared.
    """

    directions: Mapping[str, bool | None] = field(default_factory=dict)
    filters: tuple[str, ...] = ()
    own: str = ""
    scale: tuple[float, float] = (0.0, 1.0)
    margin: float | None = None
    cluster: str | None = None
    strata: str | None = None


class MetricReader:
    """Finds what is declared beside samples; reads every file once."""

    def __init__(self) -> None:
        self._read: dict[Path, Document] = {}
        self._records: dict[Path, EvaluationFile] = {}

    def record(self, file: Path) -> EvaluationFile:
        """Return Every Eval Ever's record beside samples; see `record_beside`."""
        if file not in self._records:
            self._records[file] = record_beside(file)
        return self._records[file]

    def beside(self, file: Path, suite: str, metric: str = "") -> DeclaredMetrics:
        """Return what is declared about a suite of a samples file.

        Args:
            file: The samples.
            suite: Its name in them.
            metric: What they say that they are scored by, where they do.

        Raises:
            DataError: If a ``results_*.json`` is no JSON object.
        """
        if is_evaluation(file):
            scores = self.record(file).evaluation_results if metric else []
            named = [s for s in scores if (s.evaluation_name, s.metric) == (suite, metric)]
            return _of_evaluation(named[0]) if named else DeclaredMetrics()
        samples = file.absolute().parent.parent
        lock = samples.parent / "study.lock.json"
        if samples.name == "samples" and lock.is_file():
            return _of_lock(lock, suite)
        for found in _results(file):
            if found not in self._read:
                self._read[found] = _document(found)
            if declared := _of_results(self._read[found], suite):
                return declared
        return DeclaredMetrics()


def _of_evaluation(score: EvaluationScore) -> DeclaredMetrics:
    directions = {score.metric: not score.metric_config.lower_is_better}
    return DeclaredMetrics(directions=directions, own=score.metric, scale=score.scale)


def _results(file: Path) -> list[Path]:
    """Return the results that may belong to samples: those of the same date first, then the last.

    lm-eval writes ``results_<date>.json``, or ``<name>_<date>.json`` if told a file's name.
    """
    if not file.name.startswith("samples_"):
        return []
    date = file.stem.rpartition("_")[2]
    same = sorted(file.parent.glob("*.json"))
    same = [path for path in same if path.stem.endswith(f"_{date}")]
    return same + sorted(set(file.parent.glob("results_*.json")) - set(same), reverse=True)


def _document(path: Path) -> Document:
    try:
        found = parse_json(read_input(path))
    except (OSError, ValueError) as error:
        raise DataError(
            f"results beside samples must be readable JSON: {path}: {error}; mend the file, or "
            "move it away and give --metric"
        ) from error
    return found if isinstance(found, dict) else {}


def _of_results(results: Document, suite: str) -> DeclaredMetrics | None:
    """Return what lm-eval's results say about a task; None where they do not have it."""
    config = _mapping(_mapping(results.get("configs")).get(suite))
    section = _mapping(_mapping(results.get("higher_is_better")).get(suite))
    if not config and not section:
        return None
    directions: dict[str, bool | None] = {}
    for entry in map(_mapping, _list(config.get("metric_list"))):
        name = str(entry.get("metric", ""))
        directions[name] = _flag(entry.get("higher_is_better"))
    for name, flag in section.items():
        if directions.get(name) is None:
            directions[name] = _flag(flag)
    filters = [str(_mapping(entry).get("name")) for entry in _list(config.get("filter_list"))]
    declared = DeclaredMetrics(directions=directions, filters=tuple(filters))
    return _with_suite(declared, _mapping(_mapping(config.get("metadata")).get(DECLARED)))


def _with_suite(declared: DeclaredMetrics, suite: Mapping[str, object]) -> DeclaredMetrics:
    """Add what a suite of ours declared, where a run's scores were written as lm-eval's."""
    if not suite:
        return declared
    try:
        return replace(
            declared,
            own=_TEXT.validate_python(suite["metric"]),
            scale=_SCALE.validate_python(suite["scale"]),
            margin=_MARGIN.validate_python(suite["margin"]),
            cluster=_NAME.validate_python(suite["cluster"]),
            strata=_NAME.validate_python(suite["strata"]),
        )
    except (KeyError, ValidationError) as error:
        raise DataError(
            "results that a run wrote must say how its suites were declared: "
            f"{first_problem(error)}; export them again"
        ) from error


def _of_lock(lock: Path, suite: str) -> DeclaredMetrics:
    from harness.store.run_lock import read_lock

    read = read_lock(lock)
    suites = read.declared.suites if read and read.declared else {}
    if suite not in suites:
        return DeclaredMetrics()
    found = suites[suite]
    return DeclaredMetrics(
        directions={found.metric: found.higher_is_better},
        own=found.metric,
        scale=found.scale,
        margin=found.margin,
        cluster=found.cluster,
        strata=found.strata,
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
