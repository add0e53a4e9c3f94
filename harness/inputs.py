"""Files that a command is given: read only where they are files, as UTF-8, parsed within limits.

A device or a pipe has no end that one could wait for, so it is refused; a byte-order mark is none
of the text; what is nested too deeply is malformed like anything else.
"""

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

Row = dict[str, Any]
"""A JSON object as it was read, before anything of it is checked."""

Pairs = list[tuple[str, object]]
"""Keys and values of a JSON object in the order of the file."""


def exists(path: Path) -> bool:
    """Tell whether anything lies at a path, whatever it is; nothing lies where no path can be."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def open_input(path: Path, *, newline: str | None = None) -> TextIO:
    """Open a text file for reading.

    Args:
        path: Of a regular file, or of a link to one.
        newline: As in `open`.

    Raises:
        OSError: If it cannot be opened, or is a device, a pipe or a socket.
    """
    refuse_pipe(path)
    return path.open(encoding="utf-8-sig", newline=newline)


def refuse_pipe(path: Path) -> None:
    """Refuse what has no end that one could wait for.

    Raises:
        OSError: If it is a device, a pipe or a socket, or is not there.
    """
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a NUL, or what no file system can encode
        raise OSError(errno.EINVAL, "no file can be called so", str(path)) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "a device or a pipe, not a file; write it to one", str(path))


def read_input(path: Path) -> str:
    """Return the whole text of a file; see `open_input`.

    Raises:
        OSError: If it cannot be read.
        UnicodeDecodeError: If it is not UTF-8.
    """
    with open_input(path) as file:
        return file.read()


def parse_json(text: str, *, pairs: Callable[[Pairs], object] | None = None) -> Any:
    """Parse JSON.

    Args:
        text: The JSON.
        pairs: Makes an object from its keys and values.

    Raises:
        ValueError: If it is malformed, nested too deeply, or has a number of thousands of digits.
    """
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("it is nested more deeply than can be read") from None


def expanded(value: str) -> Path:
    """Return a path with ``~`` replaced; of a user whom nobody knows it stays.

    >>> str(expanded("~nobody-knows-me/x"))
    '~nobody-knows-me/x'
    """
    return Path(os.path.expanduser(value))  # noqa: PTH111 - Path.expanduser raises RuntimeError


def json_problem(error: ValueError) -> str:
    """Say what is wrong with JSON that `parse_json` refused."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return str(error)


def not_utf8(error: UnicodeDecodeError) -> str:
    """Say where a text is not UTF-8, and the command that converts it.

    Which encoding it has is guessed: UTF-16 by its mark or its zeros, else Windows' western one.
    """
    data, place = error.object, error.start
    is_wide = data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:200].count(0) > len(data[:200]) // 4
    encoding = "UTF-16" if is_wide else "WINDOWS-1252"
    return (
        f"found byte {data[place]:#04x}, which is not UTF-8; if it is {encoding}, convert it with "
        f"'iconv -f {encoding} -t UTF-8 OLD > NEW'"
    )


def first_problem(error: Exception) -> str:
    """Say in a few words what is wrong with a value that was read: the first of all problems."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        return f"{where}: {said}" if where else said
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, json.JSONDecodeError):
        return json_problem(error)
    return str(error) or type(error).__name__
