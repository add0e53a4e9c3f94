"""0/1 scores: Tango's interval and McNemar's test, against publications and exact enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln, ndtri
from scipy.stats import binom, binomtest
from statsmodels.stats.contingency_tables import mcnemar

from harness.stats import mcnemar_exact
from harness.stats.exact_pairs import binary_evidence
from harness.stats.paired import (
    mid_p_drop,
    p_drop,
    p_not_worse,
    tango_interval,
    tango_z,
)
from harness.stats.units import clusters_needed

COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 200))


def test_published_interval_and_p_values() -> None:
    """Airway data (7 against 1 of 21; Bentur 2009 in Fagerland, Lydersen and Laake 2014)."""
    low, high = tango_interval(7, 1, 21, 1.959964)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)
    assert mcnemar_exact(7, 1) == pytest.approx(0.0703, abs=5e-5)
    assert 2 * mid_p_drop(7, 1) == pytest.approx(0.0391, abs=5e-5)
    assert tango_z(7, 1, 21, 0.0) == pytest.approx(-(4.5**0.5))


def test_published_example_of_propcis() -> None:
    """R's PropCIs documents scoreci.mp(b=40, c=20, n=160): both ends solve the score equation."""
    low, high = tango_interval(20, 40, 160, 1.959964)
    assert tango_z(20, 40, 160, low) == pytest.approx(1.959964, abs=1e-6)
    assert tango_z(20, 40, 160, high) == pytest.approx(-1.959964, abs=1e-6)
    assert (round(low, 3), round(high, 3)) == (0.031, 0.218)


def likelihood_maximum(losses: int, gains: int, n: int, difference: float) -> float:
    """Find the loss rate of highest likelihood on a fine grid, with gains = losses + difference."""
    grid = np.linspace(max(0.0, -difference), (1 - difference) / 2, 400_001)[1:-1]
    total = losses * np.log(grid) + gains * np.log(grid + difference)
    total += (n - losses - gains) * np.log1p(-2 * grid - difference)
    return float(grid[np.argmax(total)])


@pytest.mark.parametrize(
    ("losses", "gains", "n", "difference"),
    [(7, 1, 21, -0.1), (20, 40, 160, 0.05), (3, 9, 300, -0.02), (30, 30, 100, -0.2)],
)
def test_statistic_agrees_with_maximum_likelihood(
    losses: int, gains: int, n: int, difference: float
) -> None:
    """Tango's closed form is the score test at the restricted maximum of the likelihood."""
    rate = likelihood_maximum(losses, gains, n, difference)
    variance = n * (2 * rate + difference - difference**2)
    expected = (gains - losses - n * difference) / variance**0.5
    assert tango_z(losses, gains, n, difference) == pytest.approx(expected, rel=1e-4)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_scipy_and_statsmodels(losses: int, gains: int) -> None:
    """The exact test and its mid-p are binomial tests on the discordant pairs."""
    if losses + gains == 0:
        assert mcnemar_exact(0, 0) == 1.0
        return
    exact = binomtest(losses, losses + gains, 0.5, alternative="greater").pvalue
    more = exact - binom.pmf(losses, losses + gains, 0.5)
    assert mid_p_drop(losses, gains) == pytest.approx((exact + more) / 2, abs=1e-12)
    oracle = mcnemar(np.array([[5, losses], [gains, 5]]), exact=True).pvalue
    assert mcnemar_exact(losses, gains) == pytest.approx(oracle, abs=1e-12)


@settings(deadline=None)
@given(COUNTS)
def test_exchanging_the_arms_mirrors_everything(counts: tuple[int, int, int]) -> None:
    """What is a drop for one side is the same gain for the other."""
    losses, gains, same = counts
    n = losses + gains + same
    there = binary_evidence(losses, gains, n, margin=0.04, alpha=0.05)
    back = binary_evidence(gains, losses, n, margin=0.04, alpha=0.05).mirrored()
    assert there.delta == back.delta
    for one, other in ((there.low, back.low), (there.high, back.high)):
        assert one == pytest.approx(other, abs=1e-9)
    for field in ("p_drop", "p_gain", "p_not_worse", "p_not_better"):
        assert getattr(there, field) == pytest.approx(getattr(back, field), abs=1e-12)


