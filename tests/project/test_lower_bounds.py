"""No bound in pyproject.toml admits a release with a known hole in what we use it for."""

import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support.paths import ROOT

MENDED = {
    "transformers": ("5.3.0", "CVE-2026-4372: a configuration names a kernel whose code is run"),
    "torch": ("2.10.0", "CVE-2026-24747: weights_only does not hold"),
    "jinja2": ("3.1.6", "CVE-2025-27516: out of the sandbox by |attr"),
    "pyarrow": ("23.0.1", "CVE-2026-25087: memory used after it was freed; CVE-2023-47248"),
    "pg8000": ("1.31.5", "CVE-2025-61385: SQL injected by a value"),
    "duckdb": ("1.4.2", "CVE-2025-64429: encryption that can be undone"),
    "pyyaml": ("5.4", "CVE-2020-14343: full_load runs code"),
    "openpyxl": ("2.4.2", "CVE-2017-5992: external entities"),
    "pydantic": ("2.4.0", "CVE-2024-3772: an address that takes forever"),
    "scipy": ("1.10.0", "CVE-2023-25399"),
    "numpy": ("1.22.2", "CVE-2021-41495"),
}
"""Distribution -> the first release without the hole, and which hole."""


def requirements() -> Iterator[Requirement]:
    """Yield every requirement of the package and of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lines in (project["dependencies"], *project["optional-dependencies"].values()):
        yield from map(Requirement, lines)


@pytest.mark.parametrize("name", MENDED)
def test_the_lowest_release_is_a_mended_one(name: str) -> None:
    """Whoever installs the oldest releases that we allow gets none that is known to be broken."""
    mine = [each for each in requirements() if each.name.lower() == name]
    assert mine
    for each in mine:
        lowest = [Version(s.version) for s in each.specifier if s.operator in (">=", "==", "~=")]
        assert lowest, f"{each} has no lower bound"
        assert max(lowest) >= Version(MENDED[name][0]), f"{each}: {MENDED[name][1]}"


def test_every_requirement_has_a_lower_bound() -> None:
    """Without one pip may take a release from before any mending."""
    bare = [
        str(each)
        for each in requirements()
        if each.name != "finetune-harness"
        and not any(s.operator in (">=", "==", "~=") for s in each.specifier)
    ]
    assert not bare


def test_what_was_tested_is_within_the_bounds() -> None:
    """The releases in constraints.txt are ones that pyproject.toml admits."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.lower().split("==") for line in lines if "==" in line and line[0] != "#")
    for each in requirements():
        if each.name.lower() in pinned:
            assert each.specifier.contains(pinned[each.name.lower()], prereleases=True), each
