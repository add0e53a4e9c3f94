"""What an accepted answer is (a date, a number, a person, words), and where a sentence states it.

People who judge answers do not ask for the same letters: a date may be told in another order, a
person by a nickname, a number by its words or in millions, a phrase by most of its words. Each way
in which an answer may be stated is one function here, tried from the strictest.
"""

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

SHARE = 2 / 3
"""The share of the words of an accepted answer that must be said; all of them of one or two."""

_JOINED = 7
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|long|far|old|tall|big|high|fast|large|often|deep|wide)\b"
    r"|\bwhat (?:is|was|were|are)? ?(?:the )?(?:\w+ ){0,6}(?:percentage|percent|number|ratio|rate"
    r"|amount|value|price|cost|total|margin|growth|change|revenue|income|age|height|length|weight"
    r"|population)\b",
    re.IGNORECASE,
)
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


def occurrence(gold: Accepted, said: Sentence, question: str, asked: frozenset[str]) -> int | None:
    """Return the index of the word at which a sentence states an accepted answer; None if not.

    Args:
        gold: The accepted answer.
        said: The sentence.
        question: The question, which may name a scale ("in millions").
        asked: The stems of the question's words, which an answer need not repeat.
    """
    if gold.date is not None and (gold.date.month or gold.date.day):
        hit = any(calendar_dates.agree(gold.date, date) for date in said.dates)
        return 0 if hit else None
    if gold.number is not None and _is_numeric(gold, question, asked):
        return _number_place(gold.number, said, question)
    if gold.idle:
        return 0 if list(gold.words) == said.words else None
    place = _run(gold.words, said.words)
    if place is None and gold.person is not None:
        found = person_names.names_person(gold.person, said.words)
        place = found if found >= 0 else None
    if place is None:
        place = _covered(gold, said, asked)
    if place is None and gold.initials:
        place = _acronym(gold.initials, said)
    return place


def _is_numeric(gold: Accepted, question: str, asked: frozenset[str]) -> bool:
    """Say whether the number alone is the answer, and a word that follows it its noun."""
    number = gold.number
    if number is None:
        return False
    rest = [word for word in gold.telling if not word.lstrip("-").replace(".", "").isdigit()]
    known = number.unit or number.currency or number.percent or number.scaled
    return bool(not rest or known or asked.issuperset(rest) or _ASKS_NUMBER.search(question))


def _number_place(gold: Quantity, said: Sentence, question: str) -> int | None:
    for number in said.numbers:
        if quantities.agree(gold, number, question):
            return len(answer_words(said.text[: number.start]))
    return None


def other_unit(gold: Accepted, said: Sentence, question: str) -> bool:
    """Say whether a sentence gives the right number with another unit, currency or direction."""
    number = gold.number
    return number is not None and any(
        quantities.same_number(number, found, question) for found in said.numbers
    )


def _run(wanted: tuple[str, ...], given: list[str]) -> int | None:
    if not wanted:
        return None
    start = -1
    for _ in range(given.count(wanted[0])):
        start = given.index(wanted[0], start + 1)
        if tuple(given[start : start + len(wanted)]) == wanted:
            return start
    return None


def _covered(gold: Accepted, said: Sentence, asked: frozenset[str]) -> int | None:
    """Return the first of the answer's words where enough of them are said."""
    given = said.stems
    held = set(given)
    if gold.items:
        if all(held.issuperset(set(item) - asked or item) for item in gold.items):
            return next((i for i, word in enumerate(given) if word in gold.items[0]), 0)
        return None
    wanted = [word for word in gold.telling if word not in asked]
    if not wanted:
        return _run(tuple(stems(gold.words)), given)
    if any("\u3040" <= word < "\ua000" for word in wanted):  # characters are no words
        return None
    numbers = [word for word in wanted if word[-1:].isdigit()]
    present = [word for word in wanted if word in held]
    enough = len(present) == len(wanted) or (
        len(wanted) > 2 and len(present) / len(wanted) >= SHARE - 1e-9
    )
    if enough and held.issuperset(numbers):
        return next(i for i, word in enumerate(given) if word in present)
    return _joined(wanted, given)


def _joined(wanted: list[str], given: list[str]) -> int | None:
    """Return where words are written as one, or one as several: sea shells, seashells."""
    whole = "".join(wanted)
    if len(whole) < _JOINED:
        return None
    for place, word in enumerate(given):
        if word == whole:
            return place
        if whole.startswith(word) and any(
            "".join(given[place : place + n]) == whole for n in (2, 3)
        ):
            return place
    return None


_CAPITALS = re.compile(r"\b[A-Z](?:\.?[A-Z]){1,5}\b\.?")


def _acronym(initials: str, said: Sentence) -> int | None:
    for match in _CAPITALS.finditer(said.text):
        if match[0].replace(".", "") == initials:
            return len(answer_words(said.text[: match.start()]))
    return None
