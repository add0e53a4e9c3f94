"""The GitHub Action: its steps are run with bash, as a runner would, on scores and on a study."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import HARNESS, run
from support.paths import ROOT
from support.tiny_models import lora

from harness import content, study
from harness.pipeline.finished.baseline import save_baseline
from harness.pipeline.run import run_study
from harness.store.run_folder import RunFolder

ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
GH = """#!/bin/sh
printf '%s\\n' "$*" >> asked.txt
case "$*" in *--paginate*) cat known.txt;; esac
"""
"""Stands for GitHub: notes what it was asked, and knows the comments in ``known.txt``."""


class Runner:
    """Runs the action's own steps in a folder; what needs GitHub itself is left out."""

    def __init__(self, folder: Path, *, base_ref: str = "") -> None:
        self.folder, self.outputs, self.said = folder, dict[str, str](), ""
        tools, self.temp = folder / "bin", folder / "temp"
        tools.mkdir()
        self.temp.mkdir()
        for name, text in {
            "harness": f'#!/bin/sh\nexec {" ".join(HARNESS)} "$@"\n',
            "gh": GH,
        }.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        (folder / "event.json").write_text(json.dumps({"number": 7}))
        (folder / "known.txt").write_text("")
        self.env = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "GITHUB_REPOSITORY": "me/mine",
            "GITHUB_BASE_REF": base_ref,
            "RUNNER_TEMP": str(self.temp),
        }

    def run(self, **given: str) -> int:
        """Run all steps; return the first exit code that is not 0."""
        defaults = {name: str(one["default"]) for name, one in ACTION["inputs"].items()}
        inputs = defaults | {"token": ""} | {k.replace("_", "-"): v for k, v in given.items()}
        known = {f"inputs.{name}": value for name, value in inputs.items()}
        for step in STEPS:
            if "run" not in step or step["name"] == "Install":
                continue
            if step.get("if") == "inputs.baseline != ''" and not inputs["baseline"]:
                continue
            written = self.folder / "output.txt"
            written.write_text("")
            env = {name: self._value(text, known) for name, text in step["env"].items()}
            env |= self.env | {"GITHUB_OUTPUT": str(written)}
            bash = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
            done = run(*bash, step["run"], folder=self.folder, env=env)
            self.said += done.stdout + done.stderr
            for line in written.read_text().splitlines():
                name, _, value = line.partition("=")
                known[f"steps.{step.get('id')}.outputs.{name}"] = value
            if done.returncode:
                return done.returncode
        return 0

    def _value(self, text: str, known: dict[str, str]) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda found: known.get(found[1], ""), text)

    @property
    def artefact(self) -> set[str]:
        """The names of what is uploaded."""
        return {path.name for path in (self.temp / "harness-artefact").rglob("*")}


def write_scores(folder: Path, *, lost: int) -> None:
    """Write two sets of 600 scores; the tuned model loses the first ``lost`` of its right ones."""
    for side, missed in (("base", 0), ("tuned", lost)):
        rows = [json.dumps({"id": n, "score": int(n % 3 > 0 and n >= missed)}) for n in range(600)]
        (folder / f"{side}.jsonl").write_text("\n".join(rows) + "\n")


def test_no_input_stands_in_the_text_of_a_command() -> None:
    """An input that holds a command is data: expressions stand in ``env`` and ``with`` only."""
    assert not [step["name"] for step in STEPS if "${{" in step.get("run", "")]
    assert all(re.search(r"@v\d+$", step["uses"]) for step in STEPS if "uses" in step)


@pytest.mark.parametrize(("lost", "code"), [(0, 0), (300, 1)])
def test_two_sets_of_scores_are_judged(tmp_path: Path, lost: int, code: int) -> None:
    """Exit code, summary and artefact agree; no key leaves, and without a token nobody comments."""
    write_scores(tmp_path, lost=lost)
    left = tmp_path / "harness-run" / "review" / "first"
    left.mkdir(parents=True)
    (left / "key.json").write_text("{}")
    runner = Runner(tmp_path)
    assert runner.run(base="base.jsonl", tuned="tuned.jsonl", margin="0.05") == code, runner.said
    assert {"report.md", "report.html", "gate.json", "junit.xml"} == runner.artefact
    assert "<!-- finetune-harness" in (tmp_path / "summary.md").read_text()
    assert not (tmp_path / "asked.txt").exists()


def test_one_comment_is_kept(tmp_path: Path) -> None:
    """The first run writes a comment; where one of ours is known, it is replaced."""
    write_scores(tmp_path, lost=0)
    runner = Runner(tmp_path)
    given = {"base": "base.jsonl", "tuned": "tuned.jsonl", "margin": "0.05", "token": "t"}
    assert runner.run(**given) == 0, runner.said
    (tmp_path / "known.txt").write_text("41\n42\n")
    assert runner.run(**given) == 0, runner.said
    asked = (tmp_path / "asked.txt").read_text().splitlines()
    assert "--method POST repos/me/mine/issues/7/comments" in asked[1]
    assert "--method PATCH repos/me/mine/issues/comments/41" in asked[3]
    assert "finetune-harness base.jsonl_against_tuned.jsonl -->" in asked[0]


