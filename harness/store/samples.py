"""Scored items as lines of ``samples_<suite>.jsonl``: lm-eval's layout, with our verdict added.

lm-eval's keys come first and in its order, so that whatever reads its logs reads ours. Ours follow:
``arm``, ``verdict``, ``score``, ``labels``, ``answer``, ``explanation``, ``details``, ``metric``,
``suite``, ``occurrence``, ``cluster``, ``slices``, ``token_hash``, ``cut``, ``prompt``,
``responses`` and ``harness_format``; a line without the last is of format 1.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import TypeAdapter

from harness.errors import DataError
from harness.files import json_line, write_lines
from harness.inputs import first_problem, open_input, parse_json
from harness.records import Document, Item, ItemKey, Response, Sample
from harness.store.format_version import require_known

FORMAT = 1
FORMAT_KEY = "harness_format"

_SAMPLE = TypeAdapter(Sample)
_RESPONSE = ("logprob", "is_greedy", "text", "finish", "tokens", "unscored")


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Write one arm's scored items of one suite, whole or not at all.

    Raises:
        InfrastructureError: If the disk is full or the folder is not writable.
    """
    write_lines(
        path,
        (json_line(_line(sample), default=_plain) for sample in samples),
    )


def _line(sample: Sample) -> Document:
    item, verdict = sample.item, sample.verdict
    resps = [_as_lm_eval(response) for response in sample.responses]
    theirs = {
        "doc_id": item.doc_id,
        "doc": item.doc,
        "target": item.target,
        "arguments": {
            f"gen_args_{i}": {f"arg_{j}": part for j, part in enumerate(arguments)}
            for i, arguments in enumerate(item.arguments)
        },
        "resps": [[response] for response in resps],
        "filtered_resps": [verdict.answer] if sample.responses[0].text is not None else resps,
        "filter": item.key.filter,
        "metrics": list(verdict.metrics),
        "doc_hash": item.key.doc_hash,
        "prompt_hash": _sha256(item.prompt),
        "target_hash": _sha256(item.target),
    }
    ours = {
        "arm": sample.arm,
        "verdict": verdict.outcome,
        "score": verdict.score,
        "labels": verdict.labels,
        "answer": verdict.answer,
        "explanation": verdict.explanation,
        "details": verdict.details,
        "suite": item.key.suite,
        "occurrence": item.key.occurrence,
        "cluster": item.cluster,
        "slices": item.slices,
        "token_hash": item.prompt_hash,
        "cut": item.cut,
        "prompt": item.prompt,
        "responses": [{name: getattr(r, name) for name in _RESPONSE} for r in sample.responses],
        FORMAT_KEY: FORMAT,
    }
    taken = theirs.keys() | ours.keys()
    return theirs | {k: v for k, v in verdict.metrics.items() if k not in taken} | ours


def _as_lm_eval(response: Response) -> str | list[str]:
    """Return a response as lm-eval logs it: everything as text."""
    if response.unscored is not None:
        return response.unscored
    if response.text is not None:
        return response.text
    if response.is_greedy is None:
        return str(response.logprob)
    return [str(response.logprob), str(response.is_greedy)]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)


def read_samples(path: Path, items: dict[ItemKey, Item] | None = None) -> list[Sample]:
    """Read what `write_samples` wrote, line by line.

    Args:
        path: One arm's file of one suite.
        items: Items of other arms, to which this file's are added: arms answer the same items, so
            an equal one is kept once.

    Raises:
        DataError: If the file is missing, malformed (with its line number), not a run's of ours, or
            written by a newer version.
    """
    samples = []
    known = {} if items is None else items
    for number, line in _lines(path):
        try:
            samples.append(_sample(line, path, known))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"a samples file of a run must have one scored item a line: {path}:{number}: "
                f"{first_problem(error)}"
            ) from error
    return samples


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with open_input(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a samples file must be readable: {path}: {error}") from error


def _sample(line: str, path: Path, known: dict[ItemKey, Item]) -> Sample:
    row = parse_json(line)
    require_known(row.get(FORMAT_KEY, 1), FORMAT, what="a run's samples", path=path)
    fields = {
        "key": ItemKey(row["suite"], row["filter"], row["doc_hash"], row["occurrence"]),
        "doc_id": row["doc_id"],
        "doc": row["doc"],
        "prompt": row["prompt"],
        "prompt_hash": row["token_hash"],
        "target": row["target"],
        "cluster": row["cluster"],
        "slices": row["slices"],
        "arguments": tuple(
            tuple(row["prompt"] if part == row["prompt"] else part for part in args.values())
            for args in row["arguments"].values()
        ),
        "cut": row.get("cut", 0),
    }
    verdict = {
        "outcome": row["verdict"],
        "score": row["score"],
        "labels": row["labels"],
        "answer": row["answer"],
        "explanation": row["explanation"],
        "metrics": {name: row[name] for name in row["metrics"]},
        "details": row["details"],
    }
    same = known.get(fields["key"])
    is_same = same is not None and all(getattr(same, name) == fields[name] for name in fields)
    item = same if is_same else fields
    sample = _SAMPLE.validate_python(
        {"item": item, "arm": row["arm"], "responses": row["responses"], "verdict": verdict}
    )
    score = sample.verdict.score
    if (score is None) != (sample.verdict.outcome == "unscored"):
        raise ValueError(f"an item is unscored or has a score: found {score}")
    if score is not None and not 0.0 <= score <= 1.0:
        raise ValueError(f"a score must be in [0, 1]: found {score}")
    known.setdefault(sample.item.key, sample.item)
    return sample
