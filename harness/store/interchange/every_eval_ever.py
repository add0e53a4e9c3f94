"""One arm's scores on one suite as a record of Every Eval Ever 0.3.0, with its samples.

The format is https://github.com/evaleval/every_eval_ever (MIT): a JSON file with the score, and a
JSONL beside it with each item, in ``data/<collection>/<developer>/<model>/``.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.files import json_line
from harness.records import ArmScore, Document, Sample, Suite

VERSION = "0.3.0"
LOCAL = "local"
"""The owner of a model that is not on the hub."""
LEVEL = 0.9
"""The level of the interval in an `ArmScore`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedModel:
    """Which model a record is about.

    ``id`` is ``owner/name``, ``details`` are sentences by name.
    """

    id: str
    name: str
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """A record's two files, and where below ``data/`` they belong."""

    path: str
    samples_path: str
    document: Document
    lines: tuple[str, ...]


def evaluation_record(
    suite: Suite,
    samples: Sequence[Sample],
    score: ArmScore,
    *,
    model: EvaluatedModel,
    versions: Mapping[str, str],
    now: float,
) -> EvaluationRecord | None:
    """Return the record of one arm on one suite.

    Args:
        suite: What the suite declares.
        samples: The arm's scored answers.
        score: Their mean and its interval.
        model: The arm.
        versions: Of the packages that made the scores.
        now: In seconds since 1970.

    Returns:
        The record; None where no item was scored, for which the format has no form. Unscored items
        are counted in it, and are not among its samples: a sample must have a score.
    """
    if score.mean is None or score.ci_low is None or score.ci_high is None:
        return None
    owner, _, model_name = model.id.partition("/")
    evaluation = f"{suite.name}/{model.id}/{now:.6f}"
    result = f"{suite.name}:{suite.metric}"
    lines = tuple(
        json_line(_instance(suite, sample, evaluation, result, model.id))
        for sample in samples
        if sample.verdict.score is not None
    )
    text = "".join(lines).encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(text)
    file = uuid.UUID(bytes=digest.digest()[:16], version=4)
    name = f"data/{suite.name}/{owner}/{model_name}/{file}"
    document = {
        "schema_version": VERSION,
        "evaluation_id": evaluation,
        "retrieved_timestamp": f"{now:.6f}",
        "source_metadata": {
            "source_name": "finetune-harness",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "first_party" if owner == LOCAL else "third_party",
        },
        "eval_library": {
            "name": "finetune-harness",
            "version": versions.get("finetune-harness", "unknown"),
            "additional_details": dict(versions),
        },
        "model_info": _model_info(model),
        "evaluation_results": [_result(suite, score, result)],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"{name}_samples.jsonl",
            "hash_algorithm": "sha256",
            "checksum": digest.hexdigest(),
            "total_rows": len(lines),
        },
    }
    return EvaluationRecord(
        path=f"{name}.json", samples_path=f"{name}_samples.jsonl", document=document, lines=lines
    )


def _model_info(model: EvaluatedModel) -> Document:
    return {
        "name": model.name,
        "id": model.id,
        "developer": model.id.partition("/")[0],
        "additional_details": {
            "deployment_type": "unknown",
            "model_availability": "unknown",
            **model.details,
        },
    }


def _result(suite: Suite, score: ArmScore, result: str) -> Document:
    low, high = suite.scale
    return {
        "evaluation_result_id": result,
        "evaluation_name": suite.name,
        "source_data": {"dataset_name": suite.heading, "source_type": "other"},
        "metric_config": {
            "metric_id": suite.metric,
            "metric_name": suite.metric,
            "lower_is_better": not suite.higher_is_better,
            "score_type": "binary" if suite.kind == "binary" else "continuous",
            "min_score": low,
            "max_score": high,
        },
        "score_details": {
            "score": _value(suite, score.mean or 0.0),
            "uncertainty": {
                "confidence_interval": {
                    "lower": _value(suite, score.ci_low or 0.0),
                    "upper": _value(suite, score.ci_high or 0.0),
                    "confidence_level": LEVEL,
                    "method": "Wilson or t; robust to clusters where items share one",
                },
                "num_samples": score.n,
            },
            "details": {"unscored": str(score.unscored)},
        },
    }


def _value(suite: Suite, share: float) -> float:
    """Return a score in the metric's own units."""
    low, high = suite.scale
    return low + share * (high - low)


def _instance(suite: Suite, sample: Sample, evaluation: str, result: str, model: str) -> Document:
    item, verdict = sample.item, sample.verdict
    choices = [str(arguments[1]) for arguments in item.arguments if _is_choice(arguments)]
    said = [response.text for response in sample.responses if response.text is not None]
    answer = verdict.answer or ""
    hashed = json.dumps({"raw": item.prompt, "reference": item.target}, sort_keys=True)
    return {
        "schema_version": VERSION,
        "evaluation_id": evaluation,
        "model_id": model,
        "evaluation_name": suite.name,
        "evaluation_result_id": result,
        "sample_id": f"{item.key.doc_hash}:{item.key.occurrence}",
        "sample_hash": hashlib.sha256(hashed.encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {
            "raw": item.prompt,
            "formatted": item.prompt,
            "reference": [item.target],
            "choices": choices or None,
        },
        "output": {"raw": said or [answer]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": answer,
                "extraction_method": suite.judge or item.key.filter,
                "is_terminal": True,
            }
        ],
        "evaluation": {
            "score": _value(suite, verdict.score or 0.0),
            "is_correct": verdict.outcome == "correct",
        },
        "metadata": {
            "cluster": item.cluster,
            "verdict": verdict.outcome,
            "labels": ", ".join(verdict.labels),
            "explanation": verdict.explanation,
            **{f"slice: {name}": value for name, value in item.slices.items()},
        },
    }


def _is_choice(arguments: Sequence[object]) -> bool:
    return len(arguments) > 1 and isinstance(arguments[1], str)
