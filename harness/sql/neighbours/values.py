"""Single values for neighbour rows: satisfying a condition, just missing it, or any."""

import random
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta

from harness.sql.execute.messages import Cell, Cells
from harness.sql.neighbours.predicates import Condition
from harness.sql.neighbours.profile import ColumnProfile

OTHER_CASE = 0.3
"""Share of the texts made for a LIKE pattern that are written in the other case."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS = ("alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "theta")
_DATES = ("2018-01-15", "2019-03-01", "2020-02-29", "2020-05-10", "2021-07-20", "2022-12-31")


def fresh(column: ColumnProfile, number: int, rng: random.Random) -> Cell:
    """Make up a value; ``number`` keeps those of a unique column apart."""
    if column.kind == "int":
        return number if column.unique else rng.randint(0, 9)
    if column.kind == "real":
        return number + 0.5 if column.unique else rng.randint(0, 40) / 4
    if column.kind == "date":
        return f"{2010 + number % 15}-{1 + number % 12:02d}-{1 + number % 28:02d}"
    if column.kind == "blob":
        return bytes([number % 256])
    if column.pool and column.unique:
        return str(rng.choice(column.pool)) + f" {number}"
    return f"{rng.choice(_WORDS)}{number if column.unique else ''}"


def fallback_pool(column: ColumnProfile) -> Cells:
    """Return values for a column of which the database holds none."""
    pools: dict[str, Cells] = {
        "int": (0, 1, 2, 3, 5, 8), "real": (0.5, 1.0, 2.25, 3.75, 10.0), "date": _DATES,
        "blob": (b"\x00", b"\x01"), "text": _WORDS,
    }  # fmt: skip
    return pools[column.kind]


def thin(column: ColumnProfile) -> bool:
    """Tell whether a database shows too few values of a column to draw from."""
    return len(column.pool) < 4 and not column.closed


def fit(value: Cell, column: ColumnProfile) -> Cell:
    """Give a constant of the query the storage class that the column's values have."""
    if column.kind in {"text", "date"} and isinstance(value, int | float):
        return str(value)
    if column.kind in {"int", "real"} and isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                return float(value)
            except ValueError:
                return value
    return value


def satisfying(
    condition: Condition, column: ColumnProfile, pool: Sequence[Cell], rng: random.Random
) -> Cell:
    """Return a value that the condition accepts (None for ``IS NULL``)."""
    values = [fit(value, column) for value in condition.values]
    if condition.wrapped:
        return wrapped(values, column, pool, rng)
    if condition.op in {"=", "in", "<=", ">="}:
        return rng.choice(values)
    if condition.op in {">", "<"}:
        return step(values[0], 1 if condition.op == ">" else -1)
    if condition.op == "between":
        return rng.choice([*values, _middle(values)])
    if condition.op in {"like", "glob"}:
        return from_pattern(_pattern(condition), column, pool, rng, fold=condition.op == "like")
    if condition.op == "null":
        return None
    if condition.op == "not between":
        return step(values[0], -1)
    others = [value for value in pool if value is not None and value not in values]
    return rng.choice(others) if others else step(values[0], 1) if values else None


def missing(
    condition: Condition, column: ColumnProfile, pool: Sequence[Cell], rng: random.Random
) -> Cell:
    """Return a value just beyond what the condition accepts."""
    values = [fit(value, column) for value in condition.values]
    if condition.wrapped or not values:
        return None if condition.op == "not null" else rng.choice(list(pool) or [None])
    if condition.op in {">", "<"}:
        return values[0]
    if condition.op in {">=", "<="}:
        return step(values[0], -1 if condition.op == ">=" else 1)
    if condition.op == "between":
        years = [year for value in values for year in other_years(value)]
        return rng.choice([step(values[0], -1), step(values[1], 1), *years])
    if condition.op in {"!=", "not in", "not between"}:
        return rng.choice(values)
    if condition.op in {"not like", "not glob"}:
        return from_pattern(_pattern(condition), column, pool, rng, fold=condition.op == "not like")
    others = [value for value in pool if value is not None and value not in values]
    if column.closed or (condition.op in {"like", "glob"} and column.kind == "date"):
        return rng.choice(others or values)
    if condition.op in {"like", "glob"}:
        return rng.choice([*_near_pattern(condition, rng), *others[:3]])
    return rng.choice([step(values[0], 1), step(values[0], -1), *others[:4]])


def boundary(condition: Condition, column: ColumnProfile) -> list[Cell]:
    """Return the constants of a condition and what lies right beside them."""
    values = [fit(value, column) for value in condition.values]
    if condition.op.endswith(("like", "glob")):
        if column.kind == "date":
            return []
        core = _pattern(condition).replace("%", "").replace("_", "a")
        return [core, f"x{core}", f"{core}x", f"x{core}x", other_case(core)]
    if condition.wrapped or column.closed:
        return [] if condition.wrapped else values
    if condition.op in {"null", "not null"}:
        return [""] if column.kind == "text" else []
    return [
        near
        for value in values
        for near in (value, step(value, 1), step(value, -1), *other_years(value))
    ]


