"""Normalized words of a text, so that case, punctuation and spacing do not hide a copy."""

import re
import unicodedata

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Return the words of a text: compatibility-normalised, case-folded, no punctuation.

    >>> words("SELECT name FROM t WHERE x='Oslo';")
    ['select', 'name', 'from', 't', 'where', 'x', 'oslo']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
