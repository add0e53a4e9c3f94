"""What a release needs: a version from git, a dated changelog, workflows that name real parts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.paths import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
DATED = r"^## [0-9]+\.[0-9]+\.[0-9]+ \([0-9]{4}-[0-9]{2}-[0-9]{2}\)$"


def test_the_changelog_has_versions_with_dates() -> None:
    """The release workflow looks for a heading of exactly this form."""
    headings = re.findall(r"^## .*$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "## Unreleased"
    assert all(re.match(DATED, heading) for heading in headings[1:])
    asked = re.search(
        r'grep -E "(.*)" CHANGELOG', (ROOT / ".github/workflows/release.yml").read_text()
    )
    pattern = asked[1].replace("${GITHUB_REF_NAME#v}", "1.2.3")
    assert re.search(pattern, "## 1.2.3 (2026-11-28)")
    assert not re.search(pattern, "## 1.2.3")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_name_environments_and_files_that_exist(path: Path) -> None:
    """Each `tox -e` is one of tox.ini's, and no job may write unless it says so."""
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    known = {
        *re.findall(r"^\[testenv:(\S+)\]$", (ROOT / "tox.ini").read_text(), re.MULTILINE),
        "py",
    }
    for job in workflow["jobs"].values():
        offered = job.get("strategy", {}).get("matrix", {}).get("environment", [])
        for step in job["steps"]:
            named = re.findall(r"tox -e ([\w-]+)", step.get("run", ""))
            assert {*named, *offered} <= known
            assert all(
                (ROOT / name).exists() for name in re.findall(r"\.ci/\w+", step.get("run", ""))
            )


def test_the_image_gets_what_the_wheel_is_built_from() -> None:
    """Docker's context leaves out all but these, and a wheel needs each of them."""
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert all((ROOT / name).exists() for name in kept)
    folders, files = {"harness", "tasks", "reports"}, {"pyproject.toml", "README.md", "LICENSE"}
    assert {*kept} == {*folders, *files, "constraints.txt"}


@pytest.mark.nightly
def test_sources_without_git_have_a_version(tmp_path: Path) -> None:
    """A downloaded archive has no tags; its wheel is still built, with content, and says so."""
    for name in ("harness", "tasks", "reports", "pyproject.toml", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", ROOT / name, tmp_path], check=True)
    pip = [sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "-w", tmp_path / "wheels"]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", tmp_path], check=True)
    assert (tmp_path / "wheels/finetune_harness-0.1.0.dev0-py3-none-any.whl").is_file()
