"""Scored items as lines of ``samples_<suite>.jsonl``: lm-eval's layout, with our verdict added.

lm-eval's keys come first and in its order, so that whatever reads its logs reads ours. Ours follow:
``arm``, ``verdict``, ``score``, ``labels``, ``answer``, ``explanation``, ``details``, ``suite``,
``occurrence``, ``cluster``, ``slices``, ``token_hash``, ``cut``, ``prompt``, ``responses`` and
``harness_format``; a line without the last is of format 1. A metric that is named like one of these
keys stands as ``metric_`` and its name.
"""

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from harness.errors import DataError
from harness.files import json_line, write_lines
from harness.inputs import Row, first_problem, open_input, parse_json
from harness.records import AnswerLength, Document, Item, ItemKey, Response, Sample, Verdict
from harness.store.format_version import require_known

FORMAT = 1
FORMAT_KEY = "harness_format"

_SAMPLE, _ITEM, _VERDICT = TypeAdapter(Sample), TypeAdapter(Item), TypeAdapter(Verdict)
_RESPONSE = ("logprob", "is_greedy", "text", "finish", "tokens", "unscored")
_THOUGHT = ("thought", "thought_tokens")
_KEYS = frozenset({
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash", "arm", "verdict", "score", "labels", "answer",
    "explanation", "details", "suite", "occurrence", "cluster", "slices", "token_hash", "cut",
    "prompt", "responses", FORMAT_KEY,
})  # fmt: skip
_OURS = "metric_"


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
    metrics = {_written_name(name): value for name, value in verdict.metrics.items()}
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
        "metrics": list(metrics),
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
        "responses": [_response(response) for response in sample.responses],
        FORMAT_KEY: FORMAT,
    }
    assert theirs.keys() | ours.keys() == _KEYS
    return theirs | metrics | ours


def _written_name(metric: str) -> str:
    return _OURS + metric if metric in _KEYS else metric


def _metrics(row: Row) -> dict[str, object]:
    """Return a line's metrics by their own names.

    Lines of before may list one that is named like a key of theirs: its value is not there.
    """
    return {
        short if (short := name.removeprefix(_OURS)) in _KEYS else name: row[name]
        for name in row["metrics"]
        if name not in _KEYS
    }


def _response(response: Response) -> dict[str, object]:
    """Return a response's fields; those of a thought only where there is one."""
    names = _RESPONSE if response.thought is None else _RESPONSE + _THOUGHT
    return {name: getattr(response, name) for name in names}


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


