"""Betting against its own promise: valid at any time, for any bounded distribution."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.stats import betting_p, decide, e_process
from harness.stats.betting import STAKES, log_capital


def differences(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Draw differences of two graded scores that are no worse than mildly skewed."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(shift, 0.13, n), -1, 1)


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
