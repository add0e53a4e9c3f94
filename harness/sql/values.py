"""Single values for neighbour rows: satisfying a condition, just missing it, or any."""

import random
import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from harness.sql.evidence import Atom
from harness.sql.profile import ColumnProfile

_WORDS = ("alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "theta")
_DATES = ("2018-01-15", "2019-03-01", "2020-02-29", "2020-05-10", "2021-07-20", "2022-12-31")


def fresh(column: ColumnProfile, number: int, rng: random.Random) -> Any:
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
        return f"{rng.choice(column.pool)} {number}"
    return f"{rng.choice(_WORDS)}{number if column.unique else ''}"


def fallback_pool(column: ColumnProfile) -> tuple[Any, ...]:
    """Return values for a column of which the database holds none."""
    pools: dict[str, tuple[Any, ...]] = {
        "int": (0, 1, 2, 3, 5, 8), "real": (0.5, 1.0, 2.25, 3.75, 10.0), "date": _DATES,
        "blob": (b"\x00", b"\x01"), "text": _WORDS,
    }  # fmt: skip
    return pools[column.kind]


def thin(column: ColumnProfile) -> bool:
    """Tell whether a database shows too few values of a column to draw from."""
    return len(column.pool) < 4 and not column.closed


def fit(value: Any, column: ColumnProfile) -> Any:
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


def satisfying(atom: Atom, column: ColumnProfile, pool: Sequence[Any], rng: random.Random) -> Any:
    """Return a value that the condition accepts (None for ``IS NULL``)."""
    values = [fit(value, column) for value in atom.values]
    if atom.wrapped:
        return wrapped(values, column, pool, rng)
    if atom.op in {"=", "in", "<=", ">="}:
        return rng.choice(values)
    if atom.op in {">", "<"}:
        return step(values[0], 1 if atom.op == ">" else -1)
    if atom.op == "between":
        return rng.choice([*values, _middle(values)])
    if atom.op == "like":
        return from_pattern(str(values[0]), column, pool, rng)
    if atom.op == "null":
        return None
    if atom.op == "not between":
        return step(values[0], -1)
    others = [value for value in pool if value is not None and value not in values]
    return rng.choice(others) if others else step(values[0], 1) if values else None


def missing(atom: Atom, column: ColumnProfile, pool: Sequence[Any], rng: random.Random) -> Any:
    """Return a value just beyond what the condition accepts."""
    values = [fit(value, column) for value in atom.values]
    if atom.wrapped or not values:
        return None if atom.op == "not null" else rng.choice(list(pool) or [None])
    if atom.op in {">", "<"}:
        return values[0]
    if atom.op in {">=", "<="}:
        return step(values[0], -1 if atom.op == ">=" else 1)
    if atom.op == "between":
        return rng.choice([step(values[0], -1), step(values[1], 1)])
    if atom.op in {"!=", "not in", "not between"}:
        return rng.choice(values)
    if atom.op == "not like":
        return from_pattern(str(values[0]), column, pool, rng)
    others = [value for value in pool if value is not None and value not in values]
    if column.closed or (atom.op == "like" and column.kind == "date"):
        return rng.choice(others or values)
    if atom.op == "like":
        core = str(values[0]).strip("%")
        near = [core[:-1] or "z", "x" + core + "x" if "%" not in str(values[0]) else core[::-1]]
        return rng.choice(near + others[:3])
    return rng.choice([step(values[0], 1), step(values[0], -1), *others[:4]])


def boundary(atom: Atom, column: ColumnProfile) -> list[Any]:
    """Return the constants of a condition and what lies right beside them."""
    values = [fit(value, column) for value in atom.values]
    if atom.op in {"like", "not like"}:
        if column.kind == "date":
            return []
        core = str(values[0]).replace("%", "").replace("_", "a")
        return [core, f"x{core}", f"{core}x", f"x{core}x"]
    if atom.wrapped or column.closed:
        return [] if atom.wrapped else values
    if atom.op in {"null", "not null"}:
        return [""] if column.kind == "text" else []
    return [near for value in values for near in (value, step(value, 1), step(value, -1))]


def step(value: Any, direction: int) -> Any:
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
    if re.fullmatch(r"-?\d+", text):
        return str(int(text) + direction)
    if re.match(r"\d{4}-\d{2}-\d{2}", text):
        try:
            day = date.fromisoformat(text[:10]) + timedelta(days=direction)
        except (ValueError, OverflowError):
            return text + "x"
        return day.isoformat() + text[10:]
    if direction > 0:
        return text + "x"
    if not text:
        return " "  # nothing is smaller than the empty text
    lower = ord(text[-1]) - 1
    return text[:-1] + chr(lower) if lower >= 33 else text[:-1]


def from_pattern(
    pattern: str, column: ColumnProfile, pool: Sequence[Any], rng: random.Random
) -> str:
    """Return a text that a LIKE pattern accepts; a date stays one."""
    core = pattern.rstrip("%")
    if column.kind == "date" and "%" not in core:
        dates = [str(value) for value in pool if isinstance(value, str)]
        return core + (rng.choice(dates)[len(core) :] if dates else "")
    fill = rng.choice(["", "a", "xy "])
    return pattern.replace("%", fill).replace("_", "a")


def wrapped(values: Sequence[Any], column: ColumnProfile, pool: Sequence[Any], rng: Any) -> Any:
    """Guess a value for a column under a function: a constant, or a date in a named year."""
    texts = [str(value) for value in values]
    years = [text for text in texts if re.fullmatch(r"\d{4}", text)]
    if column.kind == "date" and years:
        rests = [str(p)[4:] for p in pool if isinstance(p, str) and len(p) >= 10] or ["-06-15"]
        return rng.choice(years) + rng.choice(rests)
    if column.kind == "text":
        return rng.choice([*texts, *(str(p) for p in pool[:3])])
    return rng.choice([*values, *pool[:3]])


def _middle(values: Sequence[Any]) -> Any:
    low, high = values[0], values[-1]
    if isinstance(low, int) and isinstance(high, int):
        return (low + high) // 2
    if isinstance(low, int | float) and isinstance(high, int | float):
        return (low + high) / 2
    return low
