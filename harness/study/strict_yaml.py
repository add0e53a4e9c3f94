"""YAML of plain values in which nothing is read otherwise than it was meant.

PyYAML lets the last of two equal keys win without a word, and lets a file hold what no study can be
made of: sets, bytes, lists that hold themselves, numbers that are none.
"""

import datetime
import math
import re
from collections.abc import Hashable, Iterable

import yaml

DEEPEST = 40
"""Levels of nesting that a study may have."""
MOST = 100_000
"""Values that a study may hold, those counted again that stand in several places."""

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


class StrictLoader(yaml.SafeLoader):
    """Reads plain YAML; a key that stands twice in one mapping is an error with both lines."""

    def compose_mapping_node(self, anchor: object) -> yaml.MappingNode:
        """Check a mapping as it is written, before the keys of ``<<`` are merged among its own."""
        node = super().compose_mapping_node(anchor)  # type: ignore[arg-type]  # a name or None
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = (key.tag, key.value)
            if name in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"a key may stand once: {key.value!r} is in line {lines[name]} already",
                    problem_mark=key.start_mark,
                )
            lines[name] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Hashable:
        """Make a value; it is an error where the text is none of what its tag or form promises."""
        try:
            made: Hashable = super().construct_object(node, deep=deep)
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
            text = node.value if isinstance(node, yaml.ScalarNode) else ""
            raise yaml.MarkedYAMLError(
                problem=f"{str(text)[:40]!r} cannot be read as {node.tag.rpartition(':')[2]}",
                problem_mark=node.start_mark,
            ) from error
        return made


def read_yaml(text: str) -> object:
    """Read YAML of texts, numbers, dates, lists and mappings with texts as keys.

    Raises:
        ValueError: If it is none; the message begins with the line, where that is known.
    """
    try:
        found = yaml.load(text, Loader=StrictLoader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        raise ValueError(f"{line}: {problem}") from error
    except RecursionError:
        raise ValueError(f": it is nested more than {DEEPEST} levels deep") from None
    _check(found)
    return found


def _check(value: object) -> None:
    """Refuse what is no plain value, and lists that hold themselves or one another too often."""
    open_values: list[tuple[object, str, int]] = [(value, "", 0)]
    read = 0
    while open_values:
        found, where, level = open_values.pop()
        read += 1
        problem = "" if level <= DEEPEST else f"it is nested more than {DEEPEST} levels deep"
        problem = problem or ("" if read <= MOST else f"it holds more than {MOST:,} values")
        if problem := problem or _problem(found):
            raise ValueError(f": {problem}{f' in {where[:60]}' if where else ''}")
        entries: Iterable[tuple[object, object]] = ()
        if isinstance(found, dict):
            entries = found.items()
        elif isinstance(found, list):
            entries = enumerate(found)
        for key, inner in entries:
            open_values.append((inner, f"{where}.{key}" if where else str(key), level + 1))


def _problem(value: object) -> str:
    """Say what makes one value none of a study's; empty where nothing does."""
    match value:
        case dict():
            odd = [key for key in value if not isinstance(key, str)]
            return f"a key must be a text: found {str(odd[0])[:40]!r}" if odd else ""
        case float():
            return "" if math.isfinite(value) else f"a number must be finite: found {value}"
        case int():
            is_short = -(2**63) <= value < 2**64
            return "" if is_short else "a number must have 64 bits at most: found a longer one"
        case str():
            return "a text holds NUL, or half a character" if _NO_TEXT.search(value) else ""
        case None | list() | datetime.date():
            return ""
        case _:
            return f"a value must be a text, a number, a list or a mapping: found {value!r:.40}"
