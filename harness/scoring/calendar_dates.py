"""Dates in text as year, month and day, and when two agree."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from harness.scoring.answer_languages import ENGLISH, FRENCH, GERMAN, SPANISH, fold

MONTHS: Mapping[str, int] = {
    **FRENCH.months,
    **SPANISH.months,
    **GERMAN.months,
    **ENGLISH.months,
}
_MONTH = rf"(?P<month>{'|'.join(sorted(MONTHS, key=len, reverse=True))})\b\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.)?"
_YEAR = r"(?P<year>\d{4})"
_OF = r"(?:\s+(?:of|de|del))?"
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"\b{_DAY}{_OF}\s+{_MONTH}(?:,?{_OF}\s+{_YEAR}\b)?",
        rf"\b{_MONTH}\s+{_DAY}(?:,?\s+{_YEAR})?\b(?!\s*(?:million|percent|%))",
        rf"\b{_MONTH},?{_OF}\s+{_YEAR}\b",
        rf"\b{_YEAR}[-/]\s?(?P<month>\d{{1,2}})[-/](?P<day>\d{{1,2}})\b",
        rf"{_YEAR}\s?年(?:\s?(?P<month>\d{{1,2}})\s?月(?:\s?(?P<day>\d{{1,2}})\s?[日号])?)?",
    )
)
_SLASHED = re.compile(r"\b(\d{1,2})[/.](\d{1,2})[/.](\d{4})\b")
_YEAR_ALONE = re.compile(r"(?<![\w.,$€£-])(\d{4})(?![\w,]\d|[%\w])")
_IDLE = re.compile(r"^(?:on|in|since|by|until|from|about|circa|c\.?|the|am|im|en|le|el|seit)\s+")


class Date(NamedTuple):
    """What is stated of a date; None for a part that is not."""

    year: int | None
    month: int | None
    day: int | None


def dates(text: str) -> list[Date]:
    """Return the dates of a text, and its bare years.

    >>> dates("It ended on November 22, 1914, not in 1915.")
    [Date(year=1914, month=11, day=22), Date(year=1915, month=None, day=None)]
    """
    plain = fold(text)
    found: list[Date] = []
    for form in _FORMS if not plain.isascii() or _has_month(plain) or "-" in plain else ():
        for match in form.finditer(plain):
            date = _date(match.groupdict())
            if date is not None:
                found.append(date)
        plain = form.sub(" ", plain)
    for match in _SLASHED.finditer(plain):
        one, two, year = map(int, match.groups())
        pairs = ((one, two), (two, one))
        found += [Date(year, month, day) for month, day in pairs if month <= 12 and day <= 31]
    plain = _SLASHED.sub(" ", plain)
    years = [int(match[1]) for match in _YEAR_ALONE.finditer(plain)]
    return [*found, *(Date(year, None, None) for year in years if 1000 <= year <= 2100)]


_NAMED = re.compile(rf"\b{_MONTH.replace('?P<month>', '?:')}")


def _has_month(plain: str) -> bool:
    return _NAMED.search(plain) is not None


def _date(parts: Mapping[str, str | None]) -> Date | None:
    name, day, year = parts.get("month"), parts.get("day"), parts.get("year")
    month = None if name is None else int(name) if name.isdigit() else MONTHS[name]
    if (month or 1) > 12 or not 1 <= int(day or 1) <= 31:
        return None
    return Date(int(year) if year else None, month, int(day) if day else None)


@lru_cache(maxsize=65536)
def whole_date(answer: str) -> Date | None:
    """Return the date that an answer is, and nothing but it; None where it says more.

    >>> whole_date("22 November 1914"), whole_date("the May 1914 election")
    (Date(year=1914, month=11, day=22), None)
    """
    plain = _IDLE.sub("", fold(answer).strip(" .,"))
    for form in (*_FORMS, _SLASHED):
        match = form.fullmatch(plain)
        if match is not None:
            found = dates(answer)
            return found[0] if found else None
    return None


def agree(gold: Date, said: Date) -> bool:
    """Say whether the parts that both state are equal.

    >>> day = Date(1914, 11, 22)
    >>> agree(day, Date(1914, 11, None)), agree(day, Date(1914, 1, 22))
    (True, False)
    """
    shared = [(a, b) for a, b in zip(gold, said, strict=True) if None not in (a, b)]
    return bool(shared) and all(a == b for a, b in shared)
