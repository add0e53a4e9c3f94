"""Processes side by side on one machine: each takes a card of its own."""

import pytest

from harness.errors import ModelError
from harness.models.hardware import own_card


@pytest.mark.parametrize(
    ("rank", "cards", "own"), [(None, 4, None), ("0", 4, 0), ("3", 4, 3), ("3", 1, None)]
)
def test_a_rank_has_its_own_card(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, cards: int, own: int | None
) -> None:
    """The launcher's LOCAL_RANK says which; a process that sees one card takes that."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert own_card(cards) == own


def test_more_processes_than_cards_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models on one card would run out of memory, or halve each other's speed."""
    monkeypatch.setenv("LOCAL_RANK", "4")
    with pytest.raises(ModelError, match="this is number 5 on a machine with 4; start 4 on it"):
        own_card(4)
