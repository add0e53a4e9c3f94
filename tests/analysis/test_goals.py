"""Absolute goals: reached, missed, or open, at the declared error rates."""

from dataclasses import replace

import numpy as np
import pytest
from support.example_result import example_result

from harness.analysis.goals import goal_state, held_to_goals
from harness.analysis.run_result import result_of
from harness.records import Comparison, Gate, Result
from harness.report import html, markdown

GATE = Gate()


def science(goal: float) -> Comparison:
    """Return the example's science check: 61.7 % of 240 items right, unchanged."""
    found = example_result().comparisons[3]
    return replace(found, suite=replace(found.suite, at_least=goal))


def result(*comparisons: Comparison) -> Result:
    """Return a run of these."""
    made = example_result()
    suites = [comparison.suite for comparison in comparisons]
    return result_of(
        comparisons, study="s", base_model="b", arms=made.arms, suites=suites, gate=GATE
    )


@pytest.mark.parametrize(
    ("goal", "state", "verdict"),
    [(0.5, "reached", "pass"), (0.63, "open", "inconclusive"), (0.8, "missed", "fail")],
)
def test_a_goal_is_reached_missed_or_open(goal: float, state: str, verdict: str) -> None:
    """An unchanged suite passes only where the goal is reached for certain."""
    check = science(goal)
    assert goal_state(check, GATE) == state
    (held,) = held_to_goals([check], GATE)
    assert held.verdict == verdict
    assert ("61.7 %" in held.reason) == (state != "reached")


def test_a_missed_goal_is_said_and_fails_the_run() -> None:
    """The page says that the candidate falls short, not that it broke something."""
    found = result(*held_to_goals([science(0.8)], GATE))
    assert (found.verdict, found.exit_code) == ("fail", 1)
    assert found.recommendation == (
        "Do not ship mixed: it falls short on Science questions: 61.7 % is below the goal of 80 %"
    )
    page = html(found)
    assert "mixed does not ship: it falls short on Science questions." in page
    assert "Falls short" in page
    assert "goal 80.0%" in page
    assert "Broke" not in page.split('class="cards"')[1].split("</article>")[0]
    assert "below the goal of 80 %" in markdown(found)


def test_more_goals_need_more_evidence_of_a_miss() -> None:
    """Ten candidates that all reach their goals by a hair fail no more often than one."""
    check = science(0.67)
    assert goal_state(check, GATE) == "missed"
    assert goal_state(check, GATE, goals=10) == "open"


def test_a_score_at_the_goal_rarely_counts_as_reached_or_missed() -> None:
    """At most 5 % of runs each, where the true score is the goal."""
    rng, counts = np.random.default_rng(0), {"reached": 0, "missed": 0, "open": 0}
    check = science(0.7)
    for _ in range(300):
        right = rng.random(len(check.pairs)) < 0.7
        pairs = tuple(
            replace(pair, tuned=replace(pair.tuned, verdict=replace(pair.tuned.verdict, score=s)))
            for pair, s in zip(check.pairs, right.astype(float), strict=True)
        )
        counts[goal_state(replace(check, pairs=pairs), GATE)] += 1
    assert counts["reached"] <= 24
    assert counts["missed"] <= 24
