"""A run that is killed again and again, or has no room on its disk, ends as if undisturbed."""

from pathlib import Path

import pytest
from bench import full_disk, kills

pytestmark = [pytest.mark.model, pytest.mark.nightly]


@pytest.mark.parametrize("step", list(kills.STEPS))
def test_kills_change_nothing(tmp_path: Path, step: str) -> None:
    """Texts, verdicts and weights are those of a whole run, other files equal byte for byte."""
    found = kills.measure(tmp_path, kills=4, items=30, seed=0, steps=[step])
    assert found[step]["kills"] == 4
    assert kills.is_same(found), found


@pytest.mark.skipif(not full_disk.may_mount(), reason="no right to mount a disk in memory")
@pytest.mark.parametrize("command", list(full_disk.COMMANDS))
def test_a_full_disk_loses_nothing(tmp_path: Path, command: str) -> None:
    """Nothing that was there is lost or cut, and whatever is wanting is one sentence."""
    found = full_disk.measure(tmp_path, sizes=4, items=12, names=[command])
    assert full_disk.is_right(found), found
