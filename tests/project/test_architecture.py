"""The architecture, stated as tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import python
from support.paths import ROOT

PACKAGE = ROOT / "harness"

TIERS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"cli", "__init__"}),
    frozenset({"quickstart"}),
    frozenset({"pipeline"}),
    frozenset({"training", "engine", "store", "report", "review", "ingest"}),
    frozenset({"suites"}),
    frozenset({"models", "analysis", "rating", "metrics"}),
    frozenset({"scoring", "sql", "stats", "corpus"}),
    frozenset({"study"}),
    frozenset({"records", "content", "files", "versions"}),
    frozenset({"errors"}),
)
"""Rooms from the door down: each imports only from tiers below its own."""

HEAVY = {"torch", "transformers", "trl", "peft", "lm_eval", "datasets", "accelerate", "evaluate"}
PURE = {room for tier in TIERS[6:] for room in tier} - {"metrics", "models"} | {"report", "review"}
LONGEST_FILE = 450
LONGEST_FUNCTION = 50


def modules() -> list[Path]:
    """Return every Python file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """Return the room that a file belongs to: its folder or module right below ``harness/``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


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


def parsed(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def is_room(name: str) -> bool:
    """Say whether a dotted name is in a room of ours, not an attribute such as the version."""
    parts = name.split(".")
    return parts[0] == "harness" and len(parts) > 1 and not parts[1].startswith("__")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    """A room imports from itself and from tiers below; rooms of one tier do not know each other."""
    own = room(path)
    for name in imports(parsed(path)):
        if is_room(name):
            other = name.split(".")[1]
            assert other == own or tier(other) > tier(own), f"{own} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_deciding_rooms_are_pure(path: Path) -> None:
    """Whatever decides imports no model library, not even lazily."""
    if room(path) in PURE:
        assert not {name.split(".")[0] for name in imports(parsed(path))} & HEAVY


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(path: Path) -> None:
    """No file outgrows what a newcomer reads in five minutes; docstrings are not counted."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            length = (node.end_lineno or node.lineno) - first.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


def test_content_folders_hold_no_python() -> None:
    """tasks/ and reports/ are content: read through harness.content, never imported."""
    assert not [*(ROOT / "tasks").rglob("*.py"), *(ROOT / "reports").rglob("*.py")]


@pytest.mark.parametrize("command", [["--help"], ["compare", "--help"], ["--version"]])
def test_the_door_loads_no_model_library(command: list[str]) -> None:
    """Asking for help is instant because torch and its kind are not loaded."""
    code = (
        "import sys; from harness.cli import app\n"
        f"try: app({command!r})\nexcept SystemExit: pass\n"
        f"print(sorted(set(sys.modules) & {HEAVY!r}))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
