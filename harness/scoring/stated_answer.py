"""Where a sentence states an accepted answer: as a date, a number, a person or by its words.

People who judge answers do not ask for the same letters: a date may be told in another order, a
person by a nickname, a number by its words or in millions, a phrase by most of its words. Each way
in which an answer may be stated is one function here, tried from the strictest.
"""

import re
from math import ceil

from harness.scoring import calendar_dates, person_names, quantities
from harness.scoring.accepted_answer import Accepted, Sentence
from harness.scoring.answer_words import answer_words, stems
from harness.scoring.quantities import Quantity

SHARE = 2 / 3
"""The share of the words of an accepted answer that must be said; all of them of one or two."""

_FEW = 2
_JOINED = 7
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|long|far|old|tall|big|high|fast|large|often|deep|wide)\b"
    r"|\bwhat (?:is|was|were|are)? ?(?:the )?(?:\w+ ){0,6}(?:percentage|percent|number|ratio|rate"
    r"|amount|value|price|cost|total|margin|growth|change|revenue|income|age|height|length|weight"
    r"|population)\b",
    re.IGNORECASE,
)


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
        return _number_place(gold.number, said, question, asked)
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


def _number_place(
    gold: Quantity, said: Sentence, question: str, asked: frozenset[str]
) -> int | None:
    """Return where a number is said that agrees; one that the question holds, too, is no answer.

    "There are 22 in season 7" does not say 7 where "season 7" is what the question asked about.
    """
    for number in said.numbers:
        if quantities.agree(gold, number, question):
            place = len(answer_words(said.text[: number.start]))
            repeated = len(said.numbers) > 1 and asked.issuperset(said.stems[place - 1 : place + 1])
            if place == 0 or not repeated:
                return place
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
    if _other_number(gold, given, asked):
        return None
    numbers = [word for word in wanted if word[-1:].isdigit()]
    present = [word for word in wanted if word in held]
    named = gold.person is not None and person_names.is_first_name(gold.person[0])
    if named and not _together(wanted, given):
        return None
    if len(present) >= _needed(wanted) and held.issuperset(numbers):
        return next(i for i, word in enumerate(given) if word in present)
    return _joined(wanted, given)


def _other_number(gold: Accepted, given: list[str], asked: frozenset[str]) -> bool:
    """Say whether another number stands where the answer repeats one of the question's.

    Asked for the code of room 12, "B-7" is not "B-12", though the question said 12.
    """
    repeated = {word for word in gold.telling if word in asked and word[-1:].isdigit()}
    others = (word for word in given if word[-1:].isdigit() and word not in asked)
    return not repeated.issubset(given) and any(word not in gold.words for word in others)


def _needed(wanted: list[str]) -> int:
    """Return how many of an answer's words must be said."""
    return len(wanted) if len(wanted) <= _FEW else ceil(SHARE * len(wanted) - 1e-9)


def _together(wanted: list[str], given: list[str]) -> bool:
    """Say whether enough names stand next to each other, in any order."""
    places = [i for i, word in enumerate(given) if word in wanted]
    return any(
        len({given[i] for i in places if start <= i <= start + len(wanted)}) >= _needed(wanted)
        for start in places
    )


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