@settings(deadline=None)
@given(COUNTS, st.floats(0.005, 0.2), st.floats(0.005, 0.2))
def test_a_wider_margin_is_never_harder(
    counts: tuple[int, int, int], one: float, other: float
) -> None:
    """P-values of "not worse" fall with the margin and with gains, and rise with losses."""
    losses, gains, same = counts
    n = losses + gains + same
    narrow, wide = sorted((one, other))
    p = p_not_worse(losses, gains, n, narrow)
    assert p_not_worse(losses, gains, n, wide) <= p + 1e-12
    assert p_not_worse(losses + 1, gains, n + 1, narrow) >= p - 1e-12
    assert p_not_worse(losses, gains + 1, n + 1, narrow) <= p + 1e-12


@settings(deadline=None)
@given(COUNTS, st.sampled_from([0.01, 0.05, 0.1]))
def test_interval_contains_the_estimate_and_agrees_with_the_test(
    counts: tuple[int, int, int], alpha: float
) -> None:
    """The interval excludes 0 exactly when a drop or a gain is shown."""
    losses, gains, same = counts
    evidence = binary_evidence(losses, gains, losses + gains + same, margin=0.05, alpha=alpha)
    assert -1.0 <= evidence.low <= evidence.delta <= evidence.high <= 1.0
    if abs(evidence.p_drop - alpha) > 1e-9 and abs(evidence.p_gain - alpha) > 1e-9:
        assert (evidence.high < 0) == (evidence.p_drop < alpha)
        assert (evidence.low > 0) == (evidence.p_gain < alpha)


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.03, 0.05, 0.1])
def test_identical_outputs_pass_only_from_the_floor_on(margin: float) -> None:
    """A handful of identical answers proves nothing."""
    floor = clusters_needed(margin, 0.05)
    assert p_not_worse(0, 0, floor, margin) <= 0.05 < p_not_worse(0, 0, floor - 1, margin)


def rejection_rates(n: int, disagreement: float, d: float, margin: float) -> tuple[float, float]:
    """Exact probabilities of "drop" and "not worse" at 5 %, summed over all tables."""
    lost, won = (disagreement - d) / 2, (disagreement + d) / 2
    tops = [min(n, int(n * rate + 7 * (n * rate) ** 0.5 + 12)) for rate in (lost, won)]
    b, c = (grid.ravel() for grid in np.mgrid[0 : tops[0] + 1, 0 : tops[1] + 1])
    b, c = b[b + c <= n], c[b + c <= n]
    log = gammaln(n + 1) - gammaln(b + 1) - gammaln(c + 1) - gammaln(n - b - c + 1)
    for count, rate in ((b, lost), (c, won), (n - b - c, 1 - disagreement)):
        log = log + np.where(count > 0, count * np.log(max(rate, 1e-300)), 0.0)
    mass = np.exp(log)
    drop = p_drop(b, c, n) <= 0.05
    return float(mass[drop].sum()), float(mass[p_not_worse(b, c, n, margin) <= 0.05].sum())


@pytest.mark.parametrize("n", [100, 150, 200, 300, 500, 1000])
def test_exact_error_rates_of_one_look(n: int) -> None:
    """Exact enumeration: at most 5.2 % false alarms and 5.6 % false passes anywhere on the grid."""
    for disagreement in (0.02, 0.03, 0.05, 0.10, 0.11, 0.15, 0.20, 0.30):
        alarm, _ = rejection_rates(n, disagreement, 0.0, 0.05)
        assert alarm <= 0.052, f"false alarm at D={disagreement}"
        for margin in (m for m in (0.01, 0.02, 0.03, 0.05, 0.10) if m <= disagreement):
            _, missed = rejection_rates(n, disagreement, -margin, margin)
            assert missed <= 0.056, f"false pass at D={disagreement}, m={margin}"


def test_power_is_that_of_the_textbook() -> None:
    """506 items find a 5-point drop among 15 % disagreement with 90 % probability."""
    power, _ = rejection_rates(506, 0.15, -0.05, 0.05)
    assert power == pytest.approx(0.90, abs=0.01)
    _, accepted = rejection_rates(506, 0.15, 0.0, 0.05)
    assert accepted == pytest.approx(0.89, abs=0.015)


def test_level_of_the_interval_follows_alpha() -> None:
    """A stricter alpha gives the wider interval of the smaller tail."""
    low, high = tango_interval(30, 20, 400, float(-ndtri(0.01)))
    strict = binary_evidence(30, 20, 400, margin=0.05, alpha=0.01)
    assert (strict.low, strict.high) == pytest.approx((low, high))
