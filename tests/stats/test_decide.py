"""The decision on one suite: labels, refusals, symmetry, determinism."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ComparisonError, HarnessError, StudyError
from harness.records import Decision
from harness.stats import decide

BINARY = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=120)
GRADED = st.lists(
    st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=1, max_size=80
)
MIRROR = {"improved": {"regressed", "regressed_within_margin"}, "unchanged": {"unchanged"}}


def scores(lost: int, gained: int, same: int) -> tuple[list[int], list[int]]:
    """Base and tuned scores with so many losses, gains and equal answers."""
    base = [1] * lost + [0] * gained + [index % 2 for index in range(same)]
    tuned = [0] * lost + [1] * gained + [index % 2 for index in range(same)]
    return base, tuned


@pytest.mark.parametrize(
    ("lost", "gained", "same", "margin", "label", "verdict"),
    [
        (20, 60, 420, 0.05, "improved", "pass"),
        (25, 25, 950, 0.03, "unchanged", "pass"),
        (30, 40, 430, 0.05, "unchanged", "pass"),
        (35, 45, 220, 0.05, "not_worse", "pass"),
        (60, 30, 1910, 0.05, "regressed_within_margin", "pass"),
        (60, 20, 420, 0.05, "regressed", "fail"),
        (200, 0, 300, 0.05, "regressed", "fail"),
        (8, 6, 86, 0.03, "inconclusive", "inconclusive"),
        (0, 0, 60, 0.05, "unchanged", "pass"),
        (0, 0, 59, 0.05, "inconclusive", "inconclusive"),
    ],
)
def test_labels(lost: int, gained: int, same: int, margin: float, label: str, verdict: str) -> None:
    """Each row of the table of labels, by counts of losses, gains and equal answers."""
    decision = decide(*scores(lost, gained, same), margin=margin)
    assert (decision.label, decision.verdict) == (label, verdict)
    assert decision.n == lost + gained + same
    assert decision.discordant == lost + gained
    assert decision.delta == pytest.approx((gained - lost) / decision.n)
    assert (decision.items_needed is None) == (label != "inconclusive")


def expected_label(low: float, high: float, margin: float) -> str:
    """Restate the table of labels on the interval alone."""
    if high < 0:
        return "regressed_within_margin" if low > -margin else "regressed"
    if low <= -margin:
        return "inconclusive"
    if low > 0:
        return "improved"
    return "unchanged" if high < margin else "not_worse"


@given(BINARY | GRADED, st.sampled_from([0.02, 0.05, 0.2, 0.5]))
@settings(max_examples=60, deadline=None)
def test_label_follows_from_the_interval(pairs: list[tuple[float, float]], margin: float) -> None:
    """A reader of the interval comes to the same label, away from the borders."""
    decision = decide(*zip(*pairs, strict=True), margin=margin)
    ends = (decision.ci_low, decision.ci_high)
    if min(abs(end - bound) for end in ends for bound in (-margin, 0, margin)) > 1e-4:
        assert decision.label == expected_label(*ends, margin)


@given(BINARY | GRADED, st.booleans())
@settings(max_examples=60, deadline=None)
def test_exchanging_the_arms_mirrors_the_decision(
    pairs: list[tuple[float, float]], clustered: bool
) -> None:
    """An improvement of one arm is the other's regression; an unchanged pair stays unchanged.

    Of clusters and graded scores the estimate alone: what a sample can hide depends on which of the
    two is the base.
    """
    base, tuned = zip(*pairs, strict=True)
    clusters = [index // 3 for index in range(len(base))] if clustered else None
    there = decide(base, tuned, margin=0.05, clusters=clusters)
    back = decide(tuned, base, margin=0.05, clusters=clusters)
    assert there.delta == pytest.approx(-back.delta, abs=1e-9)
    if clustered or any(score not in (0, 1) for pair in pairs for score in pair):
        return
    assert there.ci_low == pytest.approx(-back.ci_high, abs=1e-7)
    assert there.ci_high == pytest.approx(-back.ci_low, abs=1e-7)
    if there.label in MIRROR:
        assert back.label in MIRROR[there.label]


@given(BINARY | GRADED, st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_order_of_items_does_not_matter(
    pairs: list[tuple[float, float]], random: object, clustered: bool
) -> None:
    """Shuffled items give the same label, interval and p-values."""
    rows = [(*pair, index // 4) for index, pair in enumerate(pairs)]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def judged(table: list[tuple[float, float, int]]) -> Decision:
        base, tuned, cluster = zip(*table, strict=True)
        return decide(base, tuned, margin=0.05, clusters=cluster if clustered else None)

    one, other = judged(rows), judged(shuffled)
    assert one.label == other.label
    for field in ("delta", "ci_low", "ci_high", "p_regression", "p_non_inferior"):
        assert getattr(one, field) == pytest.approx(getattr(other, field), abs=1e-6)


@given(BINARY | GRADED, st.floats(0.01, 0.4), st.floats(0.01, 0.4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_wider_margin_never_turns_a_pass_into_a_fail(
    pairs: list[tuple[float, float]], one: float, other: float, clustered: bool
) -> None:
    """Verdicts only get milder as the margin grows: fail, inconclusive, pass."""
    base, tuned = zip(*pairs, strict=True)
    clusters = [index // 3 for index in range(len(base))] if clustered else None
    order = {"fail": 0, "inconclusive": 1, "pass": 2}
    narrow, wide = (
        decide(base, tuned, margin=margin, clusters=clusters) for margin in sorted((one, other))
    )
    assert order[narrow.verdict] <= order[wide.verdict]


@given(BINARY | GRADED, st.sampled_from(["graded", "heavy"]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_interval_contains_the_estimate_and_stays_in_range(
    pairs: list[tuple[float, float]], tails: str, clustered: bool
) -> None:
    """Interval, estimate and p-values are finite and where they must be, whatever comes in."""
    base, tuned = zip(*pairs, strict=True)
    clusters = [index // 2 for index in range(len(base))] if clustered else None
    decision = decide(base, tuned, margin=0.05, tails=tails, clusters=clusters)
    assert -1 <= decision.ci_low <= decision.delta + 1e-9
    assert decision.delta - 1e-9 <= decision.ci_high <= 1
    for p in (decision.p_regression, decision.p_non_inferior):
        assert 0 <= p <= 1
        assert math.isfinite(p)


@pytest.mark.parametrize(
    ("base", "tuned", "settings_", "error", "message"),
    [
        ([1, 0], [1], {}, ComparisonError, "found 2 base and 1 tuned scores; align them"),
        ([], [], {}, ComparisonError, "at least one score per arm"),
        ([1, math.nan], [1, 0], {}, ComparisonError, "found nan at position 1 of base"),
        ([1, 0], [1, 1.5], {}, ComparisonError, "found 1.5 at position 1 of tuned"),
        ([1, 0], [-0.1, 1], {}, ComparisonError, "found -0.1 at position 0 of tuned"),
        ([1, None], [1, 0], {}, ComparisonError, "found nan at position 1 of base"),
        (["a"], [1], {}, ComparisonError, "scores must be numbers"),
        ([[1, 0]], [[1, 0]], {}, ComparisonError, "found shape (1, 2)"),
        ([1, 0.5], [1, 0], {"kind": "binary"}, ComparisonError, "declare the suite's kind"),
        ([1, 0], [1, 0], {"clusters": ["a"]}, ComparisonError, "found 1 for 2 items"),
        ([1, 0], [1, 0], {"margin": 0}, StudyError, "found 0; declare"),
        ([1, 0], [1, 0], {"margin": -0.1}, StudyError, "found -0.1"),
        ([1, 0], [1, 0], {"margin": math.nan}, StudyError, "found nan"),
        ([1, 0], [1, 0], {"alpha": 0.7}, StudyError, "alpha must lie between"),
        ([1, 0], [1, 0], {"beta": 0}, StudyError, "beta must lie between"),
        ([1, 0], [1, 0], {"kind": "binry"}, StudyError, "did you mean 'binary'?"),
        ([1, 0], [1, 0], {"tails": "heavi"}, StudyError, "did you mean 'heavy'?"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    base: list, tuned: list, settings_: dict, error: type[HarnessError], message: str
) -> None:
    """Each refusal names the rule, what was found and the remedy, in lower case on one line."""
    with pytest.raises(error) as caught:
        decide(base, tuned, **{"margin": 0.05, **settings_})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value)[0].islower()


@pytest.mark.parametrize("kind", ["binary", "graded", "auto"])
@pytest.mark.parametrize("tails", ["graded", "heavy"])
@pytest.mark.parametrize("n", [1, 2, 10])
def test_a_handful_of_identical_answers_never_passes(kind: str, tails: str, n: int) -> None:
    """Not with any method, nor in clusters."""
    for clusters in (None, [0] * n, [index // 2 for index in range(n)]):
        decision = decide([1] * n, [1] * n, margin=0.05, kind=kind, tails=tails, clusters=clusters)
        assert decision.verdict == "inconclusive"
        assert decision.items_needed is not None
        assert decision.items_needed >= 59


@pytest.mark.parametrize("tails", ["graded", "heavy"])
@pytest.mark.parametrize("clusters", [None, [index // 4 for index in range(120)]])
def test_all_discordant_is_decided(tails: str, clusters: list[int] | None) -> None:
    """Every item lost fails, every item gained improves."""
    lost = decide([1] * 120, [0] * 120, margin=0.05, tails=tails, clusters=clusters)
    gained = decide([0] * 120, [1] * 120, margin=0.05, tails=tails, clusters=clusters)
    assert (lost.label, gained.label) == ("regressed", "improved")
    assert (lost.delta, gained.delta) == (-1.0, 1.0)


def test_equal_inputs_give_equal_bytes() -> None:
    """Nothing is drawn: two calls agree to the last bit."""
    rng = np.random.default_rng(1)
    base = rng.random(200)
    tuned = np.clip(base + rng.normal(-0.01, 0.1, 200), 0, 1)
    assert decide(base, tuned, margin=0.02) == decide(base, tuned, margin=0.02)


def test_items_needed_would_decide() -> None:
    """Scaling an inconclusive sample to the items asked for gives a decision."""
    decision = decide(*scores(8, 7, 85), margin=0.03)
    assert decision.items_needed is not None
    factor = math.ceil(decision.items_needed / 100)
    assert decide(*scores(8 * factor, 7 * factor, 85 * factor), margin=0.03).verdict == "pass"
    assert 1000 < decision.items_needed < 6000


def test_unequal_error_rates_move_their_own_verdict_only() -> None:
    """A strict beta takes a pass away, a strict alpha an alarm; neither touches the other."""
    base, tuned = scores(20, 18, 462)
    assert decide(base, tuned, margin=0.03).verdict == "pass"
    assert decide(base, tuned, margin=0.03, beta=0.001).verdict == "inconclusive"
    assert decide(base, tuned, margin=0.03, alpha=0.001).verdict == "pass"
    base, tuned = scores(40, 22, 438)
    assert decide(base, tuned, margin=0.03).verdict == "fail"
    assert decide(base, tuned, margin=0.03, alpha=0.001).verdict == "inconclusive"
    assert decide(base, tuned, margin=0.03, beta=0.001).verdict == "fail"
