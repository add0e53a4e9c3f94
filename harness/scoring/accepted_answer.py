"""An accepted answer and a sentence, read: words, dates, numbers, names; each when it is needed."""

import re
from functools import cached_property, lru_cache

from harness.scoring import abstention, calendar_dates, person_names, quantities
from harness.scoring.answer_languages import POLAR, fold
from harness.scoring.answer_words import (
    IDLE,
    answer_words,
    placed_words,
    plain_text,
    stems,
    telling,
)
from harness.scoring.normalize import normalize
from harness.scoring.quantities import Quantity

_AROUND = re.compile(
    r"^(?:(?:about|around|approximately|approx\.?|roughly|nearly|almost|over|under|some|circa|c\."
    r"|~|≈|ungefahr|etwa|environ|unos|unas)\s*)+",
    re.IGNORECASE,
)
_ITEMS = re.compile(r"\s*(?:[;\n]|,(?!\d)|\s+(?:and|und|y|et|&)\s+|[和、])\s*")
_NOUN_WORDS = 3


class Sentence:
    """One statement of a response, read when it is needed.

    Attributes:
        text: As written, number words as digits.
        code: Its language's code.
        plain: Folded.
        words: Its words, folded.
        starts: Where in ``plain`` each begins.
    """

    def __init__(self, text: str, code: str) -> None:
        """Read number words; everything else waits."""
        self.text = quantities.spell_out(text, code)
        self.code = code
        self.plain = plain_text(self.text)
        self.words, self.starts = placed_words(self.plain)

    @cached_property
    def stems(self) -> list[str]:
        """The stems of its words."""
        return stems(self.words)

    @cached_property
    def numbers(self) -> list[Quantity]:
        """Its numbers."""
        return quantities.quantities(self.text, self.code)

    @cached_property
    def dates(self) -> list[calendar_dates.Date]:
        """Its dates."""
        return calendar_dates.dates(self.text)


class Accepted:
    """An accepted answer; what it is is read when it is needed, and once.

    Attributes:
        text: As the row gives it.
        code: The code of the language in which its numbers are read.
    """

    def __init__(self, text: str, code: str) -> None:
        """Keep the text; everything else waits."""
        self.text = text
        self.code = code

    @cached_property
    def normal(self) -> str:
        """Its text as exact match compares it."""
        return normalize(self.text)

    @cached_property
    def spelled(self) -> str:
        """Its text with number words as digits."""
        return quantities.spell_out(self.text.strip(), self.code)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its words, folded."""
        return tuple(answer_words(self.spelled))

    @cached_property
    def polar(self) -> str | None:
        """What it means where it is yes, no, true, false or maybe."""
        return POLAR.get(fold(self.text).strip(" .!\"'")) if len(self.text) < _POLAR else None

    @cached_property
    def date(self) -> calendar_dates.Date | None:
        """The date that it is."""
        return calendar_dates.whole_date(self.spelled) if _DIGIT(self.spelled) else None

    @cached_property
    def number(self) -> Quantity | None:
        """The number that it is, perhaps with a noun."""
        if self.date or not _DIGIT(self.spelled):
            return None
        return _number(self.spelled, self.code)

    @cached_property
    def person(self) -> tuple[str, ...] | None:
        """The names of the person that it may be."""
        return person_names.person(self.text)

    @cached_property
    def telling(self) -> tuple[str, ...]:
        """The stems of the words that carry it."""
        return tuple(stems(telling(self.words)))

    @cached_property
    def items(self) -> tuple[tuple[str, ...], ...]:
        """The stems of each item where it is a list of three or more."""
        parts = [part for part in _ITEMS.split(self.spelled) if part.strip()]
        if len(parts) < 3 or any(len(part.split()) > _ITEM_WORDS for part in parts):
            return ()
        return tuple(tuple(stems(telling(answer_words(part)))) for part in parts)

    @cached_property
    def initials(self) -> str:
        """Its initials, where it is several capitalised words."""
        return _initials(self.text)

    @cached_property
    def idle(self) -> bool:
        """Whether it is only words such as "in" and "it", which stand in any sentence."""
        return IDLE.issuperset(self.words)

    @cached_property
    def abstains(self) -> bool:
        """Whether it says that there is no answer."""
        return abstention.abstains(self.text)


_POLAR = 20
_ITEM_WORDS = 5
_DIGIT = re.compile(r"\d").search

normal = lru_cache(maxsize=65536)(normalize)
"""`normalize`, remembered: an accepted answer is compared with many responses."""

_ASIDE = re.compile(r"\s*\([^()]*\)\s*|\s*\[[^\[\]]*\]\s*")


_EITHER = re.compile(r"\s+or\s+|\s+oder\s+|\s*(?<!\d)/(?!\d)\s*")
_SURNAME_FIRST = re.compile(r"([A-ZÀ-Þ][\w'’-]+), ((?:[A-ZÀ-Þ][\w.'’-]*\s?){1,4})")


@lru_cache(maxsize=65536)
def forms(answer: str, code: str = "en") -> tuple[Accepted, ...]:
    """Return what an accepted answer accepts: itself, without its brackets, each side of an "or".

    >>> [form.text for form in forms("Latex (polymer)")]
    ['Latex (polymer)', 'Latex']
    >>> [form.text for form in forms("Fleming, John Ambrose")][1]
    'John Ambrose Fleming'
    """
    found = [answer]
    if "(" in answer or "[" in answer:
        found.append(_ASIDE.sub(" ", answer).strip())
    sides = _EITHER.split(found[-1])
    found += sides if len(sides) > 1 and all(map(str.strip, sides)) else []
    turned = _SURNAME_FIRST.fullmatch(answer)
    found += [f"{turned[2]} {turned[1]}"] if turned else []
    read = [accepted(text, code) for text in dict.fromkeys(found)]
    return tuple(form for form in read if form.text == answer or (form.words and not form.idle))


@lru_cache(maxsize=65536)
def accepted(answer: str, code: str = "en") -> Accepted:
    """Return an accepted answer, read once for all the responses it is compared with.

    >>> accepted("25 people").number.value, accepted("May 1914").date.year, accepted("No.").polar
    (Decimal('25'), 1914, 'no')
    """
    return Accepted(answer, code)


def _number(text: str, code: str) -> Quantity | None:
    """Return the number that a text is, alone or before a unit or a few words in lower case."""
    plain = _AROUND.sub("", text)
    found = quantities.quantities(plain, code)
    if not found or len(found) > 2:
        return None
    before = re.sub(r"[\s(+−$€£¥₹-]|US|USD|EUR|GBP", "", plain[: found[0].start])
    rest = plain[found[0].end :].strip(" .)%")
    if before or len(found) > 1 or len(rest.split()) > _NOUN_WORDS or any(map(str.isupper, rest)):
        return None
    noun = found[0].noun
    if noun and not (found[0].unit or found[0].currency) and not noun.isascii():
        return None
    return (
        None
        if re.search(r"\d[^\W\d_]", plain[: found[0].end])
        and noun
        and not (found[0].unit or found[0].currency or found[0].scaled)
        else found[0]
    )


def _initials(answer: str) -> str:
    parts = [part for part in re.findall(r"[^\W\d_]+", answer) if part.casefold() not in IDLE]
    if not 2 <= len(parts) <= 6 or not all(part[0].isupper() for part in parts):
        return ""
    return "".join(part[0] for part in parts)
