"""Pages of the site that nobody writes: the reference from code, and files included as they are.

MkDocs calls the functions named ``on_...`` (``hooks`` in ``mkdocs.yml``). Links are written as
they work in the repository; on the site they lead to the page made of a file, else to the file.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
SOURCES = "https://github.com/finetune-harness/finetune-harness"
INCLUDED = {
    "tests/bench/README.md": "benchmarks/index.md",
    "examples/README.md": "examples/index.md",
    "examples/report/report.html": "examples/report.html",
    "examples/report/report.png": "examples/report.png",
    "tasks/README.md": "reference/suites/index.md",
    **{
        f"tasks/{card.parent.name}/card.md": f"reference/suites/{card.parent.name}.md"
        for card in sorted((ROOT / "tasks").glob("*/card.md"))
    },
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Files of the repository -> pages of the site."""
ORIGINS = {page: file for file, page in INCLUDED.items()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put a page for each suite below the place that ``nav`` has for them."""
    suites = sorted(page for page in INCLUDED.values() if page.startswith("reference/suites/"))
    _fill(config.nav, "Suites", sorted(suites, key=lambda page: not page.endswith("index.md")))
    return config


def _fill(nav: Any, title: str, pages: list[str]) -> None:
    for entry in nav:
        for name, below in entry.items() if isinstance(entry, dict) else ():
            if name == title:
                entry[name] = pages
            elif isinstance(below, list):
                _fill(below, title, pages)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages made from code, and those that are files of the repository."""
    for file, page in INCLUDED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / file)))
    for page, text in reference().items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let a page's links lead to where their files are on the site, or in the repository."""
    here = page.file.src_uri
    origin = PurePosixPath(ORIGINS.get(here, f"docs/{here}"))

    def moved(link: re.Match[str]) -> str:
        target, anchor = link["target"], link["anchor"] or ""
        path = os.path.normpath(origin.parent / target)
        if path in INCLUDED:
            there = INCLUDED[path]
        elif path.startswith("docs/"):
            there = path.removeprefix("docs/")
        elif (ROOT / path).exists():
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            return f"]({SOURCES}/{kind}/main/{path}{anchor})"
        else:
            return link[0]
        return f"]({os.path.relpath(there, PurePosixPath(here).parent)}{anchor})"

    return re.sub(r"\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)", moved, markdown)


def reference() -> dict[str, str]:
    """Return the pages that are made from code, by their place on the site."""
    return {
        "reference/study.md": study_page(),
        "reference/commands.md": commands_page(),
        "reference/verdicts.md": verdicts_page(),
        "reference/labels.md": labels_page(),
        "reference/methods.md": methods_page(),
        "reference/extras.md": extras_page(),
    }


