"""A candidate that is proven to be its base: unchanged, however few the items."""

from dataclasses import replace

import pytest
from support.example_result import SUITES, example_result

from harness.analysis.decisions import compare_early, compare_pairs
from harness.analysis.identical_arm import by_identity
from harness.records import Comparison, Gate, Pair
from harness.stats import Schedule, SequentialDecision

GATE = Gate()
SUITE = SUITES[0]
PAIRS = tuple(
    replace(pair, base=replace(pair.base, verdict=pair.tuned.verdict))
    for pair in example_result().comparisons[0].pairs
)


def scored(pair: Pair, score: float | None) -> Pair:
    """Return a pair with another score of the tuned side."""
    outcome = "unscored" if score is None else "incorrect"
    verdict = replace(pair.tuned.verdict, score=score, outcome=outcome)
    return replace(pair, tuned=replace(pair.tuned, verdict=verdict))


def compared(*pairs: Pair) -> Comparison:
    """Return these pairs as a test decides them."""
    return compare_pairs("same", SUITE, pairs, GATE)


@pytest.mark.parametrize("n", [1, 5, 60])
def test_few_items_do_not_matter(n: int) -> None:
    """One item of one cluster is enough: unchanged, no interval, exit code 0."""
    found = by_identity(compared(*PAIRS[:n]))
    decision = found.decision
    assert decision is not None
    assert (found.verdict, found.reason, decision.label) == ("pass", "", "unchanged")
    assert (decision.delta, decision.ci_low, decision.ci_high) == (0.0, 0.0, 0.0)
    assert (decision.p_regression, decision.p_non_inferior, decision.n) == (1.0, 0.0, n)
    assert (decision.method, decision.items_needed) == ("identical logits", None)


def test_an_early_end_says_of_how_many_items() -> None:
    """What was used and planned stays known."""
    schedule = Schedule(planned=60, order="", cluster_sizes=(), family=1)
    found = by_identity(compare_early("same", SUITE, PAIRS[:20], schedule, GATE))
    assert isinstance(found.decision, SequentialDecision)
    assert (found.verdict, found.decision.planned) == ("pass", 60)
    assert found.decision.method == "identical logits"


def test_a_score_that_differs_makes_it_invalid() -> None:
    """Equal logits with other scores are a fault of the scoring, not a finding about the model."""
    right = next(n for n, pair in enumerate(PAIRS) if pair.base.verdict.score == 1.0)
    pairs = [*PAIRS[:right], scored(PAIRS[right], 0.0), *PAIRS[right + 1 :]]
    found = by_identity(compared(*pairs))
    assert found.verdict == "invalid"
    assert f"1 of {len(PAIRS)} differ" in found.reason


def test_what_has_no_scores_stays_invalid() -> None:
    """Identity says nothing about a suite that could not be scored."""
    found = by_identity(compared(*(scored(pair, None) for pair in PAIRS)))
    assert (found.verdict, found.decision) == ("invalid", None)
    half = by_identity(compared(*(scored(pair, None) for pair in PAIRS[:30]), *PAIRS[30:]))
    assert half.verdict == "invalid"
    assert "30 of 60 items are unscored" in half.reason
