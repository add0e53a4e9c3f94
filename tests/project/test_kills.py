"""A run that is killed again and again ends as if undisturbed."""

from pathlib import Path

import pytest
from bench import kills

pytestmark = [pytest.mark.model, pytest.mark.nightly]


def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    """No stored answer is lost, and texts, verdicts and the gate are those of a whole run."""
    found = kills.measure(tmp_path, kills=20, items=400, seed=0)
    assert kills.is_same(found), found
