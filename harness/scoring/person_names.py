"""Is a person meant? First name, nickname or initial, and the last name."""

import re
from collections.abc import Sequence
from functools import lru_cache

from nicknames import NickNamer

from harness.scoring.answer_languages import fold, word_set

_NAMES = NickNamer()
_TITLES = word_set("sir dr mr mrs ms lord lady dame prof professor saint st president king queen")
_SUFFIXES = word_set("jr sr")
_PARTICLES = word_set("de da di du la le van von der den del bin al el")
_CONNECTIVES = word_set("and or of the in is was by with s")
_NAME = r"[A-ZÀ-Þ][\w.'’-]*"
_PERSON = re.compile(
    rf"{_NAME}(?:\s+(?:(?:de|da|di|du|la|le|van|von|der|den|del)\s+)*{_NAME}){{1,4}}"
)


@lru_cache(maxsize=65536)
def person(answer: str) -> tuple[str, ...] | None:
    """Return the names of an answer that may be a person, titles dropped; None for other answers.

    >>> person("Sir David Joseph Madden"), person("the second season")
    (('david', 'joseph', 'madden'), None)
    """
    if not _PERSON.fullmatch(answer.strip()):
        return None
    parts = re.findall(r"[^\W\d_]+", fold(answer).replace("'", "").replace("’", ""))
    parts = [part for part in parts if part not in _TITLES]
    while parts and parts[-1] in _SUFFIXES:
        parts.pop()
    return tuple(parts) if len(parts) > 1 and len(parts[-1]) > 2 else None


@lru_cache(maxsize=65536)
def same_first_name(one: str, two: str) -> bool:
    """Say whether two first names, folded, may be one person's: equal, a nickname or an initial.

    >>> same_first_name("dave", "david"), same_first_name("d", "david"), same_first_name("al", "bo")
    (True, True, False)
    """
    if one == two or (1 in (len(one), len(two)) and one[0] == two[0]):
        return True
    known = _NAMES.nicknames_of(one) | _NAMES.canonicals_of(one)
    return two in known or bool(_NAMES.canonicals_of(one) & _NAMES.canonicals_of(two))


@lru_cache(maxsize=65536)
def is_first_name(name: str) -> bool:
    """Say whether a name, folded, is an English first name or nickname, or an initial.

    >>> is_first_name("bob"), is_first_name("southern")
    (True, False)
    """
    return len(name) == 1 or bool(_NAMES.nicknames_of(name) or _NAMES.canonicals_of(name))


def names_person(names: Sequence[str], tokens: Sequence[str]) -> int:
    """Return where in a text, in folded words, a person is named by first and last name; or -1.

    >>> names_person(("david", "joseph", "madden"), ["it", "is", "dave", "madden"])
    2
    """
    last = names[-1]
    for place in range(1, len(tokens)):
        if tokens[place] != last:
            continue
        before = list(tokens[max(0, place - 3) : place])
        for offset, word in enumerate(before):
            others = before[offset + 1 :]
            given = names[1:-1]
            fits = all(_among(other, given) or other in _PARTICLES for other in others)
            if fits and same_first_name(word, names[0]):
                return place - len(before) + offset
    return -1


def _among(word: str, given: Sequence[str]) -> bool:
    if not given:
        return len(word) == 1 or word not in _CONNECTIVES
    return any(same_first_name(word, name) for name in given)
