"""Ratings joined with automatic scores: the paper's formulas, and intervals that hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from harness.errors import DataError
from harness.stats.prediction_powered import (
    ScoredStratum,
    prediction_powered_mean,
    prediction_powered_win_rate,
    worth_of_strata,
)
from harness.stats.win_rate import Stratum, population_win_rate

LABELS = [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]
PREDICTIONS = [0.9, 0.2, 0.7, 0.4, 0.3, 0.8]
OTHERS = [0.5, 0.9, 0.1, 0.6, 0.7, 0.2, 0.8, 0.4, 0.6, 0.7, 0.3, 0.9]


def test_the_mean_is_the_papers() -> None:
    """Worked by hand from the formulas of section 6 of the paper, to 1e-6."""
    y, f, more = map(np.array, (LABELS, PREDICTIONS, OTHERS))
    together = sum((y - y.mean()) * (f - f.mean())) / 5
    spread = sum((np.append(f, more) - np.append(f, more).mean()) ** 2) / 17
    tuning = together / (1.5 * spread)
    mean = y.mean() + tuning * (more.mean() - f.mean())
    variance = (y - tuning * f).var() / 6 + tuning**2 * more.var() / 12
    found = prediction_powered_mean(LABELS, PREDICTIONS, OTHERS, level=0.95)
    assert found.tuning == pytest.approx(tuning, abs=1e-6)
    assert found.mean == pytest.approx(mean, abs=1e-6)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * math.sqrt(variance), abs=1e-6)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_the_tuning_is_the_one_with_the_least_variance(seed: int) -> None:
    """A numerical search over the paper's variance, written anew, finds the same tuning."""
    rng = np.random.default_rng(seed)
    n, more = int(rng.integers(30, 80)), int(rng.integers(100, 400))
    truth = rng.normal(size=n + more)
    score = truth + rng.normal(size=n + more) * rng.uniform(0.3, 3)
    y, f = truth[:n], score[:n]
    spread, together, own = np.var(score, ddof=1), np.cov(y, f)[0, 1], np.var(y, ddof=1)

    def variance(t: float) -> float:
        return (own - 2 * t * together + t**2 * spread) / n + t**2 * spread / more

    best = minimize_scalar(variance, bounds=(0, 1), method="bounded", options={"xatol": 1e-9})
    found = prediction_powered_mean(y, f, score[n:])
    assert found.tuning == pytest.approx(best.x, abs=1e-4)


def test_one_stratum_is_the_papers_estimate() -> None:
    """With all items in the mean score, the paper's point estimate comes out of the strata's."""
    rng = np.random.default_rng(3)
    truth = rng.random(400)
    ratings, scores = (truth > 0.5).astype(float), np.clip(truth + rng.normal(0, 0.3, 400), 0, 1)
    found = prediction_powered_win_rate(
        [ScoredStratum(400, ratings[:80].tolist(), scores[:80].tolist())], scores
    )
    slope = np.cov(ratings[:80], scores[:80])[0, 1] / np.var(scores[:80], ddof=1)
    tuning = slope * 320 / 400  # of the paper: divided by 1 + n/N
    expected = ratings[:80].mean() + tuning * (scores[80:].mean() - scores[:80].mean())
    assert slope < 1
    assert found.tuning == pytest.approx(slope, abs=1e-6)
    assert found.mean == pytest.approx(expected, abs=1e-6)
    assert found.worth > 80


def test_a_score_that_says_no_more_than_the_strata_changes_nothing() -> None:
    """Right or wrong is constant within what was drawn by it: the plain interval stays."""
    lost = ScoredStratum(60, [0.0] * 30 + [1.0] * 10, [0.0] * 40)
    rest = ScoredStratum(130, [0.5] * 20 + [1.0] * 10, [0.5] * 30)
    found = prediction_powered_win_rate([lost, rest], [0.0] * 60 + [0.5] * 130, ties=7)
    plain = [Stratum(one.size, one.ratings) for one in (lost, rest)]
    assert found[:3] == population_win_rate(plain, ties=7)
    assert (found.tuning, found.worth) == (0.0, 70.0)


def test_strata_by_a_good_score_are_worth_more_than_a_random_draw() -> None:
    """The variance of the estimate over many draws says how many random ones would do as well."""
    rng = np.random.default_rng(6)
    worlds = [(rng.random(300) < rate).astype(float) for rate in (0.9, 0.15)]
    everything = np.concatenate(worlds)
    estimates, worth = [], []
    for _ in range(400):
        drawn = [Stratum(300, rng.choice(world, 40, replace=False)) for world in worlds]
        estimates.append(np.mean([np.mean(stratum.scores) for stratum in drawn]))
        worth.append(worth_of_strata(drawn))
    same = 1 / (np.var(estimates) / everything.var() + 1 / 600)
    assert np.median(worth) == pytest.approx(same, rel=0.25)
    assert np.median(worth) > 120
    uneven = [Stratum(20, [1.0, 0.0] * 10), Stratum(580, [1.0, 0.0] * 10)]
    assert worth_of_strata(uneven) < 25


def test_few_ratings_are_left_alone() -> None:
    """Below fifty rated items the tuning itself is too uncertain."""
    rng = np.random.default_rng(0)
    values = rng.random(200).round(2).tolist()
    few = ScoredStratum(200, [float(v > 0.5) for v in values[:49]], values[:49])
    assert prediction_powered_win_rate([few], values).tuning == 0.0


def test_the_interval_holds_the_truth_and_is_narrower() -> None:
    """A good score makes ratings worth half as many again, a useless one nothing."""
    rng = np.random.default_rng(5)
    for noise, least, most in ((0.5, 1.4, 3.0), (50.0, 0.97, 1.05)):
        worlds = []
        for size, lean in ((150, 0.6), (350, -0.1)):
            latent = rng.normal(lean, 1.0, size)
            rating = np.where(latent > 0.2, 1.0, np.where(latent < -0.2, 0.0, 0.5))
            worlds.append((rating, 1 / (1 + np.exp(-2 * (latent + noise * rng.normal(size=size))))))
        truth = sum(rating.sum() for rating, _ in worlds) / 500
        held, worth = 0, []
        for _ in range(300):
            strata = []
            for rating, score in worlds:
                drawn = rng.permutation(len(rating))[:35]
                strata.append(ScoredStratum(len(rating), [*rating[drawn]], [*score[drawn]]))
            scores = np.concatenate([score for _, score in worlds])
            found = prediction_powered_win_rate(strata, scores)
            held += found.low <= truth <= found.high
            worth.append(found.worth / 70)
        assert held / 300 >= 0.86
        assert least <= np.median(worth) <= most


@pytest.mark.parametrize(
    ("labels", "predictions", "others"), [([1.0], [1.0], [1.0]), ([1.0, 0.0], [1.0], [1.0]),
                                          ([1.0, 0.0], [1.0, 0.0], [])]
)  # fmt: skip
def test_what_is_missing_is_refused(labels: list, predictions: list, others: list) -> None:
    """Labels, a prediction of each, and predictions of other items."""
    with pytest.raises(DataError, match="a prediction-powered mean needs"):
        prediction_powered_mean(labels, predictions, others)
    with pytest.raises(DataError, match="a score of every item: found 2 of 3"):
        prediction_powered_win_rate([ScoredStratum(3, [1.0, 0.0], [1.0, 0.0])], [1.0, 0.0])
