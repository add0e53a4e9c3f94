"""How long answers took: only the time in which they are made, added up by machine."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.tiny_models import question

from harness.records import AnswerTime, ArmAnswerBatch, Response
from harness.store import answer_times
from harness.store.answer_times import AnswerClock, added_up

SUITE = question(1, (1,), (2,)).item.suite


def test_only_the_time_in_which_answers_are_made_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storing batches is not answering, and arms that share a pass share its time."""
    now = [0.0]
    monkeypatch.setattr(answer_times.time, "monotonic", lambda: now[0])

    def made() -> Iterator[ArmAnswerBatch]:
        choices = [question(1, (1,), (2,)), replace(question(1, (1,), (3,)), index=1)]
        for arms in (["mine", "mine"], ["mine"], ["mine", "other"]):
            now[0] += 2.0
            yield [(arm, each, Response(logprob=0.0)) for arm in arms for each in choices]

    clock = AnswerClock({"mine": "a GPU"})
    for _ in clock.over(made()):
        now[0] += 100.0
    list(clock.over([]))
    assert clock.times == [
        AnswerTime(arm="mine", suite=SUITE, items=4, seconds=5.0, machine="a GPU"),
        AnswerTime(arm="other", suite=SUITE, items=1, seconds=1.0, machine=""),
    ]


def test_times_of_two_machines_stay_apart() -> None:
    """A run that went on elsewhere has two times, each of its own machine."""
    here = AnswerTime(arm="mine", suite="sql", items=3, seconds=4.0, machine="a GPU")
    there = AnswerTime(arm="mine", suite="sql", items=1, seconds=9.0, machine="a CPU")
    both = AnswerTime(arm="mine", suite="sql", items=6, seconds=8.0, machine="a GPU")
    assert added_up([here, there, here]) == (both, there)
