"""The page of trends: in words, in a browser, and with names that nobody should trust."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.histories import right, run_with, scores_of
from support.pages import CHROMIUM, Visits, started

from harness.history.drift import trends
from harness.history.entries import HistoryRun
from harness.history.trend_page import drift_lede, history_page

XSS = "<img src=x onerror=alert(1)>\u202e"


def made(suite: str = "qa", name: str = "v") -> list[HistoryRun]:
    """Return nine runs, every third a release, of which the last ones fell."""
    return [
        run_with(
            n,
            {
                suite: scores_of(right(400 - 25 * (n > 6), of=500)),
                "other": scores_of([1] * 80, scorer=f"made {n > 7}"),
            },
            release=f"{name}{n}" if n % 3 == 0 else "",
            added=f"2026-01-{n + 1:02}T10:00:00+00:00",
            candidate="lora",
        )
        for n in range(9)
    ]


def trended(runs: list[HistoryRun]) -> Any:
    """Return the trends of runs that hold their scores."""
    return trends(runs, lambda run, suite: run.scores[run.candidate, suite])


def test_the_headline_says_what_fell_since_which_release() -> None:
    """Without a release there is nothing to compare with; with one the fallen suites are named."""
    runs = made()
    assert drift_lede(trended(runs)) == "qa is worse than v6"
    assert drift_lede(trended(runs[:7])) == "No suite is shown to be worse than at a release"
    assert drift_lede(trended(runs[:1])).startswith("No release to compare with yet")


def test_equal_histories_give_equal_bytes() -> None:
    """Nothing of the clock or of an order without meaning is in the page."""
    assert history_page(trended(made())) == history_page(trended(made()))


def test_foreign_names_are_shown_and_do_nothing() -> None:
    """Suites, releases and candidates are named by whoever wrote a study."""
    page = history_page(trended(made(suite=XSS, name=XSS)))
    assert "<img" not in page
    assert "\u202e" not in page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start one headless Chromium."""
    with started() as browser:
        yield browser


@pytest.mark.parametrize("width", [320, 768, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_fits_every_width_and_theme(
    chromium: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    """No sideways scrolling, no fault on the console, a chart a suite and a row a run."""
    path = tmp_path / "trends.html"
    path.write_text(history_page(trended(made())), encoding="utf-8")
    visits = Visits(chromium)
    page = visits(path, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.locator("body").evaluate("body => document.documentElement.scrollWidth") <= width
    assert page.locator("svg.trend").count() == 2
    assert page.locator("tbody tr").count() == 9
    assert "not compared with v6" in page.inner_text("main")
    background = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    page.click("#theme")
    assert page.locator("html").get_attribute("data-theme") != scheme
    visits.close()
    assert visits.faults == []
