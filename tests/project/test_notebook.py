"""The notebook, run cell by cell in an empty folder as its reader would, and what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import EXAMPLES

CELLS = [
    "".join(cell["source"])
    for cell in json.loads((EXAMPLES / "first-verdict.ipynb").read_text("utf-8"))["cells"]
    if cell["cell_type"] == "code"
]


def test_its_cells_are_plain_python() -> None:
    """No cell needs a magic, so that the code works in a script, too; none keeps its output."""
    for cell in CELLS:
        compile(cell, "cell", "exec")
    notebook = json.loads((EXAMPLES / "first-verdict.ipynb").read_text("utf-8"))
    assert not any(cell.get("outputs") for cell in notebook["cells"])


@pytest.mark.model
@pytest.mark.nightly
def test_it_says_what_it_promises(tmp_path: Path) -> None:
    """One candidate is fit to ship; the other knows more prices and has forgotten science."""
    (tmp_path / "cells.py").write_text("\n\n".join(CELLS))
    run = subprocess.run(
        [sys.executable, "cells.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    verdicts = {(line.split() or [""])[0]: line for line in run.stdout.splitlines()}
    assert "Ship careful" in run.stdout
    assert verdicts["greedy"].endswith("regressed")
    assert run.stdout.rstrip().endswith("incorrect")
    assert (tmp_path / "runs/prices/report.html").is_file()
