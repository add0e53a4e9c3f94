"""Golden lines of a suite of one's own: begun from its rows, and what its judge is held to."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError
from harness.rating import judge_all
from harness.rating.answer_alone import without_thought
from harness.records import Item, Response, Verdict
from harness.scoring import normalize
from harness.suites import dataset

if TYPE_CHECKING:
    from harness.suites.load_suite import LoadedSuite

_EXAMPLES, _LOOKED_AT = 3, 60
"""Rows from which lines are written, and rows that are tried for it."""

_DIALOGUES, _RESPONSES = "conversation", "responses"
"""The judge of whole dialogues, and the field of a line with one text for each turn."""

GoldenLine = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A golden line on which the judge decides otherwise than its author."""

    number: int
    expected: str
    found: str
    why: str


def right_answers(loaded: "LoadedSuite") -> Iterator[tuple[Item, Verdict]]:
    """Yield each item that has a right answer in words, with the judge's verdict on that answer."""
    judge = loaded.suite.judge
    asked = [item for item in loaded.items if item.target.strip()]
    if judge is None or judge == _DIALOGUES or loaded.own_judge is not None:
        return
    given = [(item.doc, (Response(text=item.target),)) for item in asked]
    decides = {"decides": loaded.suite.metric} if judge == "summary" else {}
    yield from zip(asked, judge_all(judge, given, **decides), strict=True)


def first_golden(loaded: "LoadedSuite") -> list[GoldenLine]:
    """Return lines to begin with: a row's right answer, another row's, and none.

    Only rows whose right answer the judge takes for right are used; `right_answers` has the others.
    """
    if loaded.suite.judge is None:
        return list(_by_likelihood(loaded.items))
    if loaded.suite.judge == _DIALOGUES:
        return _of_dialogues(loaded.items)
    lines: list[GoldenLine] = []
    right = [item for item, verdict in right_answers(loaded) if verdict.outcome == "correct"]
    for item in right[:_EXAMPLES]:
        why = "what the row says is right"
        lines.append(_line(item, item.target, correct=True, why=why))
        other = next((one.target for one in right[:_LOOKED_AT] if _differs(one, item)), None)
        if other is not None:
            lines.append(
                _line(item, other, correct=False, why="right for another row, not for this")
            )
    if right:
        lines.append({**_line(right[0], "", correct=False, why="nothing"), "labels": ["empty"]})
    return lines


def _of_dialogues(items: Sequence[Item]) -> list[GoldenLine]:
    """Return lines of dialogues: what each probe accepts is said, or nothing that it asks for."""
    lines: list[GoldenLine] = []
    for item in items[:_LOOKED_AT]:
        turns = item.doc.get("turns")
        said = [_accepted(turn) for turn in turns] if isinstance(turns, list) else []
        texts = [text or "All right." for text in said]
        given = [(item.doc, tuple(Response(text=text) for text in texts))]
        if not any(said) or judge_all(_DIALOGUES, given)[0].outcome != "correct":
            continue
        right = _line(item, None, correct=True, why="the answers that its probes accept")
        wrong = _line(item, None, correct=False, why="nothing is said")
        lines += [{**right, _RESPONSES: texts}, {**wrong, _RESPONSES: ["" for _ in texts]}]
    return [
        {key: value for key, value in line.items() if value is not None}
        for line in lines[: 2 * _EXAMPLES]
    ]


def _accepted(turn: object) -> str:
    """Return an answer that a turn's probes accept, empty where there is none in words."""
    probes = turn.get("probes") if isinstance(turn, Mapping) else None
    says = [one.get("says") for one in probes or [] if isinstance(one, Mapping)]
    return next((str(one[0]) for one in says if isinstance(one, list) and one), "")


def _line(item: Item, response: object, *, correct: bool, why: str) -> dict[str, object]:
    return {
        "doc": dict(item.doc),
        "response": response,
        "verdict": "correct" if correct else "incorrect",
        "score": float(correct),
        "why": why,
    }


def _differs(one: Item, other: Item) -> bool:
    left, right = normalize(one.target), normalize(other.target)
    return bool(left and right) and left not in right and right not in left


