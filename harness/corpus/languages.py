"""Language identification by py3langid (BSD; a small model inside the package)."""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from harness.errors import DataError, nearest
from harness.extras import require

SHORTEST = 40
"""Texts of fewer characters are not classified: a few words identify no language reliably."""


class LanguageModel(Protocol):
    """What is used of py3langid."""

    def classify(self, text: str, /) -> tuple[str, float]:
        """Return the likeliest language of a text, and its score."""
        ...

    def rank(self, text: str, /) -> list[tuple[str, float]]:
        """Return every known language with its score for a text."""
        ...


def is_in(text: str, wanted: Sequence[str]) -> bool:
    """Say whether a text is in one of some languages (ISO 639-1 codes), or too short to tell.

    Raises:
        MissingExtraError: If the package is missing.
        DataError: If it does not know a language.
    """
    model = _model()
    for code in wanted:
        if code not in _codes():
            raise DataError(f"unknown language {code!r}{nearest(code, _codes())}")
    return len(text.strip()) < SHORTEST or model.classify(text)[0] in wanted


@cache
def _codes() -> frozenset[str]:
    return frozenset(code for code, _ in _model().rank("any text"))


@cache
def _model() -> LanguageModel:
    require("languages")
    import py3langid

    identifier: LanguageModel = py3langid
    return identifier
