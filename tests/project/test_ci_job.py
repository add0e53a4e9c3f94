"""The page's CI job, run as it stands there: on a regression, no change, and too few items."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml, Skipped
from support.command import HARNESS, run
from support.paths import ROOT
from support.tiny_models import lora

from harness import content

pytestmark = pytest.mark.model

PAGE = (ROOT / "docs" / "how-to" / "ci.md").read_text(encoding="utf-8")


def job() -> list[dict[str, Any]]:
    """Return the steps of the page's workflow."""
    text = PAGE.split("<!-- ci job -->")[1].split("<!-- end -->")[0]
    workflow = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    return list(workflow["jobs"]["gate"]["steps"])


def test_the_job_uploads_no_key_to_the_sheets() -> None:
    """Neither sheets nor key leave the machine, and the job has no right but to read."""
    paths = [s["with"]["path"] for s in job() if "upload-artifact" in s.get("uses", "")]
    assert paths
    assert all("!runs/support-bot/review" in path.split() for path in paths)
    text = PAGE.split("<!-- ci job -->")[1].split("<!-- end -->")[0]
    assert "permissions: {contents: read}" in text


def run_job(folder: Path) -> tuple[int, str]:
    """Run the job's own commands; return the exit code of the first that fails, and all output."""
    said, code = "", 0
    (folder / "bin").mkdir()
    harness = folder / "bin" / "harness"
    harness.write_text(f'#!/bin/sh\nexec {" ".join(HARNESS)} "$@"\n')
    harness.chmod(0o755)
    env = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }
    for step in job():
        if "run" not in step or step["run"].startswith("pip "):
            continue
        if code and step.get("if") != "always()":
            continue
        done = run("bash", "-e", "-c", step["run"], folder=folder, env=env)
        said += done.stdout + done.stderr
        code = code or done.returncode
    return code, said


def write_study(folder: Path, *, limit: int, alpha: float) -> None:
    """Write a study whose one candidate was damaged, hardly changed or not at all (``alpha`` 0)."""
    folder.mkdir(exist_ok=True)
    base = content.BUILTIN_MODELS["tiny"]
    lora(base, folder / "adapter", trained=alpha > 0, seed=3, lora_alpha=alpha or 32)
    plain = {
        "name": "support-bot",
        "base": "builtin:tiny",
        "candidates": [{"name": "tuned", "adapter": "adapter"}],
        "suites": [{"name": "arc_mini", "limit": limit, "margin": 0.1}],
        "review": {"items_per_suite": 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(plain))


@pytest.mark.parametrize(
    ("limit", "alpha", "code", "verdict", "said"),
    [
        (200, 32.0, 1, "fail", "regressed"),
        (200, 0.0, 0, "pass", "unchanged"),
        pytest.param(15, 0.0, 0, "pass", "unchanged", marks=pytest.mark.nightly),
        pytest.param(
            15,
            0.01,
            4,
            "inconclusive",
            r"inconclusive, about \d+ more items would decide",
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["planted regression", "unchanged model", "few items unchanged", "too few items"],
)
def test_the_job_says_what_happened(
    tmp_path: Path, limit: int, alpha: float, code: int, verdict: str, said: str
) -> None:
    """The exit code, the terminal, the summary and the files for programs agree."""
    write_study(tmp_path, limit=limit, alpha=alpha)
    found, output = run_job(tmp_path)
    assert found == code
    assert re.search(said, output)
    folder = tmp_path / "runs" / "support-bot"
    assert json.loads((folder / "gate.json").read_text())["verdict"] == verdict
    heading = (tmp_path / "summary.md").read_text().splitlines()[1]
    shown = "nothing broke, nothing gained" if verdict == "pass" else verdict
    assert heading.startswith(f"# support-bot: {shown}")
    case = next(iter(next(iter(JUnitXml.fromfile(str(folder / "junit.xml"))))))
    skipped = [entry for entry in case.result if isinstance(entry, Skipped)]
    assert bool(skipped) == (verdict == "inconclusive")
