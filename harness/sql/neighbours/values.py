"""Single values for neighbour rows: satisfying a condition, just missing it, or any."""

import json
import random
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta

from sqlglot import exp

from harness.sql.execute.column_stats import Kind
from harness.sql.execute.messages import Cell, Cells
from harness.sql.neighbours.inverse import UnknownValueError, evaluate, moment, preimages
from harness.sql.neighbours.predicates import Condition
from harness.sql.neighbours.profile import ColumnProfile

OTHER_CASE = 0.3
"""Share of the texts made for a LIKE pattern that are written in the other case."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS = ("alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "theta")
_TIMES = (" 00:00:00", " 14:30:00")
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
    if column.kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if column.kind in {"int", "real"} and isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                return float(value)
            except ValueError:
                return value
    return value


def has_times(column: ColumnProfile) -> bool:
    """Tell whether the dates of a column have a time of day."""
    return column.kind == "date" and bool(column.pool) and all(
        len(str(value)) > 10 for value in column.pool
    )  # fmt: skip


def satisfying(
    condition: Condition, column: ColumnProfile, pool: Sequence[Cell], rng: random.Random
) -> Cell:
    """Return a value that the condition accepts (None for ``IS NULL``)."""
    return _aimed(_accepted, condition, column, pool, rng)


def missing(
    condition: Condition, column: ColumnProfile, pool: Sequence[Cell], rng: random.Random
) -> Cell:
    """Return a value just beyond what the condition accepts."""
    return _aimed(_refused, condition, column, pool, rng)


Choice = Callable[[Condition, ColumnProfile, Sequence[Cell], random.Random], Cell]


def _aimed(
    choose: Choice,
    condition: Condition,
    column: ColumnProfile,
    pool: Sequence[Cell],
    rng: random.Random,
) -> Cell:
    """Choose a value, through what stands around the column if something does."""
    if condition.side is None:
        value = choose(condition, column, pool, rng)
        bare = isinstance(value, str) and len(value) == 10 and has_times(column)
        return str(value) + rng.choice(_TIMES) if bare else value
    base = rng.choice([value for value in pool if value is not None] or [None])
    image = _image(condition, column)
    goal = choose(replace(condition, side=None), image, image.pool, rng)
    found = _through(condition, column, [goal], base)
    return rng.choice(found) if found else base


def _image(condition: Condition, column: ColumnProfile) -> ColumnProfile:
    """Profile the values of the expression around a column."""
    kinds: dict[type, Kind] = {str: "text", float: "real", int: "int"}
    kind: Kind = next((kinds[type(value)] for value in condition.values), "text")
    if kind == "text" and all(_DATE.fullmatch(str(value)) for value in condition.values):
        kind = "date"
    pool = []
    for value in column.pool[:8]:
        with suppress(UnknownValueError):
            pool.append(evaluate(condition.side or exp.null(), {condition.column: value}))
    return replace(column, kind=kind, pool=tuple(pool), closed=False, unique=False)


def _through(
    condition: Condition, column: ColumnProfile, goals: Sequence[Cell], base: Cell
) -> list[Cell]:
    """Return column values for which the expression around it comes out at the goals."""
    side = condition.side
    if side is None:
        return list(goals)
    if base is None:
        base = fallback_pool(column)[0]
    rounds = any(isinstance(node, exp.Mul | exp.Div) for node in side.walk())
    found: list[Cell] = []
    for goal in goals:
        exact = [goal]
        if rounds and isinstance(goal, int | float):  # on the spot, rounding would decide
            exact = [goal * 0.99, goal * 1.01]
        for wanted in exact:
            found += preimages(side, condition.column, wanted, {condition.column: base})
    if column.kind == "date":
        found = [value for value in found if value is None or _is_date(value)]
    return [fit(rounded(value, column), column) for value in found]


def _is_date(value: Cell) -> bool:
    with suppress(ValueError):
        return bool(moment(str(value))) and len(str(value)) >= 10
    return False


def rounded(value: Cell, column: ColumnProfile) -> Cell:
    """Return a computed number as precise as a column's numbers are."""
    if not isinstance(value, float) or value.is_integer():
        return value
    return round(value) if column.kind == "int" else round(value, 4)


def _accepted(
    condition: Condition, column: ColumnProfile, pool: Sequence[Cell], rng: random.Random
) -> Cell:
    values = [fit(value, column) for value in condition.values]
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


def _refused(
    condition: Condition, column: ColumnProfile, pool: Sequence[Cell], rng: random.Random
) -> Cell:
    values = [fit(value, column) for value in condition.values]
    if not values:
        return None if condition.op == "not null" else rng.choice(list(pool) or [None])
    if condition.op in {">", "<"}:
        back = step(values[0], -1 if condition.op == ">" else 1)
        return rng.choice((values[0], values[0], back))
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
    if condition.side is not None:
        return _wrapped_boundary(condition, column)
    values = [fit(value, column) for value in condition.values]
    if condition.op.endswith(("like", "glob")):
        if column.kind == "date":
            return dates_like(_pattern(condition), column)
        core = _pattern(condition).replace("%", "").replace("_", "a")
        return [core, f"x{core}", f"{core}x", f"x{core}x", other_case(core)]
    if column.closed:
        return list(values)
    if condition.op in {"null", "not null"}:
        return [""] if column.kind == "text" else []
    near = [
        beside
        for value in values
        for beside in (value, step(value, 1), step(value, -1), *other_years(value))
    ]
    if not has_times(column):
        return near
    return [str(v) + time if len(str(v)) == 10 else v for v in near for time in _TIMES]


