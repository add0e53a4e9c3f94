"""Documentation that cannot drift: commands, suites, links and the README's own commands."""

import re

import pytest
from support.paths import ROOT
from typer.main import get_command

from harness.cli import app
from harness.suites.catalogue import builtin_suites

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(get_command(app).commands))
def test_every_command_is_in_the_readme(name: str) -> None:
    """Whoever reads the README learns of every command."""
    assert f"harness {name}" in README


@pytest.mark.parametrize("name", sorted(builtin_suites()))
def test_every_suite_has_a_card_and_goldens(name: str) -> None:
    """A suite says where its rows come from and what its judge must decide."""
    folder = ROOT / "tasks" / name
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert re.search(r"licen[cs]e", card, re.IGNORECASE)
    assert (folder / "golden.jsonl").stat().st_size > 0
    assert name in README


def test_links_lead_somewhere() -> None:
    """Every relative link in the Markdown files points to a file that exists."""
    folders = (ROOT / "tasks", ROOT / "reports", ROOT / "docs", ROOT / "examples")
    folders = (*folders, ROOT / "tests" / "bench")
    pages = [*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert not broken


def test_pages_name_commands_and_options_that_exist() -> None:
    """Whoever types a line of ``docs/`` or ``examples/scale`` finds command and options known."""
    commands = get_command(app).commands
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "examples" / "scale").iterdir()]
    typed = {
        (verb, option)
        for page in pages
        for line in page.read_text(encoding="utf-8").splitlines()
        for verb, rest in re.findall(r"harness (train|score|run|plan)\b([^`#;&|]*)", line)
        for option in ("", *re.findall(r"(?<=\s)--[a-z-]+", rest))
    }
    known = {verb: {o for p in commands[verb].params for o in p.opts} | {""} for verb, _ in typed}
    assert len(typed) > 6
    assert not [both for both in typed if both[1] not in known[both[0]]]


def test_ci_runs_the_readme_s_test_command() -> None:
    """CI takes its command from the README, so that the two cannot differ."""
    block = README.split("<!-- test command -->")[1].split("<!-- end -->")[0]
    assert "tox" in block
    assert "<!-- test command -->" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_what_contributing_names_is_there() -> None:
    """Every path and every dotted name of ours in CONTRIBUTING leads somewhere."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:harness|tests|tasks|reports|examples)/[\w./]*)`", text)
    assert len(paths) > 25
    assert not [path for path in paths if not (ROOT / path).exists()]
    for name in set(re.findall(r"`(harness(?:\.\w+)+)`", text)):
        place = ROOT / name.replace(".", "/")
        assert any(f.is_dir() or f.with_suffix(".py").is_file() for f in (place, place.parent)), (
            name
        )
