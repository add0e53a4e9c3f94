"""A few of the causes of ``tests/bench/planted_causes.py``, read off the page in Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.planted_causes import alarms, look, opened
from report.test_browser import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Start one browser for all of these."""
    playwright_api = pytest.importorskip("playwright.sync_api")
    with playwright_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize(
    "kind",
    [
        "two_conditions_lost",
        "a_group_of_eight_lost",
        pytest.param("a_letter_favoured", marks=pytest.mark.nightly),
        pytest.param("answers_garbled", marks=pytest.mark.nightly),
        pytest.param("a_clause_lost", marks=pytest.mark.nightly),
    ],
)
def test_a_planted_cause_is_named_within_one_click(kind: str, browser: object) -> None:
    """What went wrong stands on the first screen, or on what a link of it opens."""
    place, _, pattern = look(kind, 0, browser)
    assert place, f"nothing says {pattern}"


def test_nothing_stands_out_where_nothing_was_planted(browser: object) -> None:
    """Changes of single items that any training makes raise no alarm."""
    assert alarms(0, browser) == []


def test_a_group_of_two_conditions_opens_its_items(browser: object, tmp_path: Path) -> None:
    """The line on the first screen leads to as many items as it speaks of."""
    _, page = opened("two_conditions_lost", 0, tmp_path, browser)
    line = page.locator("#verdict .said a").first
    items = line.inner_text().split(" points on ")[1].split()[0]
    line.click()
    page.wait_for_function("document.getElementById('by-other-slice').value !== ''")
    page.wait_for_function(f"document.getElementById('count').textContent.startsWith('{items} of')")
    page.close()
