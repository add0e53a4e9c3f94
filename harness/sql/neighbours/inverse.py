"""Expressions of one column, forwards and backwards: which value gives ``substr(c, 1, 3) = '978'``?

`evaluate` computes an expression on a row; `preimages` proposes values of one column for which it
comes out as wanted. Both know what questions use (arithmetic, text and date functions, JSON) and
say so where they do not: a proposal only aims a generated row, the engine decides what it means.
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlglot import exp

from harness.sql.execute.messages import Cell
from harness.sql.parse.binding import ColumnRef

Row = Mapping[ColumnRef, Cell]
"""Values of columns, by table and column."""

_JULIAN = datetime(2000, 1, 1, 12, tzinfo=UTC)
_JULIAN_DAYS = 2_451_545.0
_MODIFIER = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s+(second|minute|hour|day|month|year)s?\s*")
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_FORMATS = {"Y": "year", "m": "month", "d": "day", "H": "hour", "M": "minute", "S": "second"}
_PASSED_THROUGH = (
    exp.Paren, exp.Cast, exp.Round, exp.Coalesce, exp.TsOrDsToTimestamp, exp.Nullif, exp.Collate,
    exp.Max, exp.Min, exp.Avg, exp.Sum, exp.Distinct,
)  # fmt: skip
"""What leaves a value as it is, or nearly; aggregates do so for a group of one row."""

_PARTS = {exp.Year: "%Y", exp.Month: "%m", exp.Day: "%d"}


class UnknownValueError(Exception):
    """An expression that this module cannot compute."""


def column_of(node: exp.Expression) -> ColumnRef:
    """Return the place of a resolved column node."""
    return str(node.args["table"].name), node.name


def evaluate(node: exp.Expression, row: Row) -> Cell:
    """Compute an expression on a row.

    Raises:
        UnknownValueError: If it holds something that is not known here.
    """
    try:
        return _evaluate(node, row)
    except (ValueError, TypeError, ArithmeticError, KeyError, AttributeError) as error:
        raise UnknownValueError(type(node).__name__) from error


def _evaluate(node: exp.Expression, row: Row) -> Cell:
    if isinstance(node, exp.Column):
        return row[column_of(node)]
    if isinstance(node, exp.Literal):
        return str(node.this) if node.is_string else _number(str(node.this))
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Neg):
        return -_numeric(_evaluate(node.this, row))
    if isinstance(node, exp.Cast):
        return _cast(_evaluate(node.this, row), node.to.sql().upper())
    if isinstance(node, exp.Binary) and type(node) in _ARITHMETIC:
        left, right = _evaluate(node.this, row), _evaluate(node.expression, row)
        return None if left is None or right is None else _ARITHMETIC[type(node)](left, right)
    if type(node) in _TEXT:
        value = _evaluate(node.this, row)
        return None if value is None else _TEXT[type(node)](node, str(value))
    if isinstance(node, _PASSED_THROUGH):
        return _evaluate(node.this, row)
    moment = _moment_of(node, row)
    if moment is not None:
        return moment
    raise UnknownValueError(type(node).__name__)


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"\d+", text) else float(text)


def _numeric(value: Cell) -> int | float:
    if isinstance(value, int | float):
        return value
    found = re.match(r"\s*[+-]?\d+(\.\d+)?", str(value))
    return 0 if found is None else _number(found[0].strip()) if found[0][0] not in "+-" else float(
        found[0]
    )  # fmt: skip


def _cast(value: Cell, to: str) -> Cell:
    if value is None:
        return None
    if "INT" in to:
        return int(_numeric(value))
    if any(word in to for word in ("REAL", "FLOAT", "DOUBLE")):
        return float(_numeric(value))
    return str(value) if "TEXT" in to or "CHAR" in to else value


def _divided(left: Cell, right: Cell) -> Cell:
    over, under = _numeric(left), _numeric(right)
    return int(over / under) if isinstance(over, int) and isinstance(under, int) else over / under


_ARITHMETIC: Mapping[type[exp.Expression], Callable[[Cell, Cell], Cell]] = {
    exp.Add: lambda a, b: _numeric(a) + _numeric(b),
    exp.Sub: lambda a, b: _numeric(a) - _numeric(b),
    exp.Mul: lambda a, b: _numeric(a) * _numeric(b),
    exp.Div: _divided,
    exp.Mod: lambda a, b: int(_numeric(a)) % int(_numeric(b)),
    exp.DPipe: lambda a, b: str(a) + str(b),
}


def _part(node: exp.Expression, text: str) -> Cell:
    start = int(str(_evaluate(node.args["start"], {})))
    length = node.args.get("length")
    first = start - 1 if start > 0 else len(text) + start
    return text[first:][: int(str(_evaluate(length, {})))] if length else text[first:]


_TEXT: Mapping[type[exp.Expression], Callable[[exp.Expression, str], Cell]] = {
    exp.Length: lambda _, text: len(text),
    exp.Lower: lambda _, text: text.lower(),
    exp.Upper: lambda _, text: text.upper(),
    exp.Trim: lambda _, text: text.strip(),
    exp.Substring: _part,
    exp.Left: lambda node, text: text[: int(str(_evaluate(node.expression, {})))],
    exp.StrPosition: lambda node, text: text.find(str(_evaluate(node.args["substr"], {}))) + 1,
    exp.TimeToStr: lambda node, text: moment(text).strftime(node.args["format"].name),
    exp.Year: lambda _, text: moment(text).year,
    exp.Month: lambda _, text: moment(text).month,
    exp.Day: lambda _, text: moment(text).day,
    exp.Abs: lambda _, text: abs(_numeric(text)),
}


def moment(text: str) -> datetime:
    """Read a date, with or without a time; ``now`` is the moment.

    Raises:
        ValueError: If it is none.
    """
    if text.lower() == "now":
        return datetime.now(UTC).replace(microsecond=0)
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def written(value: datetime, like: Cell) -> str:
    """Write a moment in the form that another value has: a day alone, or with its time."""
    text = str(like)
    if len(text) <= 10:
        return value.date().isoformat()
    return value.strftime("%Y-%m-%dT%H:%M:%S" if text[10] == "T" else "%Y-%m-%d %H:%M:%S")


def _moment_of(node: exp.Expression, row: Row) -> Cell:
    """Compute ``date``, ``datetime`` and ``julianday`` with their modifiers; None for others."""
    if isinstance(node, exp.CurrentDate):
        return datetime.now(UTC).date().isoformat()
    name, arguments = _call(node)
    if name not in {"date", "datetime", "julianday"} or not arguments:
        return None
    first = _evaluate(arguments[0], row)
    if first is None:
        return None
    value = moment(str(first))
    for argument in arguments[1:]:
        value = shifted(value, str(_evaluate(argument, row)))
    if name == "julianday":
        return _JULIAN_DAYS + (value - _JULIAN) / timedelta(days=1)
    return value.date().isoformat() if name == "date" else value.strftime("%Y-%m-%d %H:%M:%S")


def _call(node: exp.Expression) -> tuple[str, list[exp.Expression]]:
    if isinstance(node, exp.Date):
        return "date", [item for item in (node.this, *node.expressions) if item is not None]
    if isinstance(node, exp.Anonymous):
        return node.name.lower(), node.expressions
    return "", []


def shifted(value: datetime, modifier: str, sign: int = 1) -> datetime:
    """Move a moment by a modifier such as ``+7 days``.

    Raises:
        ValueError: If the modifier is another one.
    """
    found = _MODIFIER.fullmatch(modifier.lower())
    if found is None:
        raise ValueError(modifier)
    amount, unit = sign * float(found[1]), found[2]
    if unit in _SECONDS:
        return value + timedelta(seconds=amount * _SECONDS[unit])
    months = value.month - 1 + int(amount) * (12 if unit == "year" else 1)
    day = min(value.day, 28)
    return value.replace(year=value.year + months // 12, month=months % 12 + 1, day=day)


def preimages(node: exp.Expression, target: ColumnRef, goal: Cell, row: Row) -> list[Cell]:
    """Return values of a column for which an expression comes out as wanted, as far as known.

    ``row`` holds the other columns, and a value of the column whose form is kept (a day's, a
    text's, a document's).
    """
    if goal is None:
        return [None]
    try:
        found = _preimages(node, target, goal, row)
    except (UnknownValueError, ValueError, TypeError, ArithmeticError, KeyError, AttributeError):
        return []
    return [value for value in found if not isinstance(value, float) or abs(value) < 1e300]


def _preimages(node: exp.Expression, target: ColumnRef, goal: Cell, row: Row) -> list[Cell]:
    if isinstance(node, exp.Column):
        return [goal] if column_of(node) == target else []
    base = row.get(target)
    inner = _inside(node, target, goal, base, row)
    if inner is None:
        return []
    child, goals = inner
    return [value for wanted in goals for value in _preimages(child, target, wanted, row)]


def _inside(
    node: exp.Expression, target: ColumnRef, goal: Cell, base: Cell, row: Row
) -> tuple[exp.Expression, list[Cell]] | None:
    """Undo the outermost operation: return what is inside it, and what that would have to be."""
    if isinstance(node, exp.Neg | exp.Abs):
        number = _numeric(goal)
        return node.this, [-number] if isinstance(node, exp.Neg) else [number, -number]
    if isinstance(node, exp.Binary) and type(node) in _ARITHMETIC:
        return _operand(node, target, goal, row)
    if isinstance(node, _PASSED_THROUGH):
        return node.this, [goal]
    if isinstance(node, exp.JSONExtract | exp.JSONExtractScalar):
        return node.this, _documents(node, goal, base)
    if isinstance(node, exp.TimeToStr):
        return node.this, _with_parts(node.args["format"].name, str(goal), base)
    if type(node) in _PARTS:
        width = 4 if isinstance(node, exp.Year) else 2
        return node.this, _with_parts(_PARTS[type(node)], str(goal).zfill(width), base)
    if isinstance(node, exp.Extract):
        part = node.this.name.lower()
        code = next(f"%{key}" for key, name in _FORMATS.items() if name == part)
        return node.expression, _with_parts(code, str(goal).zfill(2), base)
    name, arguments = _call(node)
    if name in {"date", "datetime", "julianday"} and arguments:
        return arguments[0], _moments(name, arguments[1:], goal, base, row)
    texts = _texts(node, goal, str(base or ""))
    return None if texts is None else (node.this, texts)


def _operand(
    node: exp.Binary, target: ColumnRef, goal: Cell, row: Row
) -> tuple[exp.Expression, list[Cell]]:
    on_left = any(column_of(column) == target for column in node.left.find_all(exp.Column))
    child, other = (node.left, node.right) if on_left else (node.right, node.left)
    known = _evaluate(other, row)
    if isinstance(node, exp.DPipe):
        text, rest = str(goal), str(known)
        if on_left:
            return child, [text.removesuffix(rest)] if text.endswith(rest) else []
        return child, [text.removeprefix(rest)] if text.startswith(rest) else []
    number, by = _numeric(goal), _numeric(known)
    if isinstance(node, exp.Add):
        return child, [number - by]
    if isinstance(node, exp.Sub):
        return child, [number + by if on_left else by - number]
    if isinstance(node, exp.Mul):
        return child, [_whole(number / by)]
    if isinstance(node, exp.Div):
        return child, [number * by if on_left else _whole(by / number)]
    return child, [number, number + by, number + 2 * by]


def _whole(number: float) -> int | float:
    return int(number) if number == int(number) else number


def _texts(node: exp.Expression, goal: Cell, base: str) -> list[Cell] | None:
    text = str(goal)
    if isinstance(node, exp.Length):
        length = max(0, min(int(_numeric(goal)), 200))
        return [(base + "abcdefgh" * 25)[:length]]
    if isinstance(node, exp.Lower):
        return [text, text.upper(), text.title()] if text == text.lower() else []
    if isinstance(node, exp.Upper):
        return [text, text.lower(), text.title()] if text == text.upper() else []
    if isinstance(node, exp.Trim):
        return [text, f" {text}", f"{text} "]
    if isinstance(node, exp.Left):
        return [text + base[len(text) :], f"{text} xyz"]
    if isinstance(node, exp.Substring):
        start = int(str(_evaluate(node.args["start"], {})))
        if start < 0:
            return [base[:start] + text, f"x{text}"]
        before = (base + "x" * start)[: start - 1]
        return [before + text + base[start - 1 + len(text) :], f"{before}{text} yz"]
    if isinstance(node, exp.StrPosition):
        part, position = str(_evaluate(node.args["substr"], {})), int(_numeric(goal))
        return ["x" * (position - 1) + part, f"xy {part}z"] if position > 0 else [base or "x"]
    return None


def _with_parts(pattern: str, goal: str, base: Cell) -> list[Cell]:
    """Set the parts of a date that a ``strftime`` format shows."""
    names = re.findall(r"%(\w)", pattern)
    expression = re.escape(pattern).replace("%", "")
    for name in names:
        expression = expression.replace(name, r"(\d+)", 1)
    found = re.fullmatch(expression, goal)
    if found is None:
        return []
    values = {_FORMATS[name]: int(part) for name, part in zip(names, found.groups(), strict=True)}
    day = moment(str(base)) if base else datetime(2021, 6, 15, tzinfo=UTC)
    like = base or "2021-06-15"
    moved = day.replace(day=min(day.day, 28)).replace(**values)  # type: ignore[arg-type]
    return [written(moved, like)]


def _moments(
    name: str, modifiers: list[exp.Expression], goal: Cell, base: Cell, row: Row
) -> list[Cell]:
    if name == "julianday":
        value = _JULIAN + timedelta(days=_numeric(goal) - _JULIAN_DAYS)
    else:
        value = moment(str(goal))
    for modifier in reversed(modifiers):
        value = shifted(value, str(_evaluate(modifier, row)), -1)
    rounded = (value + timedelta(milliseconds=500)).replace(microsecond=0)
    later: list[Cell] = []
    if name == "date" and len(str(base or "")) > 10:
        later = [written(rounded + timedelta(hours=14, minutes=30), base)]
    return [written(rounded, base or "2021-06-15"), *later]


def _documents(node: exp.Expression, goal: Cell, base: Cell) -> list[Cell]:
    """Set the leaf that a path names in a JSON document."""
    document = json.loads(str(base))
    steps = [step.this for step in node.expression.expressions if not isinstance(
        step, exp.JSONPathRoot)]  # fmt: skip
    place = document
    for step in steps[:-1]:
        place = place[step]
    with suppress(IndexError):
        place[steps[-1]] = goal
        return [json.dumps(document, separators=(",", ":"))]
    return []
