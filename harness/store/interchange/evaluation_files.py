"""What a record of Every Eval Ever says about the samples beside it; see `every_eval_ever`."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from harness.errors import ComparisonError, DataError
from harness.inputs import first_problem, read_input
from harness.records import Suite

ENDING = "_samples.jsonl"


class MetricConfig(BaseModel):
    """A metric: its name, its direction, and what its values lie between where that is said."""

    lower_is_better: bool
    metric_id: str = ""
    metric_name: str = ""
    evaluation_description: str = ""
    has_unknown_level: bool = False
    min_score: float | None = None
    max_score: float | None = None


class EvaluationScore(BaseModel):
    """One score of a record."""

    evaluation_name: str
    evaluation_result_id: str = ""
    metric_config: MetricConfig

    @property
    def metric(self) -> str:
        """What the metric is called."""
        config = self.metric_config
        return config.metric_id or config.metric_name or config.evaluation_description or "score"

    @property
    def scale(self) -> tuple[float, float]:
        """What its values lie between, by default 0 and 1."""
        low, high = self.metric_config.min_score, self.metric_config.max_score
        return (0.0 if low is None else low, 1.0 if high is None else high)

    def share(self, value: float) -> float | None:
        """Return a value's place on the scale, in [0, 1]; None where it is the unknown level.

        Raises:
            ValueError: If it lies outside, or the scale has no ends.
        """
        if self.metric_config.has_unknown_level and value == -1:
            return None
        low, high = self.scale
        if not (low < high and math.isfinite(high - low)):
            raise ValueError(
                f"a metric must have two ends: {self.metric} runs from {low} to {high}"
            )
        share = Suite(name="", metric=self.metric, scale=self.scale).share_of_scale(value)
        if share is None:
            raise ValueError(
                f"{self.metric} must lie between {low:g} and {high:g}: found {value:g}"
            )
        return share


class EvaluatedId(BaseModel):
    """Which model a record is about."""

    id: str


class EvaluationFile(BaseModel):
    """What is needed of a record."""

    model_info: EvaluatedId
    evaluation_results: list[EvaluationScore]

    def score_of(self, name: str, result: str = "") -> EvaluationScore:
        """Return what scored a sample.

        Args:
            name: The sample's evaluation.
            result: Its result, where it names one.

        Raises:
            ValueError: If that could be none or several.
        """
        named = [score for score in self.evaluation_results if score.evaluation_name == name]
        found = [score for score in named if not result or score.evaluation_result_id == result]
        if len(found) != 1:
            raise ValueError(
                f"a sample must say which score of its record it belongs to: {result or name!r} "
                f"may be {len(found)} of {len(self.evaluation_results)}"
            )
        return found[0]


class SampleScore(BaseModel):
    """A sample's score, in the metric's own units."""

    score: float


class EvaluatedSample(BaseModel):
    """What is needed of a sample; ``sample_hash`` is of what was asked and of its reference."""

    model_id: str
    evaluation_name: str
    sample_id: str
    evaluation: SampleScore
    evaluation_result_id: str | None = None
    sample_hash: str | None = None
    metadata: dict[str, str] | None = None


def is_evaluation(file: Path) -> bool:
    """Tell whether a file is called as Every Eval Ever's samples are."""
    return file.name.endswith(ENDING)


def record_beside(file: Path) -> EvaluationFile:
    """Read the record that samples belong to.

    Raises:
        DataError: If it is missing or no record.
    """
    path = file.with_name(file.name.removesuffix(ENDING) + ".json")
    try:
        return EvaluationFile.model_validate_json(read_input(path))
    except (OSError, ValidationError, ValueError) as error:
        raise DataError(
            f"Every Eval Ever's samples need their record beside them: {path}: "
            f"{first_problem(error)}"
        ) from error


def of_one_model(files: Sequence[Path]) -> list[Path]:
    """Return samples files of which one side of a comparison may consist.

    Raises:
        ComparisonError: If they are of several models, or an evaluation stands in two records.
    """
    records = [record_beside(file) for file in files]
    models = sorted({record.model_info.id for record in records})
    if len(models) > 1:
        raise ComparisonError(
            f"each side must be one model: the records are of {', '.join(models)}; give one's "
            "files, or `harness export` one arm to a folder"
        )
    names = Counter(
        name
        for record in records
        for name in {s.evaluation_name for s in record.evaluation_results}
    )
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise ComparisonError(
            f"each evaluation must stand in one record: {', '.join(twice)} stand in several; give "
            "the file of one"
        )
    return list(files)
