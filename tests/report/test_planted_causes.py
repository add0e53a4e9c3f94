"""A few of the causes of ``tests/bench/planted_causes.py``, read off the page in Chromium."""

from pathlib import Path

import pytest
from bench.planted_causes import alarms, look, opened
from support.pages import NEEDS_CHROMIUM

pytestmark = NEEDS_CHROMIUM


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
def test_a_planted_cause_is_named_within_one_click(kind: str, chromium: object) -> None:
    """What went wrong stands on the first screen, or on what a link of it opens."""
    place, _, pattern = look(kind, 0, chromium)
    assert place, f"nothing says {pattern}"


def test_nothing_stands_out_where_nothing_was_planted(chromium: object) -> None:
    """Changes of single items that any training makes raise no alarm."""
    assert alarms(0, chromium) == []


def test_a_group_of_two_conditions_opens_its_items(chromium: object, tmp_path: Path) -> None:
    """The line on the first screen leads to as many items as it speaks of."""
    _, page = opened("two_conditions_lost", 0, tmp_path, chromium)
    line = page.locator("#verdict .said a").first
    items = line.inner_text().split(" points on ")[1].split()[0]
    line.click()
    page.wait_for_function("document.getElementById('by-other-slice').value !== ''")
    page.wait_for_function(f"document.getElementById('count').textContent.startsWith('{items} of')")
    page.close()
