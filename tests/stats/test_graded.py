"""Graded scores: t and bootstrap against scipy, betting against its own promise."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.stats import betting_p, decide, e_process
from harness.stats.betting import STAKES, log_capital
from harness.stats.graded import graded_evidence, resampled_pivots, skewness


def differences(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Draw differences of two graded scores that are no worse than mildly skewed."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(shift, 0.13, n), -1, 1)


def test_t_part_agrees_with_scipy() -> None:
    """Beyond 3,000 items t alone decides, with scipy's p-values and interval."""
    x = differences(4000, 3, -0.003)
    found = graded_evidence(x, margin=0.01, alpha=0.05)
    assert found.p_drop == pytest.approx(scipy_stats.ttest_1samp(x, 0, alternative="less").pvalue)
    oracle = scipy_stats.ttest_1samp(x, -0.01, alternative="greater")
    assert found.p_not_worse == pytest.approx(oracle.pvalue)
    interval = scipy_stats.ttest_1samp(x, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_bootstrap_part_never_narrows_t_and_hardly_widens_it() -> None:
    """On well-behaved scores both methods agree to a few per cent of the width."""
    x = differences(400, 5)
    both = graded_evidence(x, margin=0.02, alpha=0.05, seed=0)
    alone = graded_evidence(x, margin=0.02, alpha=0.05, seed=None)
    assert both.low <= alone.low < alone.high <= both.high
    assert both.high - both.low < 1.06 * (alone.high - alone.low)
    assert "bootstrap" in both.method


def test_resampled_pivots_follow_t() -> None:
    """Pivots of a normal sample have the quantiles of Student's t."""
    pivots = resampled_pivots(differences(60, 8), resamples=20_000, seed=1)
    for level in (0.05, 0.25, 0.75, 0.95):
        expected = scipy_stats.t.ppf(level, 59)
        assert np.quantile(pivots, level) == pytest.approx(expected, abs=0.12)


def test_skewness_agrees_with_scipy() -> None:
    """The guard looks at the usual third moment."""
    x = np.random.default_rng(0).exponential(size=300)
    assert skewness(x) == pytest.approx(scipy_stats.skew(x))
    assert skewness(np.full(5, 0.3)) == 0.0


@pytest.mark.parametrize(
    ("x", "note"),
    [
        (differences(49, 1), "fewer than 50 items"),
        (np.concatenate([np.full(95, 0.02), np.full(5, -0.9)]), "skewed differences"),
        (np.full(80, 0.25), "all differences are equal"),
    ],
)
def test_samples_that_cannot_show_their_tail_are_bet_on(x: np.ndarray, note: str) -> None:
    """Too few, too skewed or without any spread: the decision says that betting made it."""
    decision = decide(np.where(x < 0, -x, 0), np.where(x < 0, 0, x), margin=0.05)
    assert decision.method == "betting"
    assert note in decision.notes[0]


def test_rare_catastrophes_do_not_pass_for_improvement() -> None:
    """Small gains and an unseen 4 % of disasters: t calls it improved in a quarter, betting never.

    True mean 0: 30 % of the items gain up to 0.2, 4 % lose 0.5 to 1.
    """
    rng, by_t, by_betting = np.random.default_rng(7), 0, 0
    for _ in range(400):
        kind = rng.random(30)
        x = np.where(kind < 0.04, -rng.uniform(0.5, 1, 30), 0.0)
        x = np.where(kind > 0.7, rng.uniform(0, 0.2, 30), x)
        by_t += scipy_stats.ttest_1samp(x, 0, alternative="greater").pvalue <= 0.05
        decision = decide(np.maximum(-x, 0), np.maximum(x, 0), margin=0.05, tails="heavy")
        by_betting += decision.label == "improved"
    assert by_t > 60
    assert by_betting <= 2


def test_capital_is_the_mean_over_fixed_stakes() -> None:
    """The log capital is the formula written out, for items and for clusters of several sizes."""
    x = np.array([0.5, -0.25, 0.0])
    plain = np.mean([np.prod(1 + stake * (x + 0.1) / 0.9) for stake in STAKES])
    assert log_capital(x, -0.1) == pytest.approx(np.log(plain))
    sums, sizes = np.array([1.0, -0.5]), np.array([2.0, 4.0])
    grouped = np.mean([np.prod(1 + stake * (sums + 0.1 * sizes) / (0.9 * 4.0)) for stake in STAKES])
    assert log_capital(sums, -0.1, "above", sizes) == pytest.approx(np.log(grouped))
    careful = log_capital(sums, -0.1, "above", sizes, largest=8.0)
    assert abs(careful) < abs(np.log(grouped))


def test_e_process_ends_where_the_whole_sample_does() -> None:
    """Watching item by item changes nothing about the capital at the end."""
    x = differences(200, 2, 0.05)
    running = e_process(x, 0.0)
    assert running.shape == (200,)
    assert running[-1] == pytest.approx(np.exp(log_capital(x, 0.0)))
    assert betting_p(x, 0.0) == pytest.approx(min(1.0, 1.0 / running[-1]))


def test_watching_after_every_item_keeps_the_level() -> None:
    """Ville: at the true mean the capital ever reaches 20 in at most 5 % of all sequences."""
    rng = np.random.default_rng(11)
    reached = [
        e_process(rng.choice([-1.0, 0.0, 1.0], 300, p=[0.1, 0.8, 0.1]), 0.0, side).max() >= 20
        for _ in range(300)
        for side in ("above", "below")
    ]
    assert np.mean(reached) <= 0.05
