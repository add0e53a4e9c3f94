"""Cleaning of training rows: every step is named, counted, and tells which rows it touched.

Plain-text sides keep their white space: a completion's leading space is part of what is learnt.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.corpus.near import near_duplicates
from harness.records import Example, Message

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ufeff\u200b\u2060]")
_SPACES = re.compile(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_LINE_ENDS = re.compile(r"[ \t]+(?=\n)")


def _line_breaks(text: str) -> str:
    return _LINE_ENDS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


STEPS: dict[str, Callable[[str], str]] = {
    "line breaks and spaces at line ends": _line_breaks,
    "control and invisible characters": lambda text: _CONTROL.sub("", text),
    "special spaces": lambda text: _SPACES.sub(" ", text),
    "Unicode composed (NFC)": lambda text: unicodedata.normalize("NFC", text),
}
"""What is done to each text, in order: name in the data card -> function."""

FLAGS: dict[str, re.Pattern[str]] = {
    "e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.[\w.]*\w"),
    "phone number": re.compile(r"(?<![\w.])\+?\d{1,3}[ .-]?\(?\d{2,4}\)?(?:[ .-]\d{2,4}){2,3}\b"),
    "secret key": re.compile(
        r"\b(?:sk|pk|ghp|gho|xox[abp]|AKIA)[-_]?[A-Za-z0-9_-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY"
    ),
    "broken encoding": re.compile(r"[ÃÂ][\x80-\xbf]|â€[\x80-\xbf™œ\u009d]|\ufffd"),
}
"""What is only pointed out, never changed: name in the data card -> pattern."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """Rows that stay, and what happened to all of them.

    ``changed``, ``dropped`` and ``flagged`` map the name of a step to the origins of its rows.
    """

    examples: tuple[Example, ...]
    changed: dict[str, tuple[str, ...]]
    dropped: dict[str, tuple[str, ...]]
    flagged: dict[str, tuple[str, ...]]


def clean(examples: Sequence[Example], *, near: float | None = 0.8) -> Cleaned:
    """Clean texts, drop empty and repeated rows, and point out what a person should look at.

    Args:
        examples: Training rows.
        near: Similarity from which a row repeats an earlier one; None keeps near-duplicates.
    """
    changed: dict[str, list[str]] = {name: [] for name in STEPS}
    flagged: dict[str, list[str]] = {name: [] for name in FLAGS}
    rows = []
    for example in examples:
        row = example
        for name, step in STEPS.items():
            mended = _mapped(row, step)
            if mended != row:
                changed[name].append(row.origin)
            row = mended
        rows.append(row)
    texts = [text_of(row) for row in rows]
    dropped = _repetitions(rows, texts, near)
    for row, text in zip(rows, texts, strict=True):
        for name, pattern in FLAGS.items():
            if pattern.search(text):
                flagged[name].append(row.origin)
    gone = {number for numbers in dropped.values() for number in numbers}
    return Cleaned(
        examples=tuple(row for number, row in enumerate(rows) if number not in gone),
        changed={name: tuple(origins) for name, origins in changed.items()},
        dropped={name: tuple(rows[i].origin for i in sorted(d)) for name, d in dropped.items()},
        flagged={name: tuple(origins) for name, origins in flagged.items()},
    )


def text_of(example: Example) -> str:
    """Return all that a row says, prompt and completion, as one text."""
    return "\n".join(
        side if isinstance(side, str) else "\n".join(turn.content for turn in side)
        for side in (example.prompt, example.completion)
    )


def _repetitions(
    rows: Sequence[Example], texts: Sequence[str], near: float | None
) -> dict[str, set[int]]:
    empty, exact, seen = set(), set(), set()
    for number, (row, text) in enumerate(zip(rows, texts, strict=True)):
        answer = text_of(replace(row, prompt=""))
        key = " ".join(text.split())
        if not answer.strip():
            empty.add(number)
        elif key in seen:
            exact.add(number)
        seen.add(key)
    left = [number for number in range(len(rows)) if number not in empty | exact]
    alike = near_duplicates([texts[i] for i in left], threshold=near) if near else {}
    return {
        "nothing to learn": empty,
        "exact repetition": exact,
        "near repetition": {left[i] for i in alike},
    }


def _mapped(example: Example, step: Callable[[str], str]) -> Example:
    def side(value: str | tuple[Message, ...]) -> str | tuple[Message, ...]:
        if isinstance(value, str):
            return step(value)
        return tuple(replace(turn, content=step(turn.content)) for turn in value)

    return replace(example, prompt=side(example.prompt), completion=side(example.completion))
