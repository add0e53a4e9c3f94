"""Lexical relevance of a response to the turns before it.

``overlap`` is the share of a response's content words (stemmed, common words left out) that occur
in the earlier text, in [0, 1]. Many good responses share no word with what they answer ("Sounds
great!"), so a response starts from a neutral point and shared words lift it towards 1:

    relevance = NEUTRAL + (1 - NEUTRAL) * (overlap(last turn) + overlap(last three turns)) / 2

The form (last turn and last three turns with equal weight) is the one that agreed best with human
ratings for sentence embeddings; words are a far weaker measure than embeddings. Nothing is fitted.
"""

from collections.abc import Sequence
from typing import NamedTuple

from harness.scoring.normalize import words
from harness.scoring.wordlists import COMMON

WORDS = "words"
"""The name of this measure, as scores bear it."""


class Relevance(NamedTuple):
    """How near a response is to what it answers, in [-1, 1], and by which measure."""

    measure: str
    value: float


NEUTRAL = 0.5
"""The relevance of a response that shares no content word with its context."""

_SUFFIXES = ("ingly", "ing", "edly", "ied", "ies", "ed", "es", "ly", "s")


def overlap(context: str, response: str) -> float:
    """Return the share of the response's content words that the context holds, in [0, 1].

    >>> overlap("I walked my dog today.", "Dogs love walking.")
    0.6666666666666666
    """
    given, known = _stems(response), _stems(context)
    return len(given & known) / len(given) if given else 0.0


def of(turns: Sequence[str], response: str) -> dict[str, float]:
    """Return the components ``relevance``, ``relevance_last`` and ``relevance_context``."""
    last = overlap(turns[-1], response) if turns else 0.0
    recent = overlap(" ".join(turns[-3:]), response)
    return {
        "relevance": NEUTRAL + (1 - NEUTRAL) * (last + recent) / 2,
        "relevance_last": last,
        "relevance_context": recent,
    }


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in words(text) if word not in COMMON}


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word
