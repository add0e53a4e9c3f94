"""The architecture, stated as tests."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from support.command import python
from support.paths import ROOT

PACKAGE = ROOT / "harness"

TIERS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"cli", "__init__", "callbacks"}),
    frozenset({"quickstart", "mcp", "history"}),
    frozenset({"pipeline"}),
    frozenset({"training", "engine", "store", "report", "review", "ingest"}),
    frozenset({"suites", "metrics"}),
    frozenset({"models", "analysis", "rating"}),
    frozenset({"scoring", "sql", "stats", "corpus"}),
    frozenset({"study"}),
    frozenset(
        {"records", "content", "files", "inputs", "versions", "extras", "display_text", "thoughts"}
    ),
    frozenset({"errors"}),
    frozenset({"secrets"}),
)
"""Rooms from the door down: each imports only from tiers below its own."""

HEAVY = {"torch", "transformers", "trl", "peft", "lm_eval", "datasets", "accelerate", "evaluate"}
PURE = {room for tier in TIERS[6:] for room in tier} - {"models"} | {"report", "review"}
LONGEST_FILE = 450
LONGEST_FUNCTION = 50
MOST_FILES = {"engine": 10, "sql": 8, "training": 8, "pipeline": 8}
"""Room -> Python files directly in it."""
MOST_IN_A_WING = 10
MOST_ANY = 40
"""Lines of the package with the word `Any`. It only ever falls."""


class Module(NamedTuple):
    """A Python file of the package: its path below the package, its text and its syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder or module right below ``harness/``."""
        return self.path.parts[0].removesuffix(".py")


@cache
def modules() -> tuple[Module, ...]:
    """Return every Python file of the package, read and parsed once."""
    files = sorted(PACKAGE.rglob("*.py"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    return tuple(
        Module(file.relative_to(PACKAGE), text, ast.parse(text))
        for file, text in zip(files, texts, strict=True)
    )


def room_of(name: str) -> str | None:
    """Return the room of a dotted name, or None for an attribute such as the version."""
    parts = name.split(".")
    is_room = parts[0] == "harness" and len(parts) > 1 and not parts[1].startswith("__")
    return parts[1] if is_room else None


def tier(name: str) -> int:
    """Return a room's tier, 0 being the door."""
    found = [index for index, rooms in enumerate(TIERS) if name in rooms]
    assert found, f"room {name!r} has no place in TIERS"
    return found[0]


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every dotted name that a module imports, ``if TYPE_CHECKING`` included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "harness":
                yield from (f"harness.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_imports_point_downwards() -> None:
    """A room imports from itself and from tiers below; rooms of one tier do not know each other."""
    upwards = [
        f"{module.path} imports {name}"
        for module in modules()
        for name in imports(module.tree)
        if (other := room_of(name)) and other != module.room
        if tier(other) <= tier(module.room)
    ]
    assert not upwards


def test_the_deciding_rooms_are_pure() -> None:
    """Whatever decides imports no model library, not even lazily."""
    heavy = [
        f"{module.path} imports {name}"
        for module in modules()
        if module.room in PURE
        for name in imports(module.tree)
        if name.split(".")[0] in HEAVY
    ]
    assert not heavy


def test_files_stay_short() -> None:
    """No file outgrows what a newcomer reads in five minutes."""
    lines = {str(module.path): len(module.text.splitlines()) for module in modules()}
    assert not {path: count for path, count in lines.items() if count > LONGEST_FILE}


def test_functions_stay_short() -> None:
    """No function outgrows a screen; docstrings are not counted."""
    lengths = {
        f"{module.path}:{node.lineno} {node.name}": length(node)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function's body."""
    told = ast.get_docstring(function) and len(function.body) > 1
    first = function.body[1] if told else function.body[0]
    return (function.end_lineno or function.lineno) - first.lineno + 1


def repeated(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the names that stand in several places, with these."""
    places: dict[str, list[str]] = {}
    for name, place in names:
        places.setdefault(name, []).append(place)
    return {name: found for name, found in places.items() if len(found) > 1}


def test_a_class_name_has_one_meaning() -> None:
    """Whoever looks for a class finds one."""
    classes = [
        (node.name, f"{module.path}:{node.lineno}")
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    ]
    assert not repeated(classes)


def test_a_file_name_has_one_meaning() -> None:
    """A verb or a metric may share its name with the one module that does its work."""
    files = [module.path for module in modules() if not module.path.stem.startswith("__")]
    thin = [path for path in files if is_verb(path) or is_metric(path)]
    assert not repeated((path.name, str(path)) for path in thin)
    assert not repeated((path.name, str(path)) for path in files if path not in thin)


def is_verb(path: Path) -> bool:
    """Say whether a file is a command."""
    return path.parts[0] == "cli"


def is_metric(path: Path) -> bool:
    """Say whether a file is an `evaluate` module, which has its folder's name."""
    return path.parts[0] == "metrics" and path.stem == path.parent.name


@pytest.mark.parametrize("room", MOST_FILES)
def test_a_package_is_seen_at_one_glance(room: str) -> None:
    """A folder holds few files; where there are more, they are packages by meaning."""
    folders = Counter(module.path.parent for module in modules() if module.room == room)
    crowded = {
        str(folder): files
        for folder, files in folders.items()
        if files > (MOST_FILES[room] if folder == Path(room) else MOST_IN_A_WING)
    }
    assert not crowded, crowded


def test_every_package_says_what_it_holds() -> None:
    """The docstring of a package is a sentence of its own."""
    told: dict[str, Path] = {}
    for module in modules():
        if module.path.name == "__init__.py":
            first = (ast.get_docstring(module.tree) or "").split("\n\n")[0]
            assert len(first.split()) >= 5, f"{module.path} does not say what it holds"
            assert not re.search(r"\b(todo|tbd|placeholder|package)\b", first, re.IGNORECASE), first
            assert first not in told, f"{module.path} says the same as {told[first]}"
            told[first] = module.path


def test_types_are_named() -> None:
    """`Any` is for what is really open; the number of lines with it falls."""
    lines = [line for module in modules() for line in module.text.splitlines()]
    assert sum(bool(re.search(r"\bAny\b", line)) for line in lines) <= MOST_ANY


def test_content_folders_hold_no_python() -> None:
    """tasks/ and reports/ are content: read through harness.content, never imported."""
    assert not [*(ROOT / "tasks").rglob("*.py"), *(ROOT / "reports").rglob("*.py")]


@pytest.mark.parametrize("command", [["--help"], ["compare", "--help"], ["--version"]])
def test_the_door_loads_no_model_library(command: list[str]) -> None:
    """Asking for help is instant because torch, numpy and their kind are not loaded."""
    code = (
        "import sys; from harness.cli import app\n"
        f"try: app({command!r})\nexcept SystemExit: pass\n"
        f"print(sorted(set(sys.modules) & {HEAVY | {'numpy', 'scipy'}!r}))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
