"""Where the content folders live: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BUNDLED = _PACKAGE / "_content"
_IS_CHECKOUT = (_PACKAGE.parent / "pyproject.toml").is_file()

ROOT = _PACKAGE.parent if _IS_CHECKOUT else _BUNDLED
"""Folder that holds ``tasks/`` and ``reports/``."""

TASKS = ROOT / "tasks"
"""One folder a suite: ``<suite>/<suite>.yaml``, ``card.md``, ``data/*.jsonl``, ``golden.jsonl``."""

REPORTS = ROOT / "reports"
"""Templates, assets and the raters' rubric."""

BUILTIN_MODELS = {"tiny": _PACKAGE / "quickstart" / "base"}
"""Models that come with the package, by the name that follows ``builtin:`` in a study."""
