"""One arm's scores as lm-eval's ``results_*.json``, from which lm-eval's own readers start.

What a run does not know is left out, not invented: a task's version, its number of examples, and
which way a metric goes that decides nothing.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

from harness.records import Document, Sample, Suite

SOURCE = "finetune-harness"
DECLARED = "finetune_harness"
"""Where a task's metadata say what the suite declared, which decides when scores are read again."""
_DECLARED = ("metric", "higher_is_better", "scale", "margin", "cluster", "strata")
UNKNOWN = "N/A"
"""What lm-eval writes where a standard error is not known."""

Answered = Mapping[Suite, Sequence[Sample]]
"""One arm's scored answers by suite."""


def lm_eval_results(
    arm: str,
    answered: Answered,
    *,
    model_args: Mapping[str, str],
    versions: Mapping[str, str],
    date: float,
) -> Document:
    """Return lm-eval's document about one arm.

    Args:
        arm: Its name, which stands for lm-eval's model name.
        answered: Its scored answers by suite.
        model_args: What was loaded, as ``pretrained``.
        versions: Of the packages that made the scores.
        date: When the document is written, in seconds since 1970.

    Returns:
        The document. Means are over the items that have the metric; a standard error is lm-eval's
        own, s / √n, which is wrong for items that share a cluster: there it is ``N/A``.
    """
    names = {suite.name: suite for suite in answered}
    samples = {suite.name: found for suite, found in answered.items()}
    metrics = {name: _metrics(names[name], found) for name, found in samples.items()}
    known = {name: {suite.metric: suite.higher_is_better} for name, suite in names.items()}
    return {
        "results": {name: _row(name, samples[name], metrics[name]) for name in names},
        "group_subtasks": {name: [] for name in names},
        "configs": {name: _config(names[name], samples[name], metrics[name]) for name in names},
        "versions": {},
        "n-shot": {},
        "higher_is_better": known,
        "n-samples": {
            name: {"original": len(found), "effective": len(found)}
            for name, found in samples.items()
        },
        "config": {"model": SOURCE, "model_args": dict(model_args)},
        "date": date,
        "lm_eval_version": versions.get("lm_eval", ""),
        "transformers_version": versions.get("transformers", ""),
        "task_hashes": {name: _task_hash(found) for name, found in samples.items()},
        "model_source": SOURCE,
        "model_name": arm,
        "model_name_sanitized": arm,
    }


def _metrics(suite: Suite, samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Return the numbers of each metric, the one that decides first: it is what scored the item."""
    found: dict[str, list[float]] = {suite.metric: []}
    low, high = suite.scale
    for sample in samples:
        if sample.verdict.score is None:
            continue
        decides = {suite.metric: low + sample.verdict.score * (high - low)}
        for name, value in (decides | dict(sample.verdict.metrics)).items():
            if not math.isnan(value):
                found.setdefault(name, []).append(float(value))
    return {name: values for name, values in found.items() if values}


def _row(name: str, samples: Sequence[Sample], metrics: Mapping[str, list[float]]) -> Document:
    scored = [sample for sample in samples if sample.verdict.score is not None]
    alone = len({sample.item.cluster for sample in scored}) == len(scored)
    filter_ = _filter(samples)
    row: dict[str, object] = {"alias": name, "sample_len": len(samples)}
    for metric, values in metrics.items():
        row[f"{metric},{filter_}"] = math.fsum(values) / len(values)
        row[f"{metric}_stderr,{filter_}"] = _standard_error(values) if alone else UNKNOWN
    return row


def _standard_error(values: Sequence[float]) -> float | str:
    n = len(values)
    if n < 2:
        return UNKNOWN
    mean = math.fsum(values) / n
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)


def _config(suite: Suite, samples: Sequence[Sample], metrics: Iterable[str]) -> Document:
    """Return what is known of a task's configuration."""
    return {
        "task": suite.name,
        "output_type": "generate_until" if _generated(samples) else "multiple_choice",
        "metric_list": [
            {"metric": name, "aggregation": "mean"}
            | ({"higher_is_better": suite.higher_is_better} if name == suite.metric else {})
            for name in metrics
        ],
        "metadata": {DECLARED: {name: getattr(suite, name) for name in _DECLARED}},
    }


def _generated(samples: Sequence[Sample]) -> bool:
    return any(
        isinstance(part, Mapping)
        for sample in samples
        for arguments in sample.item.arguments
        for part in arguments
    )


def _filter(samples: Sequence[Sample]) -> str:
    return samples[0].item.key.filter if samples else "none"


def _task_hash(samples: Sequence[Sample]) -> str:
    """Return lm-eval's hash of a task's items: of their hashes, one after the other."""
    hashes = (
        sample.item.key.doc_hash + _sha256(sample.item.prompt) + _sha256(sample.item.target)
        for sample in samples
    )
    return _sha256("".join(hashes))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
