"""axe-core finds nothing to complain of, in any state of the page that a person can bring about."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.example_result import many_candidates
from support.pages import NEEDS_CHROMIUM, Visits

from harness import report

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)

pytestmark = NEEDS_CHROMIUM

WIDTHS = (320, 768, 1400)
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def complaints(page: Any) -> list[str]:
    """Return axe-core's violations: rule, and the elements that break it."""
    options = {"resultTypes": ["violations"], "runOnly": {"type": "tag", "values": TAGS}}
    found = axe.Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']][:3]} of {len(one['nodes'])}"
        for one in found
    ]


def open_item(page: Any) -> None:
    """Open the first item of the list."""
    page.locator("#list tbody a").first.click()
    page.wait_for_selector("#item:not([hidden])")


def find_nothing(page: Any) -> None:
    """Search for a word that no item has."""
    page.fill("#by-text", "no-such-word")
    page.locator("#count", has_text=re.compile("^0 of")).wait_for()


def open_sections(page: Any) -> None:
    """Open every section that can be opened."""
    page.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })")


def leave(page: Any) -> None:
    """Do nothing: the page as it opens."""


STATES: dict[str, tuple[Callable[[Any], None], dict[str, object]]] = {
    "as it opens": (leave, {}),
    "all sections open": (open_sections, {}),
    "an open item": (open_item, {}),
    "an empty list": (find_nothing, {}),
    "forced colours": (open_item, {"forced_colors": "active"}),
    "printed": (lambda page: page.emulate_media(media="print"), {}),
    "large text": (open_item, {"device_scale_factor": 2}),
}


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report of twelve candidates."""
    return report.write(many_candidates(12), tmp_path_factory.mktemp("dense"))["report.html"]


@pytest.fixture(scope="module")
def scriptless(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the example as a browser shows it that runs no script (axe-core is one itself)."""
    text = re.sub(r"<script.*?</script>", "", example.read_text("utf-8"), flags=re.DOTALL)
    path = tmp_path_factory.mktemp("scriptless") / "report.html"
    path.write_text(re.sub(r"</?noscript>", "", text), "utf-8")
    return path


@pytest.mark.parametrize(
    ("state", "scheme", "width"),
    [
        ("all sections open", "light", 1400),
        ("an open item", "dark", 1400),
        ("an open item", "light", 320),
        ("an empty list", "dark", 320),
    ],
)
def test_axe_finds_nothing(
    visit: Visits, example: Path, state: str, scheme: str, width: int
) -> None:
    """The states that differ most, each in one scheme and one width."""
    act, options = STATES[state]
    page = visit(example, viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    act(page)
    assert complaints(page) == []


def test_axe_finds_nothing_in_a_table_of_many(visit: Visits, dense: Path) -> None:
    """Twelve candidates in one matrix."""
    page = visit(dense, viewport={"width": 768, "height": 900})
    assert complaints(page) == []


@pytest.mark.nightly
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("which", ["example", "dense"])
def test_axe_finds_nothing_in_any_state(
    visit: Visits, request: pytest.FixtureRequest, which: str, width: int, scheme: str, state: str
) -> None:
    """Every state, in both schemes, at three widths, of two and of twelve candidates."""
    act, options = STATES[state]
    path = request.getfixturevalue(which)
    page = visit(path, viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    act(page)
    assert complaints(page) == []
    if state != "printed":  # paper is not as narrow as a phone
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [pytest.param(w, marks=pytest.mark.nightly) for w in WIDTHS[:2]]
                         + [1400])  # fmt: skip
def test_axe_finds_nothing_without_script(visit: Visits, scriptless: Path, width: int) -> None:
    """Verdict, charts and sections alone."""
    page = visit(scriptless, viewport={"width": width, "height": 900})
    open_sections(page)
    assert complaints(page) == []


def test_the_keyboard_alone_filters_opens_and_goes_back(visit: Visits, example: Path) -> None:
    """From the search by Tab to a filter, the list and an item, through it, and back to its row."""
    page = visit(example)
    focused = "document.activeElement.id || document.activeElement.tagName"
    page.keyboard.press("/")
    assert page.evaluate(focused) == "by-text"
    page.keyboard.type("lungs")
    page.locator("#count", has_text=re.compile("^80 of")).wait_for()
    for _ in range(12):
        if page.evaluate(focused) == "by-transition":
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.type("wrong before and")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("!!document.activeElement.closest('#list tbody')"):
            break
    row = page.evaluate("document.activeElement.getAttribute('href')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#item:not([hidden])")
    assert page.evaluate(focused) == "item"
    page.keyboard.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('#item')")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('href')") == row
    page.keyboard.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('#list tbody, .pages')")


def test_unbroken_text_never_widens_the_page(visit: Visits, tmp_path: Path) -> None:
    """Names, notes, questions and answers of three hundred letters without a space fit a phone."""
    long = "x" * 300
    result = many_candidates(1, rename=lambda name: name + long)
    first, *others = result.comparisons[0].pairs
    item = replace(first.base.item, prompt=long, target=long)
    pairs = (
        replace(
            first,
            base=replace(first.base, item=item),
            tuned=replace(
                first.tuned,
                item=item,
                verdict=replace(first.tuned.verdict, answer=long, explanation=long, labels=(long,)),
            ),
        ),
        *others,
    )
    result = replace(
        result,
        study=long,
        base_model=long,
        notes=(long,),
        reason=long,
        versions={long: long},
        comparisons=(replace(result.comparisons[0], pairs=pairs), *result.comparisons[1:]),
    )
    path = report.write(result, tmp_path)["report.html"]
    page = visit(path, viewport={"width": 320, "height": 800})
    open_sections(page)
    open_item(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert (
        page.evaluate(
            """() => [...document.querySelectorAll('#item *')].filter((node) => {
          const box = node.getBoundingClientRect();
          return box.right > 320 && !node.closest('.wide');
        }).map((node) => node.outerHTML.slice(0, 80))"""
        )
        == []
    )
