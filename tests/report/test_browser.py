"""report.html in a real browser: it works, keeps to itself, and everyone can use it."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import SAFETY_NET
from support.example_result import XSS, example_result, saying

from harness import report
from harness.records import Response

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """Start one headless Chromium for all tests."""
    sync_api.expect.set_options(timeout=1000 * SAFETY_NET)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the example report once."""
    return report.write(example_result(), tmp_path_factory.mktemp("run"))["report.html"]


@pytest.fixture
def visit(chromium: object) -> Iterator[object]:
    """Open pages that fail the test on any console error, page error or network request."""
    faults: list[str] = []
    contexts = []

    def opened(path: Path, fragment: str = "", **options: object) -> object:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(1000 * SAFETY_NET)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(f"dialog {dialog.message}"))
        page.on("request", lambda r: None if r.url.startswith("file:") else faults.append(r.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def expect_count(page: object, start: str) -> None:
    """Wait until the item browser says that it shows this many answers.

    (Playwright's ``wait_for_function`` evaluates strings, which the page's policy forbids.)
    """
    sync_api.expect(page.locator("#count")).to_have_text(re.compile(f"^{start} of"))


def count(page: object) -> str:
    """Return what the item browser says about how many answers it shows."""
    return page.inner_text("#count")


def test_the_page_shows_its_items(visit: object, example: Path) -> None:
    """Without any click the verdict stands on top and the first page of items below."""
    page = visit(example)
    assert "narrow does not ship" in page.inner_text("h1")
    assert page.locator("#list tbody tr").count() == 20
    assert page.locator("#list tbody tr").first.inner_text().startswith("lost")
    assert count(page).startswith("800 of 800 answers")


def test_filters_and_search_narrow_the_list(visit: object, example: Path) -> None:
    """Candidate, suite, transition, cause and words each narrow the list; clear undoes them."""
    page = visit(example)
    page.select_option("#by-candidate", "narrow")
    page.select_option("#by-suite", "arc_mini")
    page.select_option("#by-transition", "lost")
    lost = next(
        c
        for c in example_result().comparisons
        if c.candidate == "narrow" and c.suite.name == "arc_mini"
    )
    wanted = sum(pair.transition == "lost" for pair in lost.pairs)
    assert count(page).startswith(f"{wanted} of 800")
    page.fill("#by-text", "LUNGS helium-free-word")
    expect_count(page, "0")
    page.fill("#by-text", "LUNGS question")
    sync_api.expect(page.locator("#count")).not_to_have_text(re.compile("^0 of"))
    assert "lungs" in page.locator("#list tbody tr").first.inner_text()
    page.click("button[type=reset]")
    expect_count(page, "800")


def test_a_link_opens_its_item(visit: object, example: Path) -> None:
    """A deep link shows one item of one candidate, both answers, and the words that differ."""
    comparison = example_result().comparisons[4]
    pair = next(p for p in comparison.pairs if p.tuned.verdict.labels == ("filter_operator",)
                and p.base.verdict.outcome == "incorrect")  # fmt: skip
    page = visit(example, f"#item=sql.{pair.base.item.key.doc_hash[:10]}&candidate=narrow")
    shown = page.inner_text("#item")
    assert pair.base.item.target in shown
    assert page.locator("#item .answer ins").count() > 0
    assert "a condition with the wrong comparison (filter_operator)" in shown
    assert "SQL · narrow" in shown
    page.keyboard.press("Escape")
    assert page.locator("#item").is_hidden()


def test_words_that_differ_from_the_wanted_answer_are_marked(visit: object, tmp_path: Path) -> None:
    """Every arm's answer is held against the wanted one: what is missing, and what is too much."""
    result = example_result(size=12)
    first, *others = result.comparisons[0].pairs
    item = replace(first.base.item, target="the boat lies in Norrby")
    base = replace(first.base, item=item, responses=(Response(text="the boat lies in Norrby"),))
    tuned = replace(
        first.tuned, item=item, responses=(Response(text="the boat lies in Kullen now"),)
    )
    pairs = (replace(first, base=base, tuned=tuned), *others)
    comparisons = (replace(result.comparisons[0], pairs=pairs), *result.comparisons[1:])
    path = report.write(replace(result, comparisons=comparisons), tmp_path)["report.html"]
    page = visit(path, f"#item=sql.{item.key.doc_hash[:10]}&candidate=mixed")
    answers = page.locator("#item .answer")
    assert answers.nth(0).locator("del, ins").count() == 0
    assert answers.nth(1).locator("del").all_inner_texts() == ["Norrby"]
    assert answers.nth(1).locator("ins").all_inner_texts() == ["Kullen now"]


def test_an_item_shows_every_arm(visit: object, example: Path) -> None:
    """The answer of the base, of the candidate asked for, and of the others, with a way to copy."""
    page = visit(example, "#candidate=narrow&suite=arc_mini&show=lost")
    page.locator("#list tbody a").first.click()
    heads = page.locator("#item .answer h4").all_inner_texts()
    assert [head.split(":")[0] for head in heads] == ["base", "narrow", "mixed"]
    assert page.locator("#item th[scope=col]").all_inner_texts()[1:] == ["base", "narrow", "mixed"]
    assert page.locator("#item .tools button").count() == 3


def test_closing_leads_back_to_the_row(visit: object, example: Path) -> None:
    """Focus goes to the row's link, the address to the filters; j and k make no history."""
    page = visit(example, "#candidate=narrow&suite=arc_mini&show=lost&sort=loss")
    before = page.evaluate("history.length")
    page.locator("#list tbody a").nth(2).click()
    page.wait_for_selector("#item:not([hidden])")
    for key in ("j", "j", "k"):
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    assert page.evaluate("history.length") <= before + 1
    assert "show=lost" in page.url
    assert "sort=loss" in page.url
    row = page.evaluate(
        "[...document.querySelectorAll('#list tbody a')].indexOf(document.activeElement)"
    )
    assert row == 3


def test_filters_stand_in_the_address(visit: object, example: Path) -> None:
    """What was narrowed down can be sent on; a group's name in a section leads there, too."""
    page = visit(example)
    page.select_option("#by-suite", "arc_mini")
    page.select_option("#by-slice", "subject: physics")
    page.select_option("#by-order", "loss")
    shown = count(page)
    again = visit(example, page.evaluate("location.hash"))
    assert count(again) == shown
    assert "largest losses first" in shown
    assert again.locator("#list tbody tr").first.inner_text().startswith("lost")
    linked = visit(example, "#narrow--arc_mini")
    linked.locator("#narrow--arc_mini th a", has_text="physics").click()
    sync_api.expect(linked.locator("#count")).to_have_text(re.compile("^80 of"))


def test_single_keys_can_be_switched_off(visit: object, example: Path) -> None:
    """For those whose speech or shaking hands press them (WCAG 2.1.4); Escape still closes."""
    page = visit(example)
    page.uncheck("#shortcuts")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") != "by-text"
    page.locator("#list tbody a").first.click()
    page.keyboard.press("Escape")
    assert page.locator("#item").is_hidden()


def test_a_stale_link_says_so(visit: object, example: Path) -> None:
    """An item that is not in this report is named, and nothing breaks."""
    page = visit(example, "#item=sql.0000000000")
    assert count(page) == "no item sql.0000000000 in this report"


def test_section_links_set_the_filters(visit: object, example: Path) -> None:
    """The counts in a section lead to exactly these items."""
    page = visit(example, "#narrow--arc_mini")
    link = page.locator("#narrow--arc_mini a.lost")
    number = link.inner_text().split()[0]
    link.click()
    expect_count(page, number)
    assert page.input_value("#by-transition") == "lost"


def test_the_keyboard_reaches_everything(visit: object, example: Path) -> None:
    """Slash goes to the search, j and k walk through the items, Enter opens a focused one."""
    page = visit(example)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "by-text"
    page.keyboard.press("Tab")
    page.locator("#list tbody a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#item:not([hidden])")
    first = page.inner_text("#item")
    page.keyboard.press("j")
    sync_api.expect(page.locator("#item")).not_to_have_text(first, use_inner_text=True)
    page.keyboard.press("k")
    sync_api.expect(page.locator("#item")).to_have_text(first, use_inner_text=True)


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_the_page_never_scrolls_sideways(visit: object, example: Path, width: int) -> None:
    """Everything fits the width of a phone, with all sections open and an item shown."""
    page = visit(example, viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })")
    page.locator("#list tbody a").first.click()
    page.wait_for_selector("#item:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


CONTRAST = """() => {
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const channel = (v) => linear(v / 255);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) =>
    0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (node.closest("script, style, title, [hidden], button:disabled")) continue;
    if (!walk.currentNode.textContent.trim()) continue;
    const look = getComputedStyle(node);
    const ink = parse(node.closest("svg") ? look.fill : look.color);
    const [a, b] = [luminance(ink), luminance(ground(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(`${walk.currentNode.textContent.trim()}: ${ink}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(visit: object, example: Path, scheme: str) -> None:
    """Every text has a contrast of at least 4.5 to 1 against what is behind it (WCAG 2.2 AA)."""
    page = visit(example, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })")
    page.locator("#list tbody a").first.click()
    page.wait_for_selector("#item:not([hidden])")
    assert page.evaluate(CONTRAST) == []


def test_the_scheme_can_be_switched(visit: object, example: Path) -> None:
    """The button turns a light page dark."""
    page = visit(example, color_scheme="light")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_everything_has_a_name(visit: object, example: Path) -> None:
    """Controls and charts have names, headings descend by one, ids are unique."""
    page = visit(example)
    assert page.evaluate(
        """() => {
          const all = (selector) => [...document.querySelectorAll(selector)];
          const levels = all("h1, h2, h3, h4").map((node) => +node.tagName[1]);
          const ids = all("[id]").map((node) => node.id);
          const targets = all("a[href^='#']").map((node) => node.getAttribute("href").slice(1));
          return {
            charts: all("svg[role=img]:not([aria-label])").length,
            controls: all("select, input").filter((node) => !node.labels.length).length,
            jumps: levels.filter((level, i) => i && level > levels[i - 1] + 1).length,
            twice: ids.filter((id, i) => ids.indexOf(id) !== i),
            dead: targets.filter((id) => id && !id.includes("=") && !document.getElementById(id)),
          };
        }"""
    ) == {"charts": 0, "controls": 0, "jumps": 0, "twice": [], "dead": []}


@pytest.mark.parametrize("text", XSS)
def test_attacks_stay_text(visit: object, tmp_path: Path, text: str) -> None:
    """An answer that is an attack runs nothing and loads nothing, in the list and opened."""
    page = visit(report.write(saying(text, size=12), tmp_path)["report.html"])
    page.locator("#list tbody a").first.click()
    page.wait_for_selector("#item:not([hidden])")
    assert re.sub("[\u2028\u2029]", "", text)[:20] in page.inner_text("#item")


def test_without_script_the_verdict_remains(visit: object, example: Path) -> None:
    """With JavaScript off, verdict, charts, causes and lost examples are there."""
    page = visit(example, java_script_enabled=False)
    assert "narrow does not ship" in page.inner_text("h1")
    assert page.locator(".forest svg.row").count() == 8
    assert not page.locator("#filters").is_visible()
    assert page.locator("noscript .note").is_visible()


def test_a_printed_report_has_the_verdict(visit: object, example: Path, tmp_path: Path) -> None:
    """Printing gives a few pages with the verdict, and leaves the item browser out."""
    page = visit(example)
    pdf = page.pdf(path=tmp_path / "report.pdf", print_background=True)
    assert pdf.startswith(b"%PDF")
    page.emulate_media(media="print")
    assert not page.locator("#items").is_visible()
    assert page.locator("#verdict").is_visible()


def test_thousands_of_items_keep_the_document_small(visit: object, tmp_path: Path) -> None:
    """Of thirteen thousand answers only those in sight are elements, so the page opens quickly."""
    path = report.write(example_result(size=1000), tmp_path)["report.html"]
    assert path.stat().st_size < 4_000_000
    page = visit(path)
    assert count(page).startswith("13,332 of")
    assert page.evaluate("document.getElementsByTagName('*').length") < 4000


def test_a_large_page_is_compressed(
    visit: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser unpacks the items itself, without any library, and search finds them."""
    plain = report.write(example_result(), tmp_path / "plain")["report.html"]
    monkeypatch.setattr("harness.report.item_browser.PLAIN", 10_000)
    packed = report.write(example_result(), tmp_path / "packed")["report.html"]
    assert packed.stat().st_size < 0.7 * plain.stat().st_size
    page = visit(packed)
    expect_count(page, "800")
    assert page.locator("#data").get_attribute("type") == "application/octet-stream"
    page.fill("#by-text", "lungs")
    expect_count(page, "80")
