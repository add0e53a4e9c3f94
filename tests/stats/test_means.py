"""One arm's mean with an interval, and the arithmetic of several suites."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from harness.errors import ComparisonError, StudyError
from harness.stats import holm, intersection_union, interval_of_mean


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.8, 0.9, 0.95]))
@settings(deadline=None)
def test_binary_scores_get_wilsons_interval(right: int, wrong: int, level: float) -> None:
    """The same interval as statsmodels computes."""
    if right + wrong == 0:
        return
    found = interval_of_mean([1] * right + [0] * wrong, level=level)
    expected = proportion_confint(right, right + wrong, alpha=1 - level, method="wilson")
    assert found.mean == pytest.approx(right / (right + wrong))
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)


def test_graded_scores_get_students_interval() -> None:
    """The same interval as scipy computes."""
    scores = np.random.default_rng(0).beta(4, 2, 70)
    found = interval_of_mean(scores, level=0.9)
    expected = scipy_stats.ttest_1samp(scores, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_clusters_widen_the_interval() -> None:
    """Ten copies of each answer are no more evidence than one."""
    rng = np.random.default_rng(1)
    once = rng.integers(0, 2, 40)
    copied, cluster = np.repeat(once, 10), np.repeat(np.arange(40), 10).tolist()
    wide, narrow = interval_of_mean(copied, clusters=cluster), interval_of_mean(copied)
    single = interval_of_mean(once)
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)
    assert wide.high - wide.low == pytest.approx(single.high - single.low, rel=0.1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.booleans())
@settings(deadline=None)
def test_interval_contains_the_mean_within_the_scale(scores: list[float], clustered: bool) -> None:
    """One item, equal items, one cluster: there is always an interval in [0, 1]."""
    clusters = [index // 3 for index in range(len(scores))] if clustered else None
    found = interval_of_mean(scores, clusters=clusters)
    assert 0 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= 1


def test_one_cluster_bounds_nothing() -> None:
    """A single document leaves the whole scale open."""
    assert interval_of_mean([1, 0, 1], clusters=["a"] * 3)[1:] == (0.0, 1.0)


def test_bad_input_is_refused() -> None:
    """No scores, scores off the scale, impossible levels."""
    with pytest.raises(ComparisonError, match="at least one score"):
        interval_of_mean([])
    with pytest.raises(ComparisonError, match="found 2 at position 0"):
        interval_of_mean([2.0])
    with pytest.raises(StudyError, match="level must lie"):
        interval_of_mean([1, 0], level=1.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(deadline=None)
def test_holm_agrees_with_statsmodels(pvalues: list[float]) -> None:
    """Adjusted p-values in the order given."""
    expected = multipletests(pvalues, method="holm")[1]
    assert holm(pvalues) == pytest.approx(expected)


def test_holms_own_arithmetic() -> None:
    """Four p-values step down from four times the smallest; none stays none."""
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx((0.03, 0.04, 0.04, 0.02))
    assert holm([]) == ()
    with pytest.raises(StudyError, match=r"found 1\.2"):
        holm([1.2])


def test_all_claims_hold_only_as_surely_as_the_weakest() -> None:
    """Intersection-union takes the largest p-value, uncorrected."""
    assert intersection_union([0.001, 0.2, 0.04]) == 0.2
    with pytest.raises(StudyError, match="found none"):
        intersection_union([])
