"""Costs beside scores: lengths, tokens, seconds with their machine, training."""

from dataclasses import replace

import pytest
from support.example_result import example_result

from harness import report
from harness.records import AnswerLength, AnswerTime, Result, TrainingCost, Trial
from harness.report.costs_view import cost_lines, costs, longer
from harness.report.decision_view import matrix

COST = TrainingCost(
    steps=600, tokens=1_340_000, seconds=133.0, machine="one GPU", peak_bytes=3 * 2**30
)


def costly(*, mixed: float, tokens: int | None = 900) -> Result:
    """Return the example where ``mixed`` writes this many characters of SQL and the base 40."""
    result = example_result()
    lengths = {"base": 40.0, "mixed": mixed, "narrow": 41.0}
    scores = tuple(
        replace(score, length=AnswerLength(answers=60, characters=characters, tokens=tokens))
        if score.suite == "sql" and (characters := lengths[score.arm])
        else score
        for score in result.scores
    )
    arms = tuple(replace(arm, cost=COST if arm.name == "mixed" else None) for arm in result.arms)
    times = tuple(
        AnswerTime(arm=arm, suite="sql", items=60, seconds=1.5, machine="one GPU")
        for arm in lengths
    )
    return replace(result, scores=scores, arms=arms, times=times)


def test_a_candidate_that_answers_twice_as_long_says_so() -> None:
    """In a sentence, in the matrix and in both reports; a little longer says nothing."""
    result = costly(mixed=90.0)
    said = "mixed answers 2.2 times as long as the base on SQL (90 characters against 40)"
    assert longer(result, "mixed") == (said,)
    assert longer(result, "narrow") == ()
    assert said in report.markdown(result)
    assert said in report.html(result)
    cell = next(row for row in matrix(result).rows if row.name == "mixed").cells[0]
    assert cell is not None
    assert cell.length == "90 characters, 2.2 × base"
    assert longer(costly(mixed=79.0), "mixed") == ()


@pytest.mark.parametrize(("base", "mine", "is_said"), [(5, 12, False), (0, 30, True)])
def test_a_word_more_is_no_longer_answer(base: float, mine: float, *, is_said: bool) -> None:
    """Short answers differ by a word; from nothing at all any answer is longer."""
    result = costly(mixed=mine)
    scores = tuple(
        replace(score, length=AnswerLength(answers=60, characters=base, tokens=None))
        if (score.arm, score.suite) == ("base", "sql")
        else score
        for score in result.scores
    )
    assert bool(longer(replace(result, scores=scores), "mixed")) == is_said


def test_every_cost_names_what_it_was_measured_on() -> None:
    """Training and seconds per answer stand with their machine, and no other's is compared."""
    found = costs(costly(mixed=90.0))
    assert found is not None
    rows = {row.name: row for row in found.rows}
    assert rows["mixed"].training == (
        "600 steps, 1.3 million tokens, 2 min 13 s on one GPU, 3.0 GiB of memory at most"
    )
    assert rows["narrow"].training == "–"
    assert rows["mixed"].cells == ("90 characters, 15.0 tokens; 25 ms an answer",)
    assert "in batches, on one GPU" in found.caption
    elsewhere = AnswerTime(arm="mixed", suite="sql", items=10, seconds=5.0, machine="a CPU")
    result = costly(mixed=90.0)
    both = costs(replace(result, times=(*result.times, elsewhere)))
    assert both is not None
    assert both.rows[1].cells == (
        "90 characters, 15.0 tokens; 25 ms an answer on one GPU; 500 ms an answer on a CPU",
    )
    assert "the machine that is named" in both.caption


def test_what_is_not_known_is_not_shown() -> None:
    """No tokens from a backend that does not say, no training of what was trained elsewhere."""
    found = costs(costly(mixed=90.0, tokens=None))
    assert found is not None
    assert "tokens;" not in found.rows[1].cells[0]
    result = example_result()
    bare = replace(
        result,
        scores=tuple(replace(score, length=None) for score in result.scores),
        arms=tuple(replace(arm, cost=None) for arm in result.arms),
    )
    assert costs(bare) is None
    assert cost_lines(bare, "mixed") == ()
    assert "What it costs" not in report.html(bare)
    assert "What it costs" not in report.markdown(bare)


def test_a_resumed_training_and_a_sweep_say_what_their_time_covers() -> None:
    """Seconds of half a training do not pass for those of the whole."""
    arm = example_result().arms[1]
    trial = Trial(number=0, choice={}, state="finished", losses=(1.0,), steps=5, seconds=60.0)
    resumed = replace(arm, cost=replace(COST, since=400), trials=(trial, trial))
    [line, *_] = cost_lines(replace(costly(mixed=40.0), arms=(resumed,)), "mixed")
    assert "2 min 13 s since step 400 on one GPU" in line
    assert "chosen by 2 trials of 2 min 0 s in all" in line


def test_costs_decide_nothing() -> None:
    """The same scores at any cost have the same verdict and the same gate file."""
    cheap, dear = costly(mixed=40.0), costly(mixed=4000.0)
    assert report.gate_json(cheap) == report.gate_json(dear)
    assert report.junit(cheap) == report.junit(dear)