def _wrapped_boundary(condition: Condition, column: ColumnProfile) -> list[Cell]:
    """Return values at the boundary of a condition on an expression, and what looks like them."""
    base = next((value for value in column.pool if value is not None), None)
    image = _image(condition, column)
    goals = boundary(replace(condition, side=None), image)
    found = _through(condition, column, goals, base)
    if column.kind == "date":
        found += [other for value in found[:3] for other in (*other_years(value), *_swapped(value))]
    elif column.kind == "text":
        texts = [value for value in condition.values if isinstance(value, str)]
        found += [other for text in texts for other in (text, f"x {text}", other_case(text))]
        lengths = [value for value in found if isinstance(value, str) and len(value) < 100]
        found = [*found, *lengths[:1]]
    return list(dict.fromkeys(found))[:16]


def _swapped(value: Cell) -> list[str]:
    """Return a date with its day and its month exchanged.

    >>> _swapped("2021-03-05")
    ['2021-05-03']
    """
    text = str(value)
    if not _DATE.match(text) or int(text[8:10]) > 12:
        return []
    return [f"{text[:5]}{text[8:10]}-{text[5:7]}{text[10:]}"]


def dates_like(pattern: str, column: ColumnProfile) -> list[Cell]:
    """Return dates of which some match a LIKE pattern, its digits as year, month or day.

    Empty where the pattern is the beginning of a date: `from_pattern` completes it.
    """
    if not pattern.startswith("%"):
        return []
    known = [str(value) for value in column.pool if _DATE.match(str(value))] or list(_DATES)
    parts = re.findall(r"\d+", pattern)
    found: list[Cell] = []
    for text in known[:3]:
        for part in parts:
            if len(part) == 4:
                found.append(part + text[4:])
            elif len(part) == 2:
                found += [f"{text[:5]}{part}{text[7:]}", f"{text[:8]}{part}{text[10:]}"]
    return found


def is_foreign(condition: Condition, column: ColumnProfile) -> bool:
    """Tell whether a condition names a text with signs that no value of the column has.

    A person called ``'; DROP TABLE emp'`` is no evidence against a query that leaves him out.
    """
    known = {sign for value in column.pool for sign in str(value)}
    if not known or condition.op.endswith(("like", "glob")) or condition.wrapped:
        return False
    texts = [value for value in condition.values if isinstance(value, str)]
    signs = {sign for text in texts for sign in text if not (sign.isalnum() or sign.isspace())}
    return column.kind == "text" and not signs <= known | set("-'.")


def number_texts(column: ColumnProfile) -> list[Cell]:
    """Return numbers of other lengths for a text column that holds only numbers, but no years.

    >>> from harness.sql.neighbours.profile import ColumnProfile
    >>> number_texts(ColumnProfile(name="no", kind="text", pool=("12", "35"), nullable=False,
    ...     unique=False, closed=False))
    ['012', '9', '100', '35']
    """
    texts = [value for value in column.pool if isinstance(value, str)]
    if column.kind != "text" or not texts or not all(t.isascii() and t.isdigit() for t in texts):
        return []
    if all(len(text) == 4 and text[:2] in {"19", "20"} for text in texts):
        return []
    return [f"0{texts[0]}", "9", "100", texts[-1]]


def documents(column: ColumnProfile, constants: Sequence[Cell]) -> list[Cell]:
    """Return variants of a column's JSON documents: constants in their leaves, lists turned round.

    Empty for a column that holds none.
    """
    found: list[Cell] = []
    for text in [value for value in column.pool if isinstance(value, str)][:4]:
        if text[:1] not in {"{", "["}:
            return []
        try:
            document = json.loads(text)
        except ValueError:
            return []
        variants = _variants(document, constants)
        found += [json.dumps(variant, separators=(",", ":")) for variant in variants]
    return list(dict.fromkeys(found))[:24]


def _variants(value: object, constants: Sequence[Cell]) -> list[object]:
    """Return a JSON value with one part of it changed at a time."""
    if isinstance(value, dict):
        return [{**value, key: new} for key in value for new in _variants(value[key], constants)]
    if isinstance(value, list):
        texts = [c for c in constants if isinstance(c, str)]
        return [value[::-1], value[1:], *([*value, text] for text in texts)]
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        numbers = [c for c in constants if isinstance(c, int | float)]
        return [near for n in numbers for near in (n, n + 1, n - 1)]
    return [text.strip("%") for text in constants if isinstance(text, str)]


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
    if column.kind == "date" and pattern.startswith("%"):
        dates = [str(value) for value in dates_like(pattern, column)]
        return rng.choice(dates or list(_DATES))
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
