"""Absolute goals: whether a candidate's own score reaches what its suite declares."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from harness import stats
from harness.records import Comparison, Gate

GoalState = Literal["reached", "missed", "open"]


def held_to_goals(
    comparisons: Sequence[Comparison], gate: Gate, *, candidates: int = 1
) -> list[Comparison]:
    """Hold one candidate's settled comparisons to their suites' ``at_least``.

    A goal that is shown to be missed fails the check; one that is neither reached nor missed leaves
    it undecided. What already failed or is invalid stays as it is. ``candidates`` are those of the
    run, which all have goals to miss by chance.
    """
    goals = candidates * sum(c.suite.at_least is not None for c in comparisons)
    return [_held(comparison, gate, goals) for comparison in comparisons]


def goal_state(comparison: Comparison, gate: Gate, goals: int = 1) -> GoalState:
    """Say whether the candidate's mean score is beyond its suite's goal, one-sided.

    "Reached" holds at rate ``beta`` (a score below the goal passes so rarely), "missed" at
    ``alpha`` over the number of goals (Bonferroni). The test is that of paired scores, against an
    arm that scores the goal on every item; clusters are the unit.
    """
    goal, suite = comparison.suite.at_least, comparison.suite
    scored = [pair for pair in comparison.pairs if pair.tuned.verdict.score is not None]
    if goal is None or not scored:
        return "open"
    clusters = [pair.tuned.item.cluster for pair in scored]
    found = stats.decide(
        [goal] * len(scored),
        [pair.tuned.verdict.score or 0.0 for pair in scored],
        margin=suite.margin,
        alpha=gate.beta,
        beta=gate.beta,
        clusters=stats.shared_clusters(clusters),
        kind="graded",
        tails=suite.tails,
    )
    if found.p_regression <= gate.alpha / goals:
        return "missed"
    return "reached" if found.label == "improved" else "open"


def _held(comparison: Comparison, gate: Gate, goals: int) -> Comparison:
    goal = comparison.suite.at_least
    if goal is None or comparison.verdict in ("fail", "invalid"):
        return comparison
    state = goal_state(comparison, gate, goals)
    score = f"{100 * (comparison.tuned or 0.0):.1f} %"
    if state == "missed":
        reason = f"{score} is below the goal of {100 * goal:g} %"
        return replace(comparison, verdict="fail", reason=reason)
    if state == "open":
        said = f"the goal of {100 * goal:g} % is neither reached nor missed for certain ({score})"
        reason = "; ".join(filter(None, (comparison.reason, said)))
        return replace(comparison, verdict="inconclusive", reason=reason)
    return comparison
