"""What a user may import: what a module exports is what it has, and is documented."""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from support.paths import ROOT

MODULES = ("harness", "harness.errors", "harness.records", "harness.stats")


def public(module: ModuleType) -> set[str]:
    """Return the names that a module defines or takes from another module of ours to hand on."""
    assert module.__file__
    names: set[str] = set()
    for node in ast.parse(Path(module.__file__).read_text("utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.ImportFrom(module=str(source)) if source.startswith("harness"):
                names.update(alias.asname or alias.name for alias in node.names)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("name", MODULES)
def test_all_is_what_a_module_offers(name: str) -> None:
    """``__all__`` lists every public name, sorted as ruff sorts it, each once."""
    module = import_module(name)
    assert set(module.__all__) == public(module)
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("name", [*MODULES, "harness.study"])
def test_public_names_are_documented(name: str) -> None:
    """Whatever can be called or raised says what it is for, each method and property, too."""
    module = import_module(name)
    silent = [
        f"{name}.{public_name}.{part}".rstrip(".")
        for public_name in module.__all__
        for part, value in callable_parts(getattr(module, public_name))
        if not (value.__doc__ or "").strip()
    ]
    assert not silent


def callable_parts(value: object) -> Iterator[tuple[str, object]]:
    """Yield what of a public name can be called or read, by its own name in a class."""
    if inspect.isclass(value) or inspect.isfunction(value):
        yield "", value
    for name, part in vars(value).items() if inspect.isclass(value) else ():
        own = part.fget if isinstance(part, property) else getattr(part, "__func__", part)
        if not name.startswith("_") and inspect.isfunction(own):
            yield name, own


def test_the_reference_shows_every_name_of_the_package() -> None:
    """What ``import harness`` offers and what the page about Python shows are the same names."""
    import harness

    page = ROOT / "docs" / "reference" / "python.md"
    section = page.read_text("utf-8").split("## In a trainer")[0]
    assert set(re.findall(r"\bharness\.(\w+)", section)) == set(harness.__all__)


def test_the_package_is_typed() -> None:
    """A type checker of whoever imports us reads our annotations (PEP 561)."""
    assert (ROOT / "harness" / "py.typed").read_bytes() == b""
