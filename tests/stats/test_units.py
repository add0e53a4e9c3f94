"""Clusters, or single items, as the unit of evidence: exact cases, and what a sample can hide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from harness.stats import decide
from harness.stats.decide import VERDICTS, label_of, weigh
from harness.stats.scores import paired_scores
from harness.stats.units import (
    Units,
    clusters_needed,
    excludable_drop,
    gaffke_p,
    p_above,
    unit_evidence,
)


def losing(losses: int, gains: int, n: int) -> Units:
    """Return single 0/1 items of which some are lost and some gained; the base had the others."""
    sums = np.zeros(n)
    sums[:losses], sums[losses : losses + gains] = -1.0, 1.0
    base = np.ones(n)
    base[losses : losses + gains] = 0.0
    return Units(sums, np.ones(n), base)


@pytest.mark.parametrize("losses", [0, 1, 2, 5])
def test_losses_alone_are_bounded_as_by_clopper_and_pearson(losses: int) -> None:
    """The p-value against a loss of 10 % is the binomial's."""
    found = gaffke_p(losing(losses, 0, 60), -0.1)
    assert found == pytest.approx(scipy_stats.binom.cdf(losses, 60, 0.1), rel=1e-6)


@pytest.mark.parametrize(("losses", "gains"), [(7, 2), (5, 0), (3, 3)])
def test_a_drop_of_items_is_mcnemars_exact_test(losses: int, gains: int) -> None:
    """Against "no drop" the discordant pairs are tossed coins."""
    units = losing(losses, gains, 60)._replace(at_stake=np.zeros(60))  # every item could be gained
    found = gaffke_p(units.mirrored, 0.0)
    assert found == pytest.approx(scipy_stats.binom.cdf(gains, losses + gains, 0.5), rel=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_gaffkes_bound_agrees_with_sampling(seed: int) -> None:
    """The contour integral is the probability that it stands for."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 9))
    sums, sizes = rng.normal(0.1, 1.0, count), rng.integers(1, 5, count).astype(float)
    units = Units(np.clip(sums, -sizes, sizes), sizes, sizes * rng.uniform(0.2, 1.0, count))
    loss, size = units.unseen()
    z = np.append(units.sums + 0.1 * sizes, min(-(loss - 0.1 * size), -1e-9))
    drawn = np.random.default_rng(1).exponential(size=(40_000, len(z))) @ z
    assert gaffke_p(units, -0.1) == pytest.approx(np.mean(drawn <= 0), abs=0.015)


def test_many_items_go_by_students_t() -> None:
    """Independent graded items without a tail: t, but for a part hidden in items not sampled."""
    x = np.clip(np.random.default_rng(3).normal(-0.003, 0.13, 4000), -1, 1)
    units = Units(x, np.ones(4000), np.full(4000, 0.5))
    evidence = unit_evidence(units, margin=0.01, alpha=0.05)
    oracle = scipy_stats.ttest_1samp(x, -0.01, alternative="greater")
    assert evidence.p_not_worse == pytest.approx(oracle.pvalue, rel=0.03)
    interval = scipy_stats.ttest_1samp(x, 0).confidence_interval(0.9)
    assert (evidence.low, evidence.high) == pytest.approx((interval.low, interval.high), abs=3e-4)


def test_the_interval_holds_what_is_not_refuted() -> None:
    """Its lower end is where the p-value crosses alpha."""
    rng = np.random.default_rng(8)
    sizes = np.full(30, 10.0)
    units = Units(rng.integers(-3, 4, 30).astype(float), sizes, 0.7 * sizes)
    low = unit_evidence(units, margin=0.05, alpha=0.05).low
    assert p_above(units, low - 1e-5) <= 0.05 < p_above(units, low + 1e-5)


@pytest.mark.parametrize(
    ("groups", "label"), [(1, "inconclusive"), (48, "inconclusive"), (70, "unchanged")]
)
def test_identical_scores_pass_only_from_enough_clusters(groups: int, label: str) -> None:
    """A cluster in which everything fails may be missing from few: items do not help."""
    scores = [1.0, 0.0] * 5 * groups
    clusters = [index // 10 for index in range(10 * groups)]
    decision = decide(scores, scores, margin=0.03, clusters=clusters)
    assert decision.label == label
    if label == "inconclusive":
        assert "cannot show that a drop of 3 points is absent" in decision.notes[-1]
        assert f"at least {clusters_needed(0.03, 0.05, 0.5)} equal clusters" in decision.notes[-1]
        assert decision.items_needed == 10 * clusters_needed(0.03, 0.05, 0.5)


def test_what_is_needed_is_what_would_pass() -> None:
    """At the number of clusters that is named the least excludable drop is the margin."""
    needed = clusters_needed(0.05, 0.05, 0.7)
    sizes = np.full(needed, 10.0)
    assert excludable_drop(Units(0 * sizes, sizes, 0.7 * sizes), 0.05) <= 0.05
    assert excludable_drop(Units(0 * sizes[1:], sizes[1:], 0.7 * sizes[1:]), 0.05) > 0.05


def test_a_base_that_is_right_nowhere_proves_nothing() -> None:
    """What cannot be lost in the sample may be lost elsewhere: one in thirty could be right."""
    decision = decide([0] * 300, [0] * 300, margin=0.03, clusters=[i // 10 for i in range(300)])
    assert decision.label == "inconclusive"


@pytest.mark.parametrize("kind", ["whole clusters", "steady gain, rare losses"])
def test_lost_clusters_do_not_pass(kind: str) -> None:
    """At a true drop of the margin at most 5 % pass; the items' own test let 16 to 72 % through."""
    rng = np.random.default_rng(5)
    passed = 0
    for _ in range(400):
        if kind == "whole clusters":
            base = np.ones((100, 10))
            tuned = np.where((rng.random(100) < 0.03)[:, None], 0.0, base)
            margin = 0.03
        else:
            base = (rng.random((50, 10)) < 0.7).astype(float)
            gained = (base == 0) & (rng.random((50, 10)) < 0.1)
            lost = (rng.random(50) < 0.13 / 0.7)[:, None]
            tuned = np.where(lost, 0.0, np.where(gained, 1.0, base))
            margin = 0.1
        clusters = np.repeat(np.arange(len(base)), 10).tolist()
        pairs = paired_scores(base.ravel(), tuned.ravel(), clusters=clusters)
        found = weigh(pairs, margin=margin, alpha=0.05, tails="graded", interval=False)
        passed += VERDICTS[label_of(found, alpha=0.05, beta=0.05)] == "pass"
    assert passed <= 400 * 0.05 + 3 * (400 * 0.05 * 0.95) ** 0.5


def test_an_interval_ends_where_few_of_many_clusters_changed() -> None:
    """The correction for skewness is no reason to believe in a gain of 100 points."""
    sums = np.repeat([-1.0, 0.0, 1.0, 2.0], [17, 549, 20, 1])
    units = Units(sums, np.full(587, 2.0), np.full(587, 1.3))
    found = unit_evidence(units, margin=0.05, alpha=0.05)
    assert -0.01 < found.low < found.delta < found.high < 0.02
    p_values = [p_above(units.mirrored, -gain) for gain in (0.01, 0.02, 0.1, 0.5, 1.0)]
    assert p_values == sorted(p_values, reverse=True)
