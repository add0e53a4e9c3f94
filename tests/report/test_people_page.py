"""The section on people in a real browser: links open items, nothing overflows, axe is content."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.example_result import example_result
from support.reviews import rated

from harness import report
from harness.records import Pair

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


def against_the_score(_: int, pair: Pair) -> int:
    """Prefer base where the score rose."""
    return 1 if (pair.tuned.verdict.score or 0) < (pair.base.verdict.score or 0) else -2


def test_the_section_works_for_everyone(tmp_path: Path) -> None:
    """In both themes, wide and narrow, all of it open; a link of it opens its item."""
    result = example_result(size=40)
    review = rated(list(result.comparisons), against_the_score, items=20)
    page_file = report.write(replace(result, reviews=(review,)), tmp_path)["report.html"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width, theme in ((1400, "light"), (320, "dark")):
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=theme, bypass_csp=True
            )
            page = context.new_page()
            page.goto(page_file.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert axe.Axe().run(page, context="#people").response["violations"] == []
            link = page.locator("#people li a").first
            name = link.inner_text()
            link.click()
            sync_api.expect(page.locator("#item")).to_contain_text(name)
            context.close()
        browser.close()
