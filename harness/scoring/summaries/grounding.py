"""What a text states that its source does not: figures, dates and names.

A figure is there in whatever form the source writes it ("1.58 billion" for 1,577 million); small
counts ("two men") are compared only with counts of the same thing. A date is there if its day and
month stand together, and its year anywhere. A name is there if its words are, or the person by
another first name, or what it abbreviates. Names are not looked for in German, which writes every
noun with a capital, nor in a text that is in another language than its source.

What is found here is almost surely not in the source. What is not found may still be wrong: a
figure of another thing, a claim turned round, anything in small letters.
"""

import re
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import NamedTuple

from harness.scoring.answer_languages import fold, language_of, word_set
from harness.scoring.answer_words import IDLE, answer_words, stem
from harness.scoring.calendar_dates import MONTHS, Date, dates
from harness.scoring.person_names import names_person, person
from harness.scoring.quantities import Quantity, agree, quantities, spell_out

_NAME = r"[A-ZÀ-Þ][\w'’&-]+"
_LINKS = r"(?:(?:de|da|di|du|la|le|van|von|der|den|of)\s+)"
_RUN = re.compile(rf"(?<![\w-]){_NAME}(?:\s+{_LINKS}*{_NAME})*")
_STARTS = re.compile(r"(?:^|[.!?:;\n\"“”(]|^\s*[-•*])\s*$", re.MULTILINE)
_NUMBERED = re.compile(r"^\s*(?:\d{1,2}[.)]|[-•*])\s+", re.MULTILINE)
_PARTICLE = re.compile(rf"^{_LINKS}+")
_SMALL = 10
_NO_NAMES = word_set(
    """
    i mr mrs ms dr prof sir president minister king queen overall however summary document text
    monday tuesday wednesday thursday friday saturday sunday lundi mardi mercredi jeudi vendredi
    samedi dimanche lunes martes miercoles jueves viernes sabado domingo
    """
)
_LONGEST = 8000


class Ungrounded(NamedTuple):
    """What a text has and its source lacks."""

    figures: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is anything."""
        return bool(self.figures or self.dates or self.names)


def ungrounded(source: str, said: str) -> Ungrounded:
    """Return the figures, dates and names of a text that its source does not have.

    >>> text = "On 3 May 2021 Ann Lee opened a shop with twelve people in Graz."
    >>> ungrounded(text, "Ann Lee and Bo Yu opened it on May 3 with 15 people.")
    Ungrounded(figures=('15 people',), dates=(), names=('Bo Yu',))
    """
    language = language_of("", source)
    code = language.code if language else ""
    own = language_of("", said)
    nouns_are_names = code in {"de", "zh", ""} or own is None or own.code != code
    said = _NUMBERED.sub("", said[:_LONGEST])
    known, stated = dates(source), dates(said)
    lacking = [date for date in stated if date.month and not _dated(date, known)]
    parts = {Decimal(part) for date in stated if date.month for part in date if part}
    return Ungrounded(
        figures=_figures(source, said, code or "en", parts),
        dates=tuple(dict.fromkeys(map(_told, lacking))),
        names=() if nouns_are_names else _names(source, said),
    )


def _dated(date: Date, known: Sequence[Date]) -> bool:
    """Say whether a date's day and month stand together in the source, and its year anywhere."""
    day = any(
        one.month == date.month and (date.day is None or one.day in (None, date.day))
        for one in known
    )
    return day and (date.year is None or any(one.year == date.year for one in known))


def _told(date: Date) -> str:
    return "-".join(f"{part:02d}" for part in date if part)


def _figures(source: str, said: str, code: str, of_dates: Collection[Decimal]) -> tuple[str, ...]:
    known, text = quantities(spell_out(source, code), code), spell_out(said, code)
    nouns = {stem(one.noun) for one in known if one.noun}
    found = [
        text[one.start : one.end].strip(" .,()")
        for one in quantities(text, code)
        if one.value not in of_dates
        and not any(agree(other, one) or other.value == one.value for other in known)
        and (not _is_count(one) or (one.noun and stem(one.noun) in nouns))
    ]
    return tuple(dict.fromkeys(found))


def _is_count(one: Quantity) -> bool:
    """Tell a small number of things, which a summary may count itself, from a figure."""
    measured = one.currency or one.percent or one.unit or one.scaled or one.value < 0
    return not measured and one.value == int(one.value) and one.value <= _SMALL


def _names(source: str, said: str) -> tuple[str, ...]:
    words = said.split()
    if sum(word[:1].isupper() for word in words) * 2 > len(words) > 4:
        return ()  # a heading, of which any word has a capital
    tokens = answer_words(source)
    held = {*tokens, *map(stem, tokens)}
    initials = "".join(token[0] for token in tokens)
    found = []
    for match in _RUN.finditer(said):
        name = match.group()
        if _STARTS.search(said[: match.start()][-40:]):
            first, _, rest = name.partition(" ")
            if not _held(first, held):
                name = _PARTICLE.sub("", rest)
        if name and not _is_there(name, tokens, held, initials):
            found.append(name)
    return tuple(dict.fromkeys(found))


def _is_there(name: str, tokens: Sequence[str], held: Collection[str], initials: str) -> bool:
    """Say whether the source has a name: its words, the person, or what it abbreviates."""
    if all(_held(word, held) or _abbreviates(word, initials) for word in name.split()):
        return True
    names = person(name)
    return names is not None and names_person(names, tokens) >= 0


def _held(name: str, held: Collection[str]) -> bool:
    """Say whether a word of a name is a word of the source, in another ending at most."""
    for word in answer_words(name):
        known = word in IDLE or word in _NO_NAMES or fold(word) in MONTHS
        idle = known or any(mark.isdigit() for mark in word)
        if idle or word in held or stem(word) in held:
            continue
        root = word[: max(4, len(word) - 3)]
        if len(word) < 5 or not any(other.startswith(root) for other in held):
            return False
    return True


def _abbreviates(name: str, initials: str) -> bool:
    """Say whether a name is the initials of words that follow each other: UN, MRI, MRIs."""
    short = name.removesuffix("s")
    return 2 <= len(short) <= 6 and short.isupper() and short.lower() in initials
