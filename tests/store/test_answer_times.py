"""How long answers took: only the time in which they are made, added up by machine."""

from collections.abc import Iterator

import pytest

from harness.records import AnswerTime
from harness.store import answer_times
from harness.store.answer_times import AnswerClock, added_up


def test_only_the_time_in_which_answers_are_made_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens between batches, such as storing them, is not answering."""
    now = [0.0]
    monkeypatch.setattr(answer_times.time, "monotonic", lambda: now[0])

    def made() -> Iterator[list[str]]:
        for batch in (["a", "b"], ["c"]):
            now[0] += 2.0
            yield batch

    clock = AnswerClock({"mine": "a GPU"})
    for _ in clock.over(made(), "mine", "sql"):
        now[0] += 100.0
    list(clock.over([], "mine", "arc"))
    assert clock.times == [
        AnswerTime(arm="mine", suite="sql", answers=3, seconds=4.0, machine="a GPU")
    ]


def test_times_of_two_machines_stay_apart() -> None:
    """A run that went on elsewhere has two times, each of its own machine."""
    here = AnswerTime(arm="mine", suite="sql", answers=3, seconds=4.0, machine="a GPU")
    there = AnswerTime(arm="mine", suite="sql", answers=1, seconds=9.0, machine="a CPU")
    both = AnswerTime(arm="mine", suite="sql", answers=6, seconds=8.0, machine="a GPU")
    assert added_up([here, there, here]) == (both, there)
