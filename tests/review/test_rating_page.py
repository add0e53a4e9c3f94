"""The page to rate in, in a real browser, from disk: nothing is lost, and everyone can use it."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.command import HARNESS, SAFETY_NET, started
from support.example_result import XSS
from support.packets import KINDS, drawn, packet, sheet

from harness.review.forms import parse_ratings, rating_page
from harness.review.forms.rater_zip import instructions_page
from harness.review.forms.rating_page import packet_of
from harness.review.packet import CHOICES, Packet, RowRating

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

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


class Visitor:
    """A rater's browser: what it keeps outlives its pages; every fault of a page is noted."""

    def __init__(self, chromium: object, folder: Path, **options: object) -> None:
        self.folder, self.faults = folder, []
        self.context = chromium.new_context(**options)
        self.context.set_default_timeout(1000 * SAFETY_NET)

    def open(self, shown: Packet, name: str = "rate.html") -> object:
        """Open the page of a packet from disk; an attack would be a fault."""
        path = self.folder / name
        path.write_bytes(rating_page(shown).encode("utf-8", "backslashreplace"))
        return self.visit(path.as_uri(), "file:", "blob:")

    def visit(self, address: str, *asked: str) -> object:
        """Open a page that may ask for what begins so; anything else would be a fault."""
        page = self.context.new_page()
        page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda d: self.faults.append(d.message) or d.accept())
        page.on("request", lambda r: None if r.url.startswith(asked) else self.faults.append(r.url))
        page.goto(address)
        return page


@pytest.fixture
def visitor(chromium: object, tmp_path: Path) -> Iterator[object]:
    """Return a rater's browser; a fault of any page fails the test."""
    found = []

    def make(**options: object) -> Visitor:
        found.append(Visitor(chromium, tmp_path, **options))
        return found[-1]

    yield make
    for one in found:
        one.context.close()
        assert one.faults == []


def place(page: object) -> str:
    """Return which item a page shows."""
    return page.inner_text("#place").split(" of")[0]


def has_rated(page: object, count: int) -> None:
    """Wait until a page says so: what another page keeps arrives when the browser sends it."""
    sync_api.expect(page.locator("#count")).to_have_text(f"{count} of 10 rated")


def downloaded(page: object, press: object) -> dict[str, object]:
    """Return the file that pressing gives."""
    with page.expect_download() as download:
        press()
    return json.loads(Path(download.value.path()).read_text(encoding="utf-8"))


TEN = (
    ("1", "A slightly better"), ("1 1", "A much better"), ("2", "B slightly better"),
    ("2 2", "B much better"), ("0", "both good"), ("0 0", "both bad"), ("x", "cannot judge"),
    ("a", "A much better"), ("l", "B much better"), ("k", "B slightly better"),
)  # fmt: skip


def test_ten_items_by_keyboard_alone(visitor: object) -> None:
    """Ten items are rated, commented and downloaded without a mouse; a reload loses nothing."""
    shown, rater = packet(), visitor(accept_downloads=True)
    page = rater.open(shown)
    assert page.locator("#guide").is_visible()
    page.keyboard.press("Enter")
    assert not page.locator("#guide").is_visible()
    for number, (keys, _) in enumerate(TEN, start=1):
        assert place(page) == f"Item {number}"
        for key in keys.split():
            page.keyboard.press(key)
        if number == 4:
            page.keyboard.press("c")
            page.keyboard.type("1 or 2? “both” ↔ ünï")
            page.keyboard.press("Escape")
        if number == 5:
            page.reload()
            assert not page.locator("#guide").is_visible()
            assert place(page) == "Item 5"
            assert page.inner_text("#count") == "5 of 10 rated"
        page.keyboard.press("ArrowRight")
    page.locator("#download").focus()
    given = downloaded(page, lambda: page.keyboard.press("Enter"))
    assert "ratings-1f2e3d4c-rater-1.json" in page.inner_text("#sent")
    found = parse_ratings(json.dumps(given))
    assert (found["draw"], found["rater"]) == ("1f2e3d4c", 1)
    assert [rating.choice for rating in found["ratings"]] == [choice for _, choice in TEN]
    assert found["ratings"][3].comment == "1 or 2? “both” ↔ ünï"
    assert [rating.row for rating in found["ratings"]] == [r.id for r in shown.sheets[0].rows]


def test_the_mouse_gives_the_same(visitor: object) -> None:
    """Buttons rate, a second press takes back, faults are ticked, arrows do not change a rating."""
    page = visitor(accept_downloads=True).open(packet())
    page.click("#guide .close")
    page.click("#scale button:has-text('both bad')")
    page.click("#tags-b .chip:has-text('wrong join')")
    page.click("#tags-b .chip:has-text('wrong table')")
    page.click("#scale button:has-text('A much better')")
    page.keyboard.press("ArrowRight")
    assert place(page) == "Item 2"
    page.click("#cannot")
    page.click("#cannot")
    given = downloaded(page, lambda: page.click("#download"))["ratings"]
    assert given[0]["choice"] == "A much better"
    assert given[0]["tags_b"] == ["wrong table", "wrong join"]
    assert given[1]["choice"] == ""


