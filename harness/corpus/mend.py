"""Repairs of a text that change no word of it: encodings, invisible characters, spaces, turns."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.records import Message

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ufeff\u200b\u2060\ud800-\udfff]")
_SPACES = re.compile(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_LINE_ENDS = re.compile(r"[ \t]+(?=\n)")
_SUSPECT = re.compile(r"[^\n\t\x20-\x7e]|[ \t]\n")
"""Whatever any step could change; most texts have none of it."""


def _encoding(text: str) -> str:
    import ftfy

    fixed: str = ftfy.fix_encoding(text)
    return fixed


def _line_breaks(text: str) -> str:
    return _LINE_ENDS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


MENDINGS: dict[str, Callable[[str], str]] = {
    "broken encoding repaired": _encoding,  # first: the next steps would destroy its traces
    "line breaks and spaces at line ends": _line_breaks,
    "control and invisible characters": lambda text: _CONTROL.sub("", text),
    "special spaces": lambda text: _SPACES.sub(" ", text),
    "Unicode composed (NFC)": lambda text: unicodedata.normalize("NFC", text),
}
"""What is done to each text, in order: name in the data card -> function."""


def mended(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a text with every step done, and the names of those that changed it.

    >>> mended("caf\u00c3\u00a9\u00a0")
    ('café ', ('broken encoding repaired', 'special spaces'))
    """
    if not _SUSPECT.search(text):
        return text, ()
    steps = []
    for name, step in MENDINGS.items():
        after = step(text)
        if after != text:
            steps.append(name)
        text = after
    return text, tuple(steps)


def joined_turns(turns: Sequence[Message]) -> tuple[Message, ...]:
    """Join turns in a row of one speaker, with a blank line between: many templates refuse them."""
    joined: list[Message] = []
    for turn in turns:
        if joined and _may_join(joined[-1], turn):
            text = f"{joined[-1].content}\n\n{turn.content}"
            joined[-1] = replace(turn, content=text)
        else:
            joined.append(turn)
    return tuple(joined)


def _may_join(one: Message, other: Message) -> bool:
    """Tell whether two turns are texts of one speaker; the results of two tools stay apart."""
    return (
        one.role == other.role != "tool"
        and one.learnt == other.learnt
        and not (one.extras or other.extras)
    )