def step(value: Cell, direction: int) -> Cell:
    """Return the nearest larger or smaller value of the same kind.

    >>> step(5, 1), step("2020-01-01", -1), step("abc", 1)
    (6, '2019-12-31', 'abcx')
    """
    if isinstance(value, int):
        return value + direction
    if isinstance(value, float):
        return value + direction * max(0.5, abs(value) / 64)
    if isinstance(value, bytes):
        return value + b"x"
    text = str(value)
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return str(int(text) + direction)
    if _DATE.match(text):
        with suppress(ValueError, OverflowError):
            day = date.fromisoformat(text[:10]) + timedelta(days=direction)
            return day.isoformat() + text[10:]
    if direction > 0:
        return text + "x"
    if not text:
        return " "  # nothing is smaller than the empty text
    lower = ord(text[-1]) - 1
    if 0xD800 <= lower <= 0xDFFF:  # surrogates are no characters of a text
        lower = 0xD7FF
    return text[:-1] + chr(lower) if lower >= 33 else text[:-1]


def other_years(value: Cell) -> list[str]:
    """Return a date's day in the year before and after: a month is not a month of one year.

    >>> other_years("2024-02-29"), other_years("spring")
    (['2023-02-28', '2025-02-28'], [])
    """
    text = str(value)
    if not _DATE.match(text) or not 1 < int(text[:4]) < 9999:
        return []
    rest = text[4:].replace("-02-29", "-02-28", 1)
    return [f"{int(text[:4]) + years:04d}{rest}" for years in (-1, 1)]


def other_case(text: str) -> str:
    """Write a text in lower case, or in upper if it is: the letters A to Z, as LIKE folds no other.

    >>> other_case("Åsa B"), other_case("åsa b")
    ('Åsa b', 'åSA B')
    """
    lower = "".join(c.lower() if c.isascii() else c for c in text)
    return lower if lower != text else "".join(c.upper() if c.isascii() else c for c in text)


def from_pattern(
    pattern: str, column: ColumnProfile, pool: Sequence[Cell], rng: random.Random, *, fold: bool
) -> str:
    """Return a text that a pattern accepts; a date stays one.

    ``fold`` lets it be in the other case at times: LIKE accepts that, GLOB and ``=`` do not.
    """
    core = pattern.rstrip("%")
    if column.kind == "date" and "%" not in core:
        dates = [str(value) for value in pool if isinstance(value, str)]
        return core + (rng.choice(dates)[len(core) :] if dates else "")
    fill = rng.choice(["", "a", "xy "])
    text = pattern.replace("%", fill)
    text = re.sub("_", lambda _: rng.choice("abz"), text)
    return other_case(text) if fold and not column.closed and rng.random() < OTHER_CASE else text


def _pattern(condition: Condition) -> str:
    """Return a condition's pattern in LIKE's writing, GLOB's sets as their first character."""
    pattern = str(condition.values[0])
    if not condition.op.endswith("glob"):
        return pattern
    pattern = re.sub(r"\[\^?(.)[^]]*\]", r"\1", pattern)
    return pattern.replace("*", "%").replace("?", "_")


def _near_pattern(condition: Condition, rng: random.Random) -> list[str]:
    """Return texts that a pattern just misses: a letter short, reversed, moved, in another case."""
    pattern = _pattern(condition)
    core = pattern.strip("%").replace("%", rng.choice(["", "a"])).replace("_", "a")
    near = [core[:-1] or "z", "x" + core + "x" if "%" not in pattern else core[::-1]]
    if pattern.endswith("%") and not pattern.startswith("%"):
        near.append("x" + core)
    if pattern.startswith("%") and not pattern.endswith("%"):
        near.append(core + "x")
    return [*near, other_case(core)] if condition.op == "glob" else near


def wrapped(
    values: Sequence[Cell], column: ColumnProfile, pool: Sequence[Cell], rng: random.Random
) -> Cell:
    """Guess a value for a column under a function: a constant, or a date in a named year."""
    texts = [str(value) for value in values]
    years = [text for text in texts if re.fullmatch(r"\d{4}", text)]
    if column.kind == "date" and years:
        rests = [str(p)[4:] for p in pool if isinstance(p, str) and len(p) >= 10] or ["-06-15"]
        return rng.choice(years) + rng.choice(rests)
    if column.kind == "text":
        return rng.choice([*texts, *(str(p) for p in pool[:3])])
    return rng.choice([*values, *pool[:3]])


def _middle(values: Sequence[Cell]) -> Cell:
    low, high = values[0], values[-1]
    if isinstance(low, int) and isinstance(high, int):
        return (low + high) // 2
    if isinstance(low, int | float) and isinstance(high, int | float):
        return (low + high) / 2
    if isinstance(low, str) and isinstance(high, str):
        with suppress(ValueError):
            first, last = date.fromisoformat(low), date.fromisoformat(high)
            return (first + (last - first) / 2).isoformat()
    return low
