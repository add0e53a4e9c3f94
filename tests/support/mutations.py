"""Valid files made bad, by a seeded draw: values, structure, text, bytes, and no file at all."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

Plain = object
"""What JSON can hold, and a little more."""

DEEP = 20_000
"""Levels of nesting that no reader can take."""


def nested(levels: int) -> Plain:
    """Return a list in a list in a list."""
    value: Plain = []
    for _ in range(levels):
        value = [value]
    return value


WRONG: tuple[Callable[[], Plain], ...] = (
    *(lambda value=value: value for value in (None, True, False, 0, 1, -1, 3, 2**63, -(2**70))),
    *(lambda value=value: value for value in (0.5, 1e-320, 1e308, -0.0, float("nan"))),
    *(lambda value=value: value for value in (float("inf"), -float("inf"), 10**400)),
    *(lambda value=value: value for value in ("", " ", "\x00", "\ud800", "\u202e", "[red]x[/]")),
    *(lambda value=value: value for value in ("0", "none", "../../../etc/passwd", "~nouser/x")),
    *(lambda value=value: value for value in ("/dev/zero", "/dev/null", "/", ".", "fifo", "a\nb")),
    *(lambda value=value: value for value in ("hub:nobody/nothing", "::error::x", "{{ 7 * 7 }}")),
    *(lambda value=value: value for value in ("2026-02-30", "%s%n", "${HOME}", "sqlite:///x.db")),
    lambda: "long " * 20_000,
    lambda: "x" * 300,
    list,
    dict,
    lambda: [[]],
    lambda: [None, 1, "x"],
    lambda: {"a": {"b": [1, {}]}},
    lambda: {"": 0, " ": 1},
    lambda: nested(60),
    lambda: nested(400),
    lambda: list(range(5_000)),
)
"""Values that a field does not expect."""


def places(value: Plain, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Yield the path of every value in a tree."""
    yield path
    entries: Iterator[tuple[object, Plain]] = iter(())
    if isinstance(value, dict):
        entries = iter(value.items())
    elif isinstance(value, list):
        entries = iter(enumerate(value[:20]))
    for key, inner in entries:
        yield from places(inner, (*path, key))


def changed(value: Plain, draw: random.Random) -> Plain:
    """Return a tree with one place changed: another value, gone, added, renamed or wrapped."""
    tree = json.loads(json.dumps(value))
    path = draw.choice(list(places(tree)))
    if not path:
        return draw.choice(WRONG)() if draw.random() < 0.3 else changed(value, draw)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    key, old = path[-1], holder[path[-1]]
    match draw.choice(("value", "value", "value", "gone", "added", "renamed", "wrapped")):
        case "value":
            holder[key] = draw.choice(WRONG)()
        case "gone":
            del holder[key]
        case "added" if isinstance(holder, dict):
            holder[draw.choice(("", "x", "\x00", "id", "name", "::error::"))] = draw.choice(WRONG)()
        case "renamed" if isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        case "wrapped":
            holder[key] = draw.choice(([old], {"x": old}, str(old), [old, old]))
        case _:
            holder[key] = draw.choice(WRONG)()
    return tree


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _flipped(data: bytes, draw: random.Random) -> bytes:
    found = bytearray(data or b"x")
    for _ in range(draw.randint(1, 8)):
        found[draw.randrange(len(found))] = draw.randrange(256)
    return bytes(found)


def _inserted(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data) + 1)
    more = draw.choice(
        (b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[31m", b"\xc3\x28", b"\t", b"&a [*a]", b"'")
    )
    return data[:place] + more + data[place:]


def _without_a_line(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    del lines[draw.randrange(len(lines))]
    return b"\n".join(lines)


def _with_a_line_twice(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    place = draw.randrange(len(lines))
    return b"\n".join([*lines[:place], lines[place], *lines[place:]])


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut,
    _cut,
    _flipped,
    _inserted,
    _without_a_line,
    _with_a_line_twice,
    lambda _, __: b"",
    lambda _, __: b"\n\n\n",
    lambda _, draw: draw.randbytes(2_000),
    lambda _, __: b"null",
    lambda _, __: b"[" * DEEP,
    lambda _, __: b'{"a":' * DEEP,
    lambda _, __: b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    lambda _, __: b'{"id": ' + b"9" * 5_000 + b"}",
    lambda _, __: b"PK\x03\x04" + b"\x00" * 100,
    lambda _, __: b"PAR1" + b"\x00" * 100 + b"PAR1",
    lambda _, __: b"SQLite format 3\x00" + b"\x00" * 200,
    lambda data, _: b"\xef\xbb\xbf" + data,
    lambda data, _: data.replace(b"\n", b"\r\n"),
    lambda data, _: data.decode("utf-8", "replace").encode("utf-16"),
    lambda data, _: data.decode("utf-8", "replace").encode("utf-32"),
    lambda data, _: data + "für 100 €".encode("cp1252"),
    lambda data, _: data + b"\n" + data,
    lambda data, _: data * 3,
    lambda data, _: data.replace(b'"', b"'"),
    lambda data, _: data.replace(b":", b""),
    lambda data, _: data.replace(b"1", b"NaN"),
    lambda data, _: data.replace(b"0", b"-Infinity"),
    lambda data, _: data.replace(b"{", b"{{"),
)
"""Bytes of a valid file -> those of a bad one."""


def _missing(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link_to(target: str) -> Callable[[Path], None]:
    def link(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return link


NO_FILES: tuple[Callable[[Path], None], ...] = (
    _missing,
    _folder,
    _fifo,
    _link_to("/dev/zero"),
    _link_to("/dev/null"),
    _link_to("nowhere"),
    _link_to("/proc/self/mem"),
)
"""What may lie where a file is expected."""


def spoil_bytes(path: Path, draw: random.Random) -> None:
    """Change a file's bytes."""
    path.write_bytes(draw.choice(BYTES)(path.read_bytes(), draw))


def spoil_file(path: Path, draw: random.Random) -> None:
    """Put something else in a file's place."""
    draw.choice(NO_FILES)(path)


def spoil_json(path: Path, draw: random.Random) -> None:
    """Change one place of a JSON file."""
    tree = changed(json.loads(path.read_text(encoding="utf-8")), draw)
    path.write_text(json.dumps(tree), encoding="utf-8")


def spoil_row(path: Path, draw: random.Random) -> None:
    """Change one place of one line of JSON."""
    lines = path.read_text(encoding="utf-8").splitlines()
    place = draw.randrange(len(lines))
    lines[place] = json.dumps(changed(json.loads(lines[place]), draw))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def spoil(path: Path, draw: random.Random) -> None:
    """Make a file bad in one of these ways, its values most often."""
    by_value = spoil_json if path.suffix in (".json", ".yaml") else spoil_row
    if path.suffix not in (".json", ".yaml", ".jsonl"):
        by_value = spoil_bytes
    draw.choices((by_value, spoil_bytes, spoil_file), (6, 3, 1))[0](path, draw)
