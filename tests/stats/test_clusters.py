"""Dependent items: CR2 against matrix formulas and statsmodels, sign-flips by brute force."""

import numpy as np
import pytest
import statsmodels.api as sm

from harness.stats import decide, design_effect, intraclass_correlation
from harness.stats.clusters import (
    ClusterSums,
    cluster_error,
    cluster_sums,
)

RNG = np.random.default_rng(0)


def grouped(sizes: list[int], correlation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal values with a common part per cluster, and the cluster numbers."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    common = correlation**0.5 * rng.normal(size=len(sizes))[cluster]
    return common + (1 - correlation) ** 0.5 * rng.normal(size=len(cluster)), cluster


def bell_mccaffrey(values: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """CR2 error and degrees of freedom of a mean by the general matrices, no shortcut."""
    n = len(values)
    hat = np.full((n, n), 1.0 / n)
    residual_maker = np.eye(n) - hat
    columns, total = [], 0.0
    for number in np.unique(cluster):
        inside = np.flatnonzero(cluster == number)
        block = residual_maker[np.ix_(inside, inside)]
        values_of, vectors = np.linalg.eigh(block)
        root = vectors @ np.diag(1 / np.sqrt(values_of)) @ vectors.T
        weights = root @ np.ones(len(inside)) / n
        total += float(weights @ (values[inside] - values.mean())) ** 2
        columns.append(residual_maker[:, inside] @ weights)
    moment = np.array(columns) @ np.array(columns).T
    return total**0.5, float(np.trace(moment) ** 2 / np.sum(moment**2))


@pytest.mark.parametrize("sizes", [[3] * 20, [1, 2, 3, 4, 5, 6, 20], [10, 1, 1, 1, 8, 2, 7, 30]])
def test_cr2_agrees_with_general_matrices(sizes: list[int]) -> None:
    """The closed form for a mean is Bell and McCaffrey's estimator, degrees of freedom included."""
    values, cluster = grouped(sizes, 0.3, seed=4)
    error, df = cluster_error(cluster_sums(values, cluster))
    assert (error, df) == pytest.approx(bell_mccaffrey(values, cluster))


def test_degrees_of_freedom_agree_with_clubsandwich() -> None:
    """The formula by which R's clubSandwich tests its own CR2 for a mean."""
    sizes = np.array([3.0, 8, 1, 12, 5, 5, 9])
    total = sizes.sum()
    left = total - sizes
    expected = total**2 / (
        total**2 * np.sum(sizes**2 / left**2)
        - 2 * total * np.sum(sizes**3 / left**2)
        + np.sum(sizes**2 / left) ** 2
    )
    _, df = cluster_error(ClusterSums(np.arange(7.0), sizes))
    assert df == pytest.approx(expected)


def test_equal_clusters_agree_with_statsmodels() -> None:
    """With equal sizes CR2 is CR1 with G - 1 degrees of freedom."""
    values, cluster = grouped([7] * 24, 0.4, seed=9)
    fit = sm.OLS(values, np.ones_like(values)).fit(
        cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True
    )
    error, df = cluster_error(cluster_sums(values, cluster))
    assert error == pytest.approx(float(fit.bse[0]))
    assert df == pytest.approx(23)


def test_singletons_are_no_clusters() -> None:
    """Items that each have a cluster of their own are decided as independent."""
    base, tuned = [1] * 60 + [0] * 40, [1] * 50 + [0] * 50
    alone = decide(base, tuned, margin=0.05)
    assert decide(base, tuned, margin=0.05, clusters=range(100)) == alone


def test_one_cluster_decides_nothing() -> None:
    """However many items one document has, it is one observation."""
    decision = decide([1] * 100, [0] * 100, margin=0.05, clusters=["a"] * 100)
    assert decision.verdict == "inconclusive"
    assert decision.clusters == 1


def test_three_losing_clusters_are_no_regression() -> None:
    """Three documents lost of a hundred are not enough, though the plain cluster t says so."""
    difference = np.zeros(500)
    difference[:15] = -1.0
    cluster = np.arange(500) // 5
    decision = decide(np.ones(500), 1.0 + difference, margin=0.05, clusters=cluster.tolist())
    error, df = cluster_error(cluster_sums(difference, cluster))
    assert difference.mean() / error < -1.7
    assert df == pytest.approx(99)
    assert decision.p_regression == pytest.approx(1 / 8)
    assert decision.ci_high >= 0.0


def test_correlation_and_design_effect_of_known_data() -> None:
    """Copies within a cluster correlate fully; independent items hardly at all."""
    copies = np.repeat(RNG.normal(size=50), 8)
    cluster = np.arange(400) // 8
    assert intraclass_correlation(copies, cluster) == pytest.approx(1.0)
    assert design_effect(copies, cluster) == pytest.approx(8.0)
    assert intraclass_correlation(RNG.normal(size=400), cluster) < 0.08
    values, groups = grouped([10] * 400, 0.3, seed=3)
    assert intraclass_correlation(values, groups) == pytest.approx(0.3, abs=0.06)


def test_correlation_agrees_with_analysis_of_variance() -> None:
    """The estimate comes from statsmodels' between and within mean squares."""
    from statsmodels.stats.oneway import anova_oneway

    values, cluster = grouped([6] * 30, 0.25, seed=12)
    anova = anova_oneway([values[cluster == c] for c in range(30)], use_var="equal")
    expected = (anova.statistic - 1) / (anova.statistic + 5)
    assert intraclass_correlation(values, cluster) == pytest.approx(expected)
