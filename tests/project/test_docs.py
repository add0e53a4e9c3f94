"""Documentation that cannot drift: commands, suites, links and the README's own commands."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from _pytest.mark import ParameterSet
from support.doc_blocks import FENCE, RUN, blocks_of, has_script, is_nightly, run_page
from support.doc_checks import unknown_commands, wrong_in
from support.paths import ROOT
from typer.main import get_command

from harness.cli import app
from harness.suites.catalogue import builtin_suites

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

MKDOCS = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def named(nav: Any) -> Iterator[str]:
    """Yield the pages of a part of the site's navigation."""
    if isinstance(nav, str):
        yield nav
    elif nav:
        for below in nav.values() if isinstance(nav, dict) else nav:
            yield from named(below)


NAV = list(named(MKDOCS["nav"]))
"""The site's pages, those included that are made when it is built."""


def case(page: Path) -> ParameterSet:
    """Return a page as a test's case, at night only where it says so."""
    marks = [pytest.mark.nightly] if is_nightly(page) else []
    return pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


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
    """Every link in the Markdown files leads to a file that exists, and to a heading in it.

    Pages of the site that are made when it is built stand in its ``nav``, as all pages do.
    """
    folders = (ROOT / "tasks", ROOT / "reports", ROOT / "docs", ROOT / "examples")
    folders = (*folders, ROOT / "tests" / "bench", ROOT / ".github")
    pages = [*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    made = {ROOT / "docs" / page for page in NAV}
    broken = [
        f"{page.relative_to(ROOT)}: {link[0]}"
        for page in pages
        for link in re.finditer(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)", prose(page))
        if not leads(page, link[1], link[2] or "", made if ROOT / "docs" in page.parents else set())
    ]
    assert not broken


def test_the_readme_stays_short() -> None:
    """Whoever has never heard of it reads it to the end; the rest stands in ``docs/``."""
    assert len(README.splitlines()) <= 140


def prose(page: Path) -> str:
    """Return a page's text without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def leads(page: Path, link: str, anchor: str, made: set[Path]) -> bool:
    """Say whether a link leads somewhere; the build checks headings of pages that it makes."""
    target = (page.parent / link).resolve() if link else page
    if not target.exists():
        return target in made
    if not anchor or target.suffix != ".md":
        return True
    headings = re.findall(r"^#+ (.+)$", prose(target), re.MULTILINE)
    return anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_addresses_elsewhere_have_the_right_form() -> None:
    """Nothing on the network is asked; an address is https, or on this machine."""
    folders = (ROOT / "docs", ROOT / "tasks", ROOT / "examples", ROOT / ".github")
    pages = [*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    found = {link for page in pages for link in re.findall(r"\]\((\w+:[^)\s]*)\)", prose(page))}
    assert len(found) >= 2
    assert not [link for link in found if not re.fullmatch(r"https://[\w.-]+\.\w+(/\S*)?", link)]


def test_every_page_is_in_the_navigation() -> None:
    """A page that nobody finds is no page."""
    docs = ROOT / "docs"
    written = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}
    assert not written - set(NAV)
    assert len(NAV) == len(set(NAV))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_of_a_page_are_true(page: Path) -> None:
    """Commands, options, keys and imports that its blocks and its prose name exist."""
    wrong = [sentence for block in blocks_of(page) for sentence in wrong_in(block)]
    text = page.read_text(encoding="utf-8")
    assert wrong + unknown_commands("\n".join(re.findall(r"`(harness [^`]+)`", text))) == []


def test_blocks_are_run_unless_they_say_why_not() -> None:
    """A block that is not run has a reason that readers see, and each language is known."""
    silent = [
        block.place
        for page in PAGES
        for block in blocks_of(page)
        if block.language in RUN and not (block.is_run or block.why_not)
        if not block.makes_an_environment
    ]
    assert not silent


@pytest.mark.model
@pytest.mark.parametrize("page", [case(page) for page in PAGES if has_script(page)])
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    """Its blocks, one after the other in an empty folder, work and print what it shows."""
    assert run_page(page, tmp_path) == []


SAMPLE = """\
<!-- setup
export WHO=reader
-->

```csv title="rows/a.csv"
id,score
```

```bash
cat rows/a.csv; echo "$WHO waits 3 s"
```

```text
id,score
{who} waits ... s
```

```python
from pathlib import Path
print(Path("rows/a.csv").exists())
```

```bash
# not run by the tests: needs a GPU
harness run study.yaml {option}
```

- In a list:

    ```yaml
    suites: [{{name: arc_mini, {key}: 5}}]
    ```
"""


@pytest.mark.parametrize(
    ("who", "option", "key", "wrong"),
    [
        ("reader", "--until-decided", "limit", ""),
        ("nobody", "--until-decided", "limit", "is not what is printed: id,score"),
        ("reader", "--until-dedided", "limit", "'harness run' has no option '--until-dedided'"),
        ("reader", "--until-decided", "limits", "did you mean 'limit'"),
    ],
)
def test_what_is_not_true_is_found(
    tmp_path: Path, who: str, option: str, key: str, wrong: str
) -> None:
    """A page is held to its outputs, options and keys, and what is in a list is a block as well."""
    page = tmp_path / "page.md"
    page.write_text(SAMPLE.format(who=who, option=option, key=key), encoding="utf-8")
    assert len(blocks_of(page)) == 7
    found = run_page(page, tmp_path)
    found += [sentence for block in blocks_of(page) for sentence in wrong_in(block)]
    assert [wrong in sentence for sentence in found] == [True] * bool(wrong)


def test_scripts_name_commands_that_exist() -> None:
    """Whoever copies a script of ``examples/scale`` finds commands and options known."""
    scripts = list((ROOT / "examples" / "scale").iterdir())
    assert len(scripts) > 2
    assert [w for s in scripts for w in unknown_commands(s.read_text(encoding="utf-8"))] == []


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
