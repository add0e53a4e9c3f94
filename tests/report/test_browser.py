"""report.html in a real browser: it works, keeps to itself, and everyone can use it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.example_result import XSS, example_result, saying
from support.pages import NEEDS_CHROMIUM

from harness import report
from harness.records import Response, Sample
from harness.sql import Database, Judge, Question

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = NEEDS_CHROMIUM


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


SQL_SCRIPT = """
CREATE TABLE emp(id INTEGER PRIMARY KEY, name TEXT NOT NULL, pay INTEGER);
INSERT INTO emp VALUES (1, 'Ann', 300), (2, 'Bob', 400), (3, 'Cid', 500), (4, 'Dee', 250);
"""
WANTED_SQL = "SELECT name FROM emp WHERE pay > 350"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report two answers to one question as the SQL judge judges them: other rows, and luck."""
    result = example_result(size=12)
    question = Question(gold_sql=WANTED_SQL, database=Database(schema_sql=SQL_SCRIPT))
    texts = {
        "base": "SELECT name FROM emp ORDER BY pay LIMIT 3",
        "mixed": "SELECT name FROM emp WHERE pay >= 350",
    }
    with Judge() as judge:
        verdicts = {arm: judge.judge(question, text) for arm, text in texts.items()}
    comparison, *others = result.comparisons
    first, *rest = comparison.pairs
    prompt = "<|im_start|>system\nWrite SQL.<|im_end|>\n<|im_start|>user\nWho earns more than 350?"
    item = replace(first.base.item, prompt=prompt + "<|im_end|>\n", target=WANTED_SQL)

    def told(sample: Sample, arm: str) -> Sample:
        responses = (Response(text=texts[arm]),)
        return replace(sample, item=item, responses=responses, verdict=verdicts[arm])

    pair = replace(first, base=told(first.base, "base"), tuned=told(first.tuned, "mixed"))
    suite = replace(comparison.suite, judge="sql")
    comparison = replace(comparison, suite=suite, pairs=(pair, *rest))
    suites = tuple(suite if one.name == suite.name else one for one in result.suites)
    changed = replace(result, comparisons=(comparison, *others), suites=suites)
    return report.write(changed, tmp_path_factory.mktemp("judged"))["report.html"]


def test_a_query_is_shown_with_clauses_and_results(visit: object, judged: Path) -> None:
    """Clauses that differ are marked; both results stand side by side, with the witness's rows."""
    page = visit(judged, "#q=earns&candidate=mixed")
    page.locator("#list tbody a").first.click()
    rows = page.locator("#item .clauses tbody tr")
    table = {
        row.locator("th").inner_text(): [
            cell.strip() for cell in row.locator("td").all_inner_texts()
        ]
        for row in rows.all()
    }
    assert table["WHERE"][:2] == ["pay > 350", "≠ missing"]
    assert table["WHERE"][2].startswith("≠")
    assert table["ORDER BY"][:3] == ["–", "≠ not wanted\npay", "–"]
    assert table["FROM"][:3] == ["emp", "emp", "emp"]
    captions = page.locator("#item .result caption").all_inner_texts()
    assert captions == [
        "the wanted query returns",
        "this answer returns",
        "emp in a made-up database on which they differ",
        "the wanted query returns there",
        "this answer returns there",
    ]
    wanted, answered = (
        page.locator("#item .result").nth(n).locator("tbody td").all_inner_texts() for n in (0, 1)
    )
    assert wanted == ["Bob", "≠ Cid"]
    assert answered == ["≠ Dee", "≠ Ann", "Bob"]
    witness = page.locator("#item .result").nth(2).locator("tbody tr").all_inner_texts()
    assert any(row.endswith("350") for row in witness)


def test_a_prompt_is_read_as_turns(visit: object, judged: Path) -> None:
    """Turns by role without a template's signs; as the models saw it behind a switch."""
    page = visit(judged, "#q=earns&candidate=mixed")
    page.locator("#list tbody a").first.click()
    turns = page.locator("#item .turn")
    assert turns.all_inner_texts() == ["system\nWrite SQL.", "user\nWho earns more than 350?"]
    assert not page.locator("#item pre.prompt").is_visible()
    page.locator("#item .prompt-box summary").click()
    assert page.locator("#item pre.prompt").inner_text().startswith("<|im_start|>system")
