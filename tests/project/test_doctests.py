"""The examples in docstrings are true."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest
from support.paths import ROOT

SHOWN = re.compile(r"^\s*>>> [^#]", re.MULTILINE)


def dotted(path: Path) -> str:
    """Return the name under which a file of the package is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def with_examples() -> list[str]:
    """Return the modules whose docstrings show an example."""
    files = sorted((ROOT / "harness").rglob("*.py"))
    return [dotted(path) for path in files if SHOWN.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("module", with_examples())
def test_what_a_docstring_shows_is_what_happens(module: str) -> None:
    """Every ``>>>`` line of the installed package gives the lines below it."""
    failed, tried = doctest.testmod(import_module(module), optionflags=doctest.ELLIPSIS)
    assert tried
    assert not failed
