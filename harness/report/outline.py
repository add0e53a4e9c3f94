"""Nested data as indented lines, for evidence of any shape that a judge leaves."""

from collections.abc import Iterator, Mapping


def outline(value: object, *, name: str = "", depth: int = 0) -> Iterator[str]:
    r"""Yield the lines of nested mappings and lists; a list of plain values is one line.

    >>> print("\n".join(outline({"gold": {"columns": ["a", "b"], "rows": [[1, None], [2, "x"]]}})))
    gold:
      columns: a | b
      rows:
        1 | NULL
        2 | x
    """
    indent = "  " * depth
    label = f"{indent}{name}:" if name else indent
    if isinstance(value, Mapping) and value:
        if name:
            yield label
        for key, inner in value.items():
            yield from outline(inner, name=str(key), depth=depth + bool(name))
    elif isinstance(value, list | tuple) and any(map(_is_nested, value)):
        if name:
            yield label
        for inner in value:
            yield from outline(inner, depth=depth + bool(name))
    else:
        shown = value if isinstance(value, list | tuple) else (value,)
        text = " | ".join(map(_plain, shown)) or "(none)"
        yield f"{label} {text}" if name else f"{indent}{text}"


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _plain(value: object) -> str:
    return "NULL" if value is None else " ".join(str(value).split())
