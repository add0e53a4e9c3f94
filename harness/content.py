"""Where the content folders live: beside the package in a checkout, inside it in a wheel.

And what every page made from them shares: its assets, and the policy that nothing else may run.
"""

import base64
import hashlib
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


def asset(name: str) -> str:
    """Return a style sheet or a script of a page."""
    return (REPORTS / "assets" / name).read_text("utf-8")


def page_policy(style: str, script: str = "", *, connect: bool = False) -> str:
    """Return the content policy of a page that runs this style sheet and script and nothing else.

    Args:
        style: The page's one style sheet.
        script: Its one script, if it has one.
        connect: Whether the script may speak with the server that the page came from.
    """

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    scripts = f" script-src 'sha256-{digest(script)}';" if script else ""
    servers = " connect-src 'self';" if connect else ""
    return (
        f"default-src 'none'; style-src 'sha256-{digest(style)}';{scripts}{servers} "
        "base-uri 'none'; form-action 'none'"
    )
