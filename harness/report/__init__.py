"""What a person, a pull request and a CI system get to see of a run.

Every file is rendered from one `Result` by a pure function; `write` puts them on disk. A new
format is one function and one entry in ``WRITERS``.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import InfrastructureError
from harness.files import write_text
from harness.records import Result
from harness.report.gate_json import gate_json
from harness.report.html import html
from harness.report.junit import junit
from harness.report.markdown import markdown
from harness.report.model_card import model_card
from harness.report.without_texts import without_texts

__all__ = [
    "WRITERS",
    "gate_json",
    "html",
    "junit",
    "markdown",
    "model_card",
    "without_texts",
    "write",
]


def _gate_text(result: Result) -> str:
    return json.dumps(gate_json(result), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


WRITERS: Mapping[str, Callable[[Result], str]] = {
    "gate.json": _gate_text,
    "junit.xml": junit,
    "report.md": markdown,
    "report.html": html,
}
"""What is written, in this order: the decision first, so that it exists whatever follows."""


def write(result: Result, folder: Path) -> dict[str, Path]:
    """Write every report of a run into its folder.

    Each file is complete or absent: it is written beside its place and then moved there.

    Args:
        result: A finished run.
        folder: The run's folder; made if it is missing.

    Returns:
        Each file by its name.

    Raises:
        InfrastructureError: The folder cannot be written to.
    """
    written = {}
    for name, render in WRITERS.items():
        path = folder / name
        try:
            write_text(path, render(result))
        except InfrastructureError as error:
            raise InfrastructureError(f"{error}, then run `harness report` again") from error
        written[name] = path
    return written
