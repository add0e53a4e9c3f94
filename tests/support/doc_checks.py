"""What can be said of a block of documentation without running it; needs no model, no network."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from support.doc_blocks import Block
from support.paths import ROOT
from typer.main import get_command

from harness import study
from harness.cli import app
from harness.errors import StudyError

KNOWN = ("bash", "csv", "json", "jsonl", "python", "setup", "sql", "text", "yaml")
WORKFLOW = {"concurrency", "env", "jobs", "name", "on", True, "permissions", "steps"}
"""Keys of a GitHub workflow, or of the part of one; YAML 1.1 reads ``on`` as true."""
REST: dict[str, Any] = {
    "name": "rest",
    "base": "builtin:tiny",
    "candidates": [{"name": "rest", "adapter": "adapter"}],
    "suites": ["arc_mini"],
}
"""What a part of a study is completed by."""


def wrong_in(block: Block) -> list[str]:
    """Return what is wrong with a block, a sentence each."""
    try:
        match block.language:
            case "bash" | "setup":
                wrong = unknown_commands(block.text)
            case "python":
                wrong = list(_unknown_imports(block.text))
            case "yaml":
                wrong = list(_wrong_yaml(yaml.safe_load(block.text)))
            case "json":
                wrong = [] if json.loads(block.text) is not None else ["empty"]
            case "jsonl":
                wrong = [line for line in block.text.splitlines() if not json.loads(line)]
            case other:
                wrong = [] if other in KNOWN else [f"a fence needs a language of {KNOWN}"]
    except (ValueError, SyntaxError, yaml.YAMLError, StudyError) as error:
        wrong = [str(error)]
    return [f"{block.place}: {sentence}" for sentence in wrong]


def unknown_commands(text: str) -> list[str]:
    """Return the commands, options and extras that a text types and that do not exist."""
    joined = text.replace("\\\n", " ")
    wrong = [f"no extra {name!r}" for name in sorted(_extras(joined) - _known_extras())]
    for line in joined.splitlines():
        for typed in re.findall(r"(?<![\w./-])harness ([a-z-]+[^`;&|#>]*)", line):
            wrong += _unknown(typed.split())
    return wrong


def _unknown(words: list[str]) -> Iterator[str]:
    known: Any = get_command(app)
    name = "harness"
    while words and hasattr(known, "commands"):
        if words[0] not in known.commands:
            if name == "harness":
                yield f"no command 'harness {words[0]}'"
                return
            break
        name = f"{name} {words[0]}"
        known, words = known.commands[words[0]], words[1:]
    if name == "harness lm-eval":
        return
    options = {opt for p in known.params for opt in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
    for word in words:
        option = word.strip("[]().,:").partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in options:
            yield f"'{name}' has no option {option!r}"


def _extras(text: str) -> set[str]:
    listed = re.findall(r"(?:finetune-harness|['\" ]\.)\[([\w,-]+)\]", text)
    return {name for names in listed for name in names.split(",")}


def _known_extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return set(project["project"]["optional-dependencies"])


def _unknown_imports(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
            offered = _offered(str(node.module))
            for alias in node.names:
                if alias.name not in offered:
                    yield f"{node.module} has no {alias.name!r}"


def _offered(module: str) -> set[str]:
    """Return what a module of ours defines or imports, without running it: some load torch."""
    found = find_spec(module)
    if found is None or found.origin is None:
        return set()
    names: set[str] = set()
    for node in ast.parse(Path(found.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names.update(alias.asname or alias.name for alias in node.names)
    if found.submodule_search_locations:
        names.update(path.stem for path in Path(found.origin).parent.glob("*.py"))
    return names


def _wrong_yaml(found: Any) -> Iterator[str]:
    if not isinstance(found, dict):
        yield "a block of YAML has to be a mapping: a study, a part of one, a suite or a workflow"
    elif "repos" in found:
        text = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
        known = {hook["id"] for hook in yaml.safe_load(text)}
        ours = [hook["id"] for repo in found["repos"] for hook in repo["hooks"]]
        yield from (f"no hook {name!r}" for name in ours if name not in known)
    elif "task" in found:  # a suite, which lm-eval reads
        yield from () if found["task"] else ["a suite's 'task' is its name"]
    elif {"jobs", "steps"} & set(found):
        yield from _wrong_workflow(found)
    else:
        _load(found)


def _load(found: dict[str, Any]) -> None:
    """Read a study, or a part completed to one.

    Raises:
        StudyError: As `harness.study.load` does.
    """
    part = {**REST, **found}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(yaml.safe_dump(part), encoding="utf-8")
        study.load(path)


def _wrong_workflow(found: dict[Any, Any]) -> Iterator[str]:
    yield from (f"no key of a workflow: {key!r}" for key in found if key not in WORKFLOW)
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    jobs = found.get("jobs", {"job": found})
    for step in (step for job in jobs.values() for step in job.get("steps", ())):
        yield from unknown_commands(step.get("run", ""))
        if "/finetune-harness@" in step.get("uses", ""):
            given = set(step.get("with", {}))
            yield from (
                f"the action has no input {name!r}" for name in given - set(action["inputs"])
            )