def table(head: str, rows: Iterable[Iterable[object]]) -> str:
    """Return a table; ``head`` has its column titles, separated by ``|``."""
    lines = [f"| {head} |", "|" + " --- |" * (head.count("|") + 1)]
    lines += [f"| {' | '.join(_cell(str(cell)) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def verdicts_page() -> str:
    """Return labels, verdicts, exit codes and the fields of ``gate.json``."""
    from harness import errors
    from harness.analysis.run_result import EXIT_CODES
    from harness.cli.console import STOPPED
    from harness.report.gate_json import CHECK_FIELDS, GATE_FIELDS
    from harness.report.wording import LABEL_SYMBOLS, LABEL_WORDS, VERDICT_WORDS
    from harness.stats.decide import VERDICTS

    labels = [
        (f"`{label}`", f"{LABEL_SYMBOLS[label]} {words}", f"`{VERDICTS[label]}`")
        for label, words in LABEL_WORDS.items()
    ]
    codes = [
        (code, f"`{verdict}`: {VERDICT_WORDS[verdict]}") for verdict, code in EXIT_CODES.items()
    ]
    kinds = [kind for name in errors.__all__ if isinstance(kind := getattr(errors, name), type)]
    codes += [
        (kind.exit_code, f"`{kind.__name__}`: {(kind.__doc__ or '').splitlines()[0]}")
        for kind in kinds
    ]
    codes.append((STOPPED, "stopped by Ctrl-C; what was finished is kept"))
    gate = [(f"`{name}`", said) for name, said in GATE_FIELDS.items()]
    checks = [(f"`{name}`", said) for name, said in CHECK_FIELDS.items()]
    return "\n".join(
        (
            "# Verdicts, exit codes and gate.json\n",
            "## Labels\n",
            "What a suite's change is called, in `gate.json` and in a report's words. Where the "
            "interval lies for each: [the words](../explanation/why-paired.md#the-words).\n",
            table("label | in a report | verdict", labels),
            "## Exit codes\n",
            "Of `run`, `compare`, `gate`; `quickstart` ends with 0 when the run completed. A "
            "run of several candidates fails where a regression stands out among all of them.\n",
            table("code | when", sorted(codes)),
            "## gate.json\n",
            table("field | what it says", gate),
            "### A check\n",
            "Numbers are in score units (0.05 is five points); those that do not exist are null.\n",
            table("field | what it says", checks),
        )
    )


def labels_page() -> str:
    """Return the causes that an answer's verdict can have, in plain words."""
    from harness.analysis.labels import PLAIN

    head = (
        "# Causes of a wrong answer\n\nA verdict on an answer has labels, the primary one first; a "
        "report counts them and says them in these words.\n\n"
    )
    return head + table("label | in words", ((f"`{name}`", said) for name, said in PLAIN.items()))


def methods_page() -> str:
    """Return fine-tuning methods and objectives with their defaults."""
    from harness.training.config.methods import METHODS, TRAINING
    from harness.training.config.objectives import OBJECTIVES

    def said(settings: Mapping[str, object]) -> str:
        return ", ".join(f"`{name}: {value}`" for name, value in settings.items())

    rows = [
        (f"`{m.name}`", m.summary, said({**m.settings, **m.training})) for m in METHODS.values()
    ]
    return "\n".join(
        (
            "# Methods and objectives\n",
            "`method:` of a candidate. `settings:` are PEFT's names, `training:` TRL's; what you "
            f"say there replaces these defaults. All methods have {said(TRAINING)}.\n",
            table("method | what it is | defaults", rows),
            "`objective:` says what is learnt from.\n",
            table(
                "objective | what it learns",
                ((f"`{o.name}`", o.summary) for o in OBJECTIVES.values()),
            ),
        )
    )


def extras_page() -> str:
    """Return the extras and their packages, from ``pyproject.toml``."""
    from harness.extras import EXTRAS

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = [
        (
            f"`{name}`",
            EXTRAS[name].use if name in EXTRAS else "",
            ", ".join(f"`{p}`" for p in packages),
        )
        for name, packages in project["optional-dependencies"].items()
    ]
    return (
        "# Extras\n\nIn a checkout: `pip install '.[NAME,NAME]'`. "
        "Without any, `compare`, `gate`, `report`, "
        "`review`, `init`, `tasks` and `rate` (but SQL) work. A command that lacks one prints the "
        "line to type.\n\n" + table("extra | for | packages", rows)
    )


def study_page() -> str:
    """Return the keys of a study file, from the schema that editors check it by."""
    from harness import study

    schema = study.json_schema()
    sections = schema.pop("$defs")
    title = "# The study file\n\n" + (
        "Every key of a study file. `harness init` writes the schema that this page is made from "
        "beside a study, so that an editor completes and checks the keys. Unknown keys are "
        "refused, and the nearest known one is named.\n\n"
    )
    parts = [_section("The whole file", schema)]
    parts += [_section(name, section) for name, section in sections.items()]
    return title + "\n".join(parts)


def _section(name: str, section: dict[str, Any]) -> str:
    required = section.get("required", ())
    lines = [f"## {_titled(name)}\n", section.get("description", "") + "\n"]
    rows = [
        (
            f"`{key}`",
            _kind(found),
            "required" if key in required else _default(found),
            found.get("description", ""),
        )
        for key, found in section.get("properties", {}).items()
    ]
    return "\n".join((*lines, table("key | value | default | what it says", rows)))


def _titled(name: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Section")).capitalize()
    return {"Base": "base", "Own base": "base", "Candidate": "candidates"}.get(words, words)


def _kind(found: dict[str, Any]) -> str:
    if "$ref" in found:
        name = found["$ref"].rpartition("/")[2]
        return f"[{_titled(name)}](#{_anchor(_titled(name))})"
    if "anyOf" in found:
        kinds = [_kind(one) for one in found["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in found:
        return ", ".join(f"`{value}`" for value in found["enum"])
    if found.get("type") == "array":
        return f"list of {_kind(found.get('items', {}))}"
    words = {"string": "text", "object": "mapping", "boolean": "true or false"}
    return words.get(found.get("type", ""), found.get("type", "any"))


def _default(found: dict[str, Any]) -> str:
    default = found.get("default")
    plain = default not in (None, "", []) and not isinstance(default, dict)
    return f"`{json.dumps(default)}`" if plain else ""


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _cell(text: str) -> str:
    return _escaped(re.sub(r"\s+", " ", text).replace("|", "\\|"))


def _escaped(text: str) -> str:
    """Return a text in which ``<name>`` is no markup; code between backticks stays as it is."""
    parts = text.split("`")
    return "`".join(part if n % 2 else part.replace("<", "&lt;") for n, part in enumerate(parts))


def commands_page() -> str:
    """Return every command with its arguments and options, from the command line itself."""
    from typer.main import get_command

    from harness.cli import app

    parts = ["# Commands\n", "`harness COMMAND --help` says the same in a terminal.\n"]
    commands: Any = get_command(app)
    for name, command in commands.commands.items():
        parts.append(_command(f"harness {name}", command))
        for below, sub in getattr(command, "commands", {}).items():
            parts.append(_command(f"harness {name} {below}", sub))
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    said, _, example = (command.help or "").strip().partition("Example:")
    lines = [f"## {name}\n", _escaped(re.sub(r"\n +", "\n", said.strip())) + "\n"]
    if example.strip():
        lines.append(f"Example: {example.strip()}\n")
    rows = []
    for parameter in command.params:
        option = ", ".join((*parameter.opts, *parameter.secondary_opts))
        shown = option if option.startswith("-") else option.upper()
        default = parameter.default
        plain = default not in (None, (), "", False) and not callable(default)
        rows.append((f"`{shown}`", f"`{default}`" if plain else "", parameter.help or ""))
    if rows:
        lines.append(table("option | default | what it does", rows))
    return "\n".join(lines) + "\n"
