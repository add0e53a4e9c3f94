"""Text as the words that decide whether two answers agree: folded, canonical, singular."""

import re
from collections.abc import Iterable
from functools import lru_cache

from harness.scoring.answer_languages import fold, word_set
from harness.scoring.normalize import canonical_number

_WORD = re.compile(
    r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
    r"(?!(?!(?:[kcm]?m|[km]?g|lbs?|oz|ft|mph|[km]?hz|[ap]m|bn|mn|[km]?wh?|ml)\b)\w)|(?P<ordinal>\d+)(?:st|nd|rd|th)\b"
    r"|[\u3040-\u30ff\u4e00-\u9fff]|[^\W_\u3040-\u30ff\u4e00-\u9fff]+"
)
_ACRONYM = re.compile(r"\b(?:[^\W\d_]\.){2,}(?:[^\W\d_]\b)?")
_OWNER = re.compile(r"['’](?:s\b)?|(?<=s)['’](?=\s)")
_ROMAN = {
    name: str(n)
    for n, name in enumerate(
        ["ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"], 2
    )
}
_SAME = {"st": "saint", "mt": "mount", "u": "you", "&": "and", "tv": "television", "vs": "versus"}
IDLE = word_set(
    """
    a an the and of in on at to for by with from is was are were be as or his her its their it that
    this der die das des dem den ein eine und von im am el la los las de del un una y en le les du
    et l d au aux dr mr mrs ms sir prof
    """
)
"""Words that carry nothing of an answer beside others."""


def answer_words(text: str) -> list[str]:
    """Return the words of a text, folded; a Chinese character is a word, "U.S." one as well.

    >>> answer_words("The 2nd U.S. president's co-op, 1,200.50")
    ['the', '2', 'us', 'president', 'co', 'op', '1200.5']
    """
    return [_canonical(match[0], match["ordinal"]) for match in _WORD.finditer(plain_text(text))]


def placed_words(plain: str) -> tuple[list[str], list[int]]:
    """Return the words of a `plain_text` and where in it each begins."""
    found = list(_WORD.finditer(plain))
    words = [_canonical(match[0], match["ordinal"]) for match in found]
    return words, [match.start() for match in found]


def plain_text(text: str) -> str:
    """Return a text folded, with acronyms and owners as one word."""
    if "." in text:
        text = _ACRONYM.sub(lambda match: match.group().replace(".", ""), text)
    plain = fold(text)
    if "'" in plain or "’" in plain:
        plain = _OWNER.sub("", plain)
    return plain.replace("&", " and ")


def _canonical(word: str, ordinal: str | None) -> str:
    if ordinal:
        return ordinal
    if word[-1].isdigit():
        return canonical_number(word.replace("−", "-"))
    return _ROMAN.get(word) or _SAME.get(word) or word


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return a word without its plural, in American spelling, umlauts as one letter.

    >>> [stem(word) for word in ("shells", "cities", "boxes", "colour", "roentgen", "glass")]
    ['shell', 'city', 'box', 'color', 'rontgen', 'glass']
    """
    if len(word) < 4 or not word.isalpha() or word[0] > "\u0250":
        return word
    if word.endswith("ies") and len(word) > 4:
        word = f"{word[:-3]}y"
    elif word.endswith(("sses", "xes", "zes", "ches", "shes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if len(word) > 4:
        word = re.sub(r"our$", "or", re.sub(r"tre$", "ter", word))
        word = re.sub(r"is(e|ed|ing|ation)$", r"iz\1", word)
        word = word.replace("oe", "o").replace("ae", "a").replace("ue", "u")
    return word


def stems(words: Iterable[str]) -> list[str]:
    """Return the stems of words."""
    return [stem(word) for word in words]


def telling(words: Iterable[str]) -> list[str]:
    """Return the words that carry an answer; all of them where nothing else would be left."""
    given = list(words)
    return [word for word in given if word not in IDLE] or given
