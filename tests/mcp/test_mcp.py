"""The server as a client meets it: the SDK's own client, over stdio, with a process of its own."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import StdioServerParameters, stdio_client
from mcp.client import Client
from support.command import HARNESS
from support.finished_runs import write_run
from support.tiny_models import lora

from harness import content

STUDY = {
    "name": "mine",
    "base": "builtin:tiny",
    "candidates": [{"name": "other", "adapter": "other"}],
    "suites": [{"name": "arc_mini", "limit": 20, "margin": 0.2}],
}
SECRET = "not-to-be-told-77"
Call = tuple[str, dict[str, object]]
Answer = tuple[bool, str, Mapping[str, Any]]
"""Whether a call failed, its text, and the object that it gave."""


def ask(
    root: Path, *calls: Call, leave: bool = False
) -> list[tuple[bool, str, Mapping[str, object]]]:
    """Call tools one after the other; return whether each failed, its text, and its object."""
    command, *before = HARNESS
    arguments = [*before, "mcp", "--root", str(root), *(["--allow-run"] if leave else [])]
    env = dict(os.environ) | {"SHOP_TOKEN": SECRET, "HF_HUB_OFFLINE": "1"}
    server = StdioServerParameters(command=command, args=arguments, env=env, cwd=root)

    async def session() -> list[Answer]:
        told = []
        async with Client(stdio_client(server)) as client:
            for name, given in calls:
                done = await client.call_tool(name, given)
                text = "".join(getattr(part, "text", "") for part in done.content)
                told.append((bool(done.is_error), text, done.structured_content or {}))
                if name == "run" and not done.is_error:
                    await finished(client, str(told[-1][2]["run"]))
        return told

    return asyncio.run(session())


async def finished(client: Client, run: str) -> None:
    """Ask for a run's status until it has ended."""
    while True:
        done = await client.call_tool("status", {"run": run})
        told = done.structured_content
        assert told is not None, done
        if not told["running"]:
            assert told["exit_code"] in (0, 1, 4), told
            return
        await asyncio.sleep(0.5)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with a finished run and a study."""
    folder = tmp_path / "root"
    folder.mkdir()
    write_run(folder / "run", note=f" {SECRET}")
    lora(content.BUILTIN_MODELS["tiny"], folder / "other")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY), "utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.model
def test_a_client_plans_and_asks_why_an_item_was_lost(root: Path) -> None:
    """Plan, status, gate, compare, report and a lost item are told, and nothing is written."""
    before = contents(root)
    plan, status, gate, compared, report, lost = ask(
        root,
        ("plan", {"study": "study.yaml"}),
        ("status", {"run": "run"}),
        ("gate", {"run": "run"}),
        ("compare", {"base": "run/samples/base", "tuned": "run/samples/mixed"}),
        ("report", {"run": "run"}),
        ("lost_items", {"run": "run", "suite": "arc_mini"}),
    )
    assert plan[2]["arms"] == ["base", "other"], plan
    assert plan[2]["suites"][0]["items"] == 20
    assert status[2]["study"] == "made"
    verdicts = {check["suite"]: check["verdict"] for check in gate[2]["checks"]}
    again = {check["suite"]: check["verdict"] for check in compared[2]["checks"]}
    assert verdicts.keys() == again.keys()
    assert "finetune-harness" in str(report[2]["markdown"])
    first = lost[2]["first"][0]["item"]
    (why,) = ask(root, ("why_lost", {"run": "run", "suite": "arc_mini", "item": first}))
    assert why[2]["transition"] == "lost"
    assert why[2]["prompt"]
    assert why[2]["wanted"]
    arms = why[2]["arms"]
    assert arms["base"]["outcome"] == "correct"
    assert arms["mixed"]["outcome"] == "incorrect"
    told = json.dumps([plan, status, gate, compared, report, lost, why])
    assert SECRET not in told
    assert "${SHOP_TOKEN}" in told
    assert contents(root) == before


def test_nothing_outside_the_root_is_read_and_nothing_runs_without_leave(root: Path) -> None:
    """Paths, links and files of a study that lead out are one sentence, as is a run."""
    write_run(root.parent / "outside")
    (root / "link").symlink_to(root.parent / "outside")
    (root / "samples").mkdir()
    (root / "samples" / "s.jsonl").symlink_to(root.parent / "outside" / "study.lock.json")
    for name, more in {
        "rows": {"candidates": [{"name": "a", "train": "../rows.jsonl"}]},
        "model": {"base": str(root.parent / "outside")},
        "code": {"suites": [{"name": "arc_mini", "folder": "link"}]},
        "hub": {"base": {"model": "builtin:tiny", "trust_remote_code": True}},
    }.items():
        (root / f"{name}.yaml").write_text(yaml.safe_dump(STUDY | more), "utf-8")
    outside = [
        ("gate", {"run": "../outside"}),
        ("status", {"run": str(root.parent / "outside")}),
        ("report", {"run": "link"}),
        ("compare", {"base": "samples", "tuned": "samples"}),
        ("plan", {"study": "rows.yaml"}),
        ("plan", {"study": "model.yaml"}),
        ("plan", {"study": "study.yaml", "out": "../elsewhere"}),
    ]
    leave = [
        ("run", {"study": "study.yaml"}),
        ("plan", {"study": "code.yaml"}),
        ("plan", {"study": "hub.yaml"}),
    ]
    told = ask(root, *outside, *leave, ("gate", {"run": "none"}))
    for call, (failed, text, _) in zip(outside, told, strict=False):
        assert failed, call
        assert "under the root of this server" in text, (call, text)
        assert "\n" not in text
    for call, (failed, text, _) in zip(leave, told[len(outside) :], strict=False):
        assert failed, call
        assert "--allow-run" in text, (call, text)
    assert "must hold a scored run" in told[-1][1]
    assert not (root / "runs").exists()


@pytest.mark.nightly
@pytest.mark.model
def test_a_client_with_leave_runs_a_study(root: Path) -> None:
    """With ``--allow-run`` a study is run in the background, told by status, and judged."""
    _, gate = ask(
        root, ("run", {"study": "study.yaml"}), ("gate", {"run": "runs/mine"}), leave=True
    )
    assert gate[2]["checks"][0]["suite"] == "arc_mini"
    assert (root / "runs" / "mine" / "report.html").exists()
