"""The benchmark for a GPU works, as far as that can be seen without one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

pytestmark = [pytest.mark.model, pytest.mark.nightly]


def test_every_side_answers_and_no_verdict_differs(tmp_path: Path) -> None:
    """On a CPU with a tiny model: lm-eval's, ours with one arm and four, and verified bf16."""
    command = [sys.executable, ROOT / "tests" / "bench" / "gpu.py", "--json", tmp_path / "gpu.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sides = json.loads((tmp_path / "gpu.json").read_text())["sides"]
    for work in ("choices", "texts"):
        assert sides["hf"][f"{work}, adapter0"]["seconds"] > 0
        assert sides["ours"][f"{work}, four arms"]["seconds"] > 0
        assert sides["verified"][f"{work}, four arms"]["flips"] == 0
    assert sides["verified"]["choices, four arms"]["kept"] > 0
