"""A Python that sees only what ``pip install finetune-harness`` brings, without installing it."""

import functools
import json
import subprocess
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.command import python
from support.paths import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

HIDE_THE_REST = """
import json, os, re, sys
from importlib.machinery import PathFinder

seen = json.loads(os.environ["BARE_INSTALL"])
modules = {*seen["modules"], *sys.stdlib_module_names, "harness"}


class BareFinder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in modules or top.startswith("_sysconfigdata"):
            return super().find_spec(name, path, target)
        return None

    @classmethod
    def find_distributions(cls, *context):
        for found in super().find_distributions(*context):
            if re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower() in seen["distributions"]:
                yield found


sys.meta_path[sys.meta_path.index(PathFinder)] = BareFinder
"""


def run_bare(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code where only the bare install's modules can be found."""
    seen = {"BARE_INSTALL": json.dumps(_visible())}
    return python("-c", HIDE_THE_REST + code, *arguments, folder=folder, env=seen)


def harness(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line of a bare install."""
    return run_bare("from harness.cli import main; main()", *arguments, folder=folder)


def modules_of(requirements: Iterable[str]) -> set[str]:
    """Return what the named packages are imported as, without what they require in turn."""
    named = {canonicalize_name(Requirement(text).name) for text in requirements}
    installed = _modules_by_distribution()
    return {
        module
        for name in named
        for module in installed.get(name, {_NAMED_OTHERWISE.get(name, name.replace("-", "_"))})
    }


_NAMED_OTHERWISE = {"llama-cpp-python": "llama_cpp"}
"""What is imported by another name, of what need not be installed to run the tests."""


@functools.cache
def _visible() -> dict[str, list[str]]:
    distributions = _closure(PROJECT["dependencies"])
    by_distribution = _modules_by_distribution()
    modules = {module for name in distributions for module in by_distribution.get(name, ())}
    return {"modules": sorted(modules), "distributions": sorted(distributions)}


@functools.cache
def _modules_by_distribution() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for module, distributions in metadata.packages_distributions().items():
        for name in distributions:
            found.setdefault(canonicalize_name(name), set()).add(module)
    return found


def _closure(requirements: Iterable[str]) -> set[str]:
    """Return the names of the distributions that pip would install for some requirements."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            further = Requirement(text)
            extras = wanted.extras or {""}
            if not further.marker or any(further.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(further)
    return found