def test_each_answer_can_get_a_number(visitor: object) -> None:
    """In the direct form numbers go to A, then to B; both are needed; no preference is offered."""
    page = visitor(accept_downloads=True).open(packet(sheet("qa", count=3, form="direct")))
    page.keyboard.press("Enter")
    page.keyboard.press("4")
    assert page.inner_text("#count") == "0 of 3 rated"
    page.keyboard.press("2")
    assert page.inner_text("#count") == "1 of 3 rated"
    assert not page.locator("#scale").is_visible()
    page.keyboard.press("n")
    assert place(page) == "Item 2"
    page.keyboard.press("b")
    page.keyboard.press("5")
    page.keyboard.press("n")
    page.keyboard.press("x")
    given = downloaded(page, lambda: page.click("#download"))["ratings"]
    assert [(one["score_a"], one["score_b"], one["choice"]) for one in given] == [
        (4, 2, ""), (None, 5, ""), (None, None, "cannot judge"),
    ]  # fmt: skip


def test_two_packets_never_mix(visitor: object) -> None:
    """Another rater's page, or another draw's, in the same browser begins empty."""
    rater = visitor()
    first = rater.open(packet())
    first.keyboard.press("Enter")
    first.keyboard.press("1")
    others = packet(rater=2), packet(draw="99999999")
    for number, other in enumerate(others):
        assert rater.open(other, f"{number}.html").inner_text("#count") == "0 of 10 rated"
    has_rated(rater.open(packet(), "same.html"), 1)


def test_a_second_tab_takes_over_what_the_first_rated(visitor: object) -> None:
    """Two tabs of one page do not overwrite each other's ratings."""
    rater = visitor()
    first, second = rater.open(packet()), rater.open(packet())
    first.keyboard.press("Enter")
    first.keyboard.press("1")
    has_rated(second, 1)
    second.bring_to_front()
    second.keyboard.press("Escape")
    second.keyboard.press("ArrowRight")
    second.keyboard.press("2")
    has_rated(first, 2)
    has_rated(rater.open(packet()), 2)


def test_a_tab_that_was_behind_takes_nothing_back(visitor: object) -> None:
    """A page that did not know of ratings yet and writes what it has loses none of them."""
    rater = visitor()
    page = rater.open(packet())
    page.keyboard.press("Enter")
    page.keyboard.press("1")
    other = rater.open(packet(), "other.html")
    other.evaluate(
        """() => {
          const place = "harness-ratings/1 1f2e3d4c 1";
          const state = JSON.parse(localStorage.getItem(place));
          state.times = [];
          state.ratings = state.ratings.map((one) => ({ ...one, choice: "" }));
          localStorage.setItem(place, JSON.stringify(state));
        }"""
    )
    has_rated(page, 1)
    page.reload()
    has_rated(page, 1)


def test_a_browser_that_keeps_nothing_is_told(visitor: object) -> None:
    """Without storage the page warns, works, and asks before it is closed with ratings in it."""
    rater = visitor()
    rater.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })"
    )
    page = rater.open(packet())
    page.keyboard.press("Enter")
    assert "keeps nothing" in page.inner_text("#no-storage")
    page.keyboard.press("1")
    assert page.inner_text("#count") == "1 of 10 rated"
    page.close(run_before_unload=True)
    page.wait_for_event("close")
    assert len(rater.faults) == 1
    rater.faults.clear()


def test_single_keys_can_be_switched_off(visitor: object) -> None:
    """For those whose speech or shaking hands press them (WCAG 2.1.4), and it is remembered."""
    rater = visitor()
    page = rater.open(packet())
    page.keyboard.press("Enter")
    page.click("#settings-open")
    page.uncheck("#keys")
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#count") == "0 of 10 rated"
    assert place(page) == "Item 1"


def test_ratings_are_announced(visitor: object) -> None:
    """A screen reader hears what was rated, and reads the new item after a move."""
    page = visitor().open(packet())
    page.keyboard.press("Enter")
    page.keyboard.press("2")
    sync_api.expect(page.locator("#live[aria-live=polite]")).to_have_text(
        "rated: B slightly better"
    )
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "place"
    assert page.locator("#scale [aria-pressed=true]").count() == 0