class SampleReader:
    """Reads the samples of several arms, which answer the same items: each item is kept once.

    Args:
        texts: The items whose documents, prompts and answers are read, too; by default all. A
            sample of another item has what a decision needs: scores, labels, cluster, slices and
            hashes.
    """

    def __init__(self, texts: Container[ItemKey] | None = None) -> None:
        self._texts = texts
        self._items: dict[ItemKey, Item] = {}
        self._verdicts: dict[tuple[object, ...], Verdict] = {}
        self._slices: dict[tuple[object, ...], Mapping[str, str]] = {}
        self._written: dict[tuple[str, str], _Written] = {}

    @property
    def lengths(self) -> dict[tuple[str, str], AnswerLength]:
        """How long the written answers are that were read, by arm and suite."""
        return {name: written.length for name, written in self._written.items() if written.answers}

    def read(self, path: Path, *, lines: Container[int] | None = None) -> list[Sample]:
        """Read what `write_samples` wrote, line by line.

        Args:
            path: One arm's file of one suite.
            lines: The places, from 0, of the samples that are wanted; by default all.

        Raises:
            DataError: If the file is missing, malformed (with its line number), not a run's of
                ours, or written by a newer version.
        """
        samples = []
        for place, (number, line) in enumerate(_lines(path)):
            if lines is not None and place not in lines:
                continue
            try:
                samples.append(self._sample(line, path))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"a samples file of a run must have one scored item a line: {path}:{number}: "
                    f"{first_problem(error)}"
                ) from error
        return samples

    def _sample(self, line: str, path: Path) -> Sample:
        row = parse_json(line)
        require_known(row.get(FORMAT_KEY, 1), FORMAT, what="a run's samples", path=path)
        key = ItemKey(row["suite"], row["filter"], row["doc_hash"], row["occurrence"])
        if self._texts is None:
            return self._whole(row, key)
        if not isinstance(row["arm"], str):
            raise TypeError(f"an arm has a name: found {row['arm']!r}")
        self._written.setdefault((row["arm"], key.suite), _Written()).add(row["responses"])
        if key in self._texts:
            return self._whole(row, key)
        item, verdict = self._item(_bare_fields(row, key)), self._verdict(row)
        return Sample(item=item, arm=row["arm"], responses=(), verdict=verdict)

    def _whole(self, row: Row, key: ItemKey) -> Sample:
        fields = _fields(row, key)
        sample = _SAMPLE.validate_python(
            {
                "item": self._known(fields) or fields,
                "arm": row["arm"],
                "responses": row["responses"],
                "verdict": _verdict_fields(row),
            }
        )
        _check_score(sample.verdict)
        self._items.setdefault(sample.item.key, sample.item)
        return sample

    def _known(self, fields: Row) -> Item | None:
        """Return the item of another arm, if it is the same."""
        same = self._items.get(fields["key"])
        is_same = same is not None and all(getattr(same, name) == fields[name] for name in fields)
        return same if is_same else None

    def _item(self, fields: Row) -> Item:
        item = self._known(fields)
        if item is None:
            item = _ITEM.validate_python(fields)
            slices = self._slices.setdefault(tuple(item.slices.items()), item.slices)
            item = self._items.setdefault(item.key, replace(item, slices=slices))
        return item

    def _verdict(self, row: Row) -> Verdict:
        """Return what was decided, without texts: one record for all that were decided so."""
        metrics = _metrics(row)
        key = (row["verdict"], row["score"], *row["labels"], *metrics.items())
        if key not in self._verdicts:
            fields = {"outcome": row["verdict"], "score": row["score"], "labels": row["labels"]}
            verdict = _VERDICT.validate_python(fields | {"metrics": metrics})
            _check_score(verdict)
            self._verdicts[key] = verdict
        return self._verdicts[key]


@dataclass(slots=True)
class _Written:
    """Adds up how long written answers are."""

    answers: int = 0
    characters: int = 0
    tokens: int = 0

    def add(self, responses: Sequence[Row]) -> None:
        texts = [
            (r["text"], r["tokens"] - r.get("thought_tokens", 0))
            for r in responses
            if r["text"] is not None
        ]
        self.answers += bool(texts)
        self.characters += sum(len(text) for text, _ in texts)
        self.tokens += sum(tokens for _, tokens in texts)

    @property
    def length(self) -> AnswerLength:
        return AnswerLength(
            answers=self.answers,
            characters=self.characters / self.answers,
            tokens=self.tokens or None,
        )


def read_samples(path: Path) -> list[Sample]:
    """Read one arm's file of one suite whole; see `SampleReader.read`."""
    return SampleReader().read(path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with open_input(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a samples file must be readable: {path}: {error}") from error


def _bare_fields(row: Row, key: ItemKey) -> Row:
    return {
        "key": key,
        "doc_id": row["doc_id"],
        "doc": {},
        "prompt": "",
        "prompt_hash": row["token_hash"],
        "target": "",
        "cluster": row["cluster"],
        "slices": row["slices"],
        "arguments": (),
        "cut": row.get("cut", 0),
    }


def _fields(row: Row, key: ItemKey) -> Row:
    return {
        **_bare_fields(row, key),
        "doc": row["doc"],
        "prompt": row["prompt"],
        "target": row["target"],
        "arguments": tuple(
            tuple(row["prompt"] if part == row["prompt"] else part for part in args.values())
            for args in row["arguments"].values()
        ),
    }


def _verdict_fields(row: Row) -> Row:
    return {
        "outcome": row["verdict"],
        "score": row["score"],
        "labels": row["labels"],
        "answer": row["answer"],
        "explanation": row["explanation"],
        "metrics": _metrics(row),
        "details": row["details"],
    }


def _check_score(verdict: Verdict) -> None:
    score = verdict.score
    if (score is None) != (verdict.outcome == "unscored"):
        raise ValueError(f"an item is unscored or has a score: found {score}")
    if score is not None and not 0.0 <= score <= 1.0:
        raise ValueError(f"a score must be in [0, 1]: found {score}")