def test_a_failure_tells_no_earlier_report(tmp_path: Path) -> None:
    """Where nothing could be judged, what an earlier run left is neither told nor uploaded."""
    write_scores(tmp_path, lost=0)
    runner = Runner(tmp_path)
    assert runner.run(base="base.jsonl", tuned="tuned.jsonl", margin="0.05") == 0, runner.said
    told = (tmp_path / "summary.md").read_text()
    (tmp_path / "tuned.jsonl").write_text('{"id": 0, "score": 1}\n')
    given = {"base": "base.jsonl", "tuned": "tuned.jsonl", "margin": "0.05", "token": "t"}
    assert runner.run(**given) == 3, runner.said
    assert (tmp_path / "summary.md").read_text() == told
    assert not runner.artefact
    assert not (tmp_path / "asked.txt").exists()


def test_an_input_is_never_a_command(tmp_path: Path) -> None:
    """Names with quotes, options and substitutions are names of files that are not there."""
    runner = Runner(tmp_path)
    hostile = '"; touch hacked; $(touch hacked) #'
    assert runner.run(base=hostile, tuned="--help") == 2, runner.said
    assert runner.run(study="--help") == 2, runner.said
    assert runner.run() == 2
    assert not (tmp_path / "hacked").exists()
    assert runner.said.count("::error::nothing was judged; the lines above say why") == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"study": "study.yaml", "margin": "0.05"}, "a study states its margins itself"),
        (
            {"base": "base.jsonl", "tuned": "tuned.jsonl", "baseline": "scores/baseline.jsonl"},
            "a baseline is what a study's run is held against",
        ),
    ],
)
def test_an_input_that_would_do_nothing_is_refused(
    tmp_path: Path, given: dict[str, str], said: str
) -> None:
    """Nobody believes in a check that was never made."""
    write_scores(tmp_path, lost=0)
    runner = Runner(tmp_path)
    assert runner.run(**given) == 2, runner.said
    assert said in runner.said


@pytest.mark.nightly
@pytest.mark.model
def test_a_study_is_held_against_the_target_branch(tmp_path: Path) -> None:
    """The baseline is the target branch's; no key leaves; the comment has the job's verdict."""
    lora(content.BUILTIN_MODELS["tiny"], tmp_path / "other")
    plain = {
        "name": "mine",
        "base": "builtin:tiny",
        "candidates": [{"name": "other", "adapter": "other"}],
        "suites": [{"name": "arc_mini", "limit": 40, "margin": 0.3}],
        "review": {"items_per_suite": 2, "raters": 1},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(plain))
    out = tmp_path / "harness-run"
    run_study(study.load(tmp_path / "study.yaml"), out=out)
    (tmp_path / "scores").mkdir()
    kept = tmp_path / "scores" / "baseline.jsonl"
    save_baseline(RunFolder(out), kept)

    def git(*arguments: str) -> None:
        named = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        subprocess.run(["git", *named, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", "scores")
    git("commit", "-qm", "baseline")
    git("remote", "add", "origin", str(tmp_path))
    kept.write_text("what the pull request would like\n")
    runner = Runner(tmp_path, base_ref="main")
    code = runner.run(study="study.yaml", baseline="scores/baseline.jsonl", token="t")
    assert code in (0, 1, 4), runner.said
    assert "against_baseline" in runner.artefact
    assert list(out.rglob("key.json"))
    assert not {"key.json", "review", "answers.db"} & runner.artefact
    gate = json.loads((out / "against_baseline" / "gate.json").read_text())
    assert gate["verdict"] != "invalid"
    decided = "against_baseline/" if gate["exit_code"] == code else ""
    assert f"body=@harness-run/{decided}report.md" in (tmp_path / "asked.txt").read_text()


def test_the_hook_checks_study_files(tmp_path: Path) -> None:
    """The pre-commit hook passes the studies of ``examples/`` and says what is wrong elsewhere."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    good = [str(path) for path in (ROOT / "examples").glob("*/study.yaml")]
    assert good
    assert all(re.search(hook["files"], path) for path in good)
    bad = tmp_path / "study.yaml"
    bad.write_text("name: mine\nbase: builtin:tiny\nsuite: [sql]\n")
    python, *entry = hook["entry"].split()
    assert python == "python"
    assert run(HARNESS[0], *entry, *good).returncode == 0
    done = run(HARNESS[0], *entry, *good, bad)
    assert done.returncode == 2
    assert "did you mean 'suites'" in done.stderr
    assert "Traceback" not in done.stderr