def _by_likelihood(items: Sequence[Item]) -> Iterator[GoldenLine]:
    """Yield lines of multiple choice: the log-likelihoods of the choices stand for an answer."""
    for item in items[:_EXAMPLES]:
        texts, gold = choices_of(item.doc)
        best = [-1.0 if place == gold else -2.0 * len(text) for place, text in enumerate(texts)]
        worst = [-2.0 * len(text) if place == gold else -1.0 for place, text in enumerate(texts)]
        yield _line(item, best, correct=True, why="the right choice is the likeliest")
        yield _line(item, worst, correct=False, why="the right choice is the least likely")


def choices_of(doc: Mapping[str, object]) -> tuple[list[str], int]:
    """Return the choices of a row and the place of the right one.

    Raises:
        DataError: If it has none.
    """
    choices = doc.get("choices")
    if isinstance(choices, Mapping):
        return list(choices["text"]), list(choices["label"]).index(doc["answerKey"])
    labels = doc.get("labels")
    if isinstance(labels, list | tuple) and doc.get("label") in labels:
        return list(map(str, labels)), list(labels).index(doc["label"])
    raise DataError(
        "a row of multiple choice needs 'choices' and 'answerKey', or 'labels' and 'label'"
    )


def by_likelihood(metric: str, line: GoldenLine) -> Verdict:
    """Score a line of multiple choice as lm-eval does: the first of the highest is chosen."""
    doc, response = line["doc"], line["response"]
    assert isinstance(doc, Mapping)
    texts, gold = choices_of(doc)
    if not isinstance(response, list) or len(response) != len(texts):
        raise DataError(f"the 'response' of multiple choice is {len(texts)} log-likelihoods")
    values = [
        float(value) / (len(text) if metric == "acc_norm" else 1)
        for value, text in zip(response, texts, strict=True)
    ]
    right = values.index(max(values)) == gold
    return Verdict(outcome="correct" if right else "incorrect", score=float(right))


def disagreements(loaded: "LoadedSuite", file: Path) -> tuple[int, list[Disagreement]]:
    """Hold a judge to a golden file; return the number of lines, and those it decides otherwise.

    Raises:
        DataError: If a line is no golden line.
    """
    lines = dataset.read(file)
    for number, line in enumerate(lines, start=1):
        text = _RESPONSES if loaded.suite.judge == _DIALOGUES else "response"
        lacking = [k for k in ("doc", text, "verdict") if line.get(k) is None]
        if lacking or not isinstance(line["doc"], Mapping):
            raise DataError(f"a golden line needs 'doc', {text!r} and 'verdict': {file}:{number}")
    found = _verdicts(loaded, lines)
    wrong = []
    for number, (line, verdict) in enumerate(zip(lines, found, strict=True), start=1):
        expected = {k: line[k] for k in ("verdict", "score", "labels") if line.get(k) is not None}
        said = {"verdict": verdict.outcome, "score": verdict.score, "labels": list(verdict.labels)}
        if {key: said[key] for key in expected} != expected:
            wrong.append(
                Disagreement(
                    number=number, why=str(line.get("why") or ""),
                    expected=_shown(expected), found=_shown(said) + f" ({verdict.explanation})",
                )
            )  # fmt: skip
    return len(lines), wrong


def _shown(of: Mapping[str, object]) -> str:
    return ", ".join(str(v) if isinstance(v, str) else json.dumps(v) for v in of.values())


def _verdicts(loaded: "LoadedSuite", lines: Sequence[GoldenLine]) -> list[Verdict]:
    suite = loaded.suite
    if suite.judge is None:
        return [by_likelihood(suite.metric, line) for line in lines]
    given = [(doc, _said(line)) for line in lines if isinstance(doc := line["doc"], Mapping)]
    if loaded.own_judge is not None:
        from harness.rating import judge_by

        return judge_by(loaded.own_judge, given)
    decides = {"decides": suite.metric} if suite.judge == "summary" else {}
    return judge_all(suite.judge, given, **decides)


def _said(line: GoldenLine) -> tuple[Response, ...]:
    """Return a line's answer: one text, or one for each turn of a dialogue."""
    texts = line.get(_RESPONSES)
    given = texts if isinstance(texts, list) else [line.get("response")]
    finish = "length" if line.get("finish") == "length" else None
    return tuple(without_thought(Response(text=str(text), finish=finish)) for text in given)