def accessible(page: object, is_looked_at: bool) -> None:
    """Run axe's rules over what a page shows."""
    if is_looked_at:
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1400])
def test_axe_finds_nothing(visitor: object, scheme: str, width: int) -> None:
    """Both forms, all dialogs: no accessibility rule is broken and nothing scrolls sideways."""
    shown = packet(sheet("conversation", count=1), sheet("own", count=1, form="direct"))
    page = visitor(viewport={"width": width, "height": 800}, color_scheme=scheme).open(shown)
    looked_at = "guide item scores settings" if width == 768 else "item"
    for step, keys in (("guide", ""), ("item", "Enter 1"), ("scores", "ArrowRight Enter 3")):
        for key in keys.split():
            page.keyboard.press(key)
        accessible(page, step in looked_at)
    page.click("#settings-open")
    accessible(page, "settings" in looked_at)
    page.keyboard.press("Escape")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.locator("button:visible, .chip:visible").evaluate_all(
        "nodes => nodes.map((node) => node.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 44


@pytest.mark.parametrize("text", [*XSS, "<!--", "lone \ud800"])
def test_attacks_stay_text(visitor: object, text: str) -> None:
    """A hostile question, wanted answer or answer runs nothing, loads nothing and is shown."""
    page = visitor().open(packet(sheet("own", texts=(text,))))
    page.keyboard.press("Enter")
    for field in ("#question", "#wanted", "#text-a", "#text-b"):
        assert text[:12].strip() in page.locator(field).text_content()


def test_a_hostile_title_stays_text(visitor: object) -> None:
    """A suite's title is foreign text, too: in the page, and in its instructions."""
    from dataclasses import replace

    hostile = "<img src=x onerror=alert(1)> *bold* [a](javascript:alert(2)) `x`"
    page = visitor().open(packet(replace(sheet(count=1), title=hostile)))
    assert hostile in page.inner_text("#guide")
    assert page.locator("#guide img, #guide a, #guide em").count() == 0


LEFT = (
    "{", "null", "[]",
    json.dumps({"format": "harness-ratings/1", "draw": "1f2e3d4c", "rater": 1, "seen": 7,
                "ratings": [{"row": "row-sql-1", "choice": "both great"}, 3, {}]}),
)  # fmt: skip


def test_broken_storage_is_survived(visitor: object) -> None:
    """What some other page left under our name breaks nothing and is not taken for ratings."""
    rater = visitor()
    page = rater.open(packet())
    for left in LEFT:
        page.evaluate("(text) => localStorage.setItem('harness-ratings/1 1f2e3d4c 1', text)", left)
        page.reload()
        assert page.inner_text("#count") == "0 of 10 rated"
        page.keyboard.press("Enter")


def test_instructions_print_on_one_sheet(chromium: object) -> None:
    """Whatever the kind of suite and the form, the instructions are one page of A4."""
    page = chromium.new_page()
    for kind in KINDS:
        for form in ("preference", "direct"):
            page.set_content(instructions_page(sheet(kind, form=form)))
            printed = page.pdf(prefer_css_page_size=True)
            assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1, (kind, form)
    page.close()


def test_without_script_the_page_says_what_to_do(visitor: object) -> None:
    """Where JavaScript is off, the rater is sent to the workbook."""
    page = visitor(java_script_enabled=False).open(packet())
    assert "JavaScript" in page.inner_text("noscript")
    assert not page.locator("#pair").is_visible()


def test_a_served_page_saves_each_rating(visitor: object, tmp_path: Path) -> None:
    """It says what is saved, tells when the server is gone, sends what is left when it is back."""
    draw, rater = tmp_path / "1f2e3d4c", visitor()
    drawn(draw)
    kept = draw / "served" / "rater-1.json"
    with started(*HARNESS, "review", "serve", draw) as process:
        link = re.search(r"http:\S+", process.stdout.readline())[0]
        page = rater.visit(link, link.partition("/rate/")[0])
        page.keyboard.press("Enter")
        page.keyboard.press("1")
        state = page.locator("#state")
        sync_api.expect(state).to_have_text("all saved")
        assert [one.choice for one in parse_ratings(kept.read_text())["ratings"]] == [CHOICES[1]]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("2")
    sync_api.expect(page.locator("#no-server")).to_be_visible()
    assert page.inner_text("#count") == "2 of 10 rated"
    port = str(urlsplit(link).port)
    with started(*HARNESS, "review", "serve", draw, "--port", port):
        sync_api.expect(state).to_have_text("all saved")
        assert page.locator("#no-server").is_hidden()
        page.evaluate("localStorage.clear()")
        page.reload()
        assert page.inner_text("#count") == "2 of 10 rated"
    assert [one.choice for one in parse_ratings(kept.read_text())["ratings"]] == [
        CHOICES[1], CHOICES[4],
    ]  # fmt: skip
    rater.faults = [fault for fault in rater.faults if "ERR_CONNECTION_REFUSED" not in fault]


def test_a_page_holds_its_packet() -> None:
    """What was handed out can be read back exactly, and the same packet gives the same bytes."""
    shown = packet(*(sheet(kind, count=2) for kind in KINDS))
    page = rating_page(shown, saved=(RowRating(row="row-sql-0", choice=CHOICES[0]),))
    assert packet_of(page) == shown
    assert rating_page(shown) == rating_page(shown)
