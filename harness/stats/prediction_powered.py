"""Few ratings and many automatic scores, joined: prediction-powered estimates.

The ratings say what is true, the scores make the estimate sharper by as much as they agree with
the ratings, and by nothing where they do not ("power tuning"). Angelopoulos, Duchi and Zrnic,
"PPI++: Efficient Prediction-Powered Inference" (arXiv 2311.01453, 2023), sections 2 and 6.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from harness.errors import DataError
from harness.stats.win_rate import PopulationWinRate, Stratum, population_win_rate

FEWEST_RATED = 50
"""Rated items below which scores do not help: the tuning itself is too uncertain."""


class PoweredMean(NamedTuple):
    """A mean with its interval.

    ``tuning`` is how far the scores were relied on, from 0 (not at all) to 1; ``worth`` is how many
    labels would be needed for as narrow an interval without the scores.
    """

    mean: float
    low: float
    high: float
    tuning: float
    worth: float


class ScoredStratum(NamedTuple):
    """What was rated of one part of a suite.

    ``size`` is how many items it has, ``ratings`` are those of `win_rate.Stratum`, in [0, 1];
    ``scores`` are the automatic ones of the same items, on the same scale.
    """

    size: int
    ratings: Sequence[float]
    scores: Sequence[float]


def prediction_powered_mean(
    labels: Sequence[float],
    predictions: Sequence[float],
    others: Sequence[float],
    *,
    level: float = 0.90,
) -> PoweredMean:
    """Estimate the mean label of items like these, as the paper does.

    With n labels Y, predictions f of the same items and predictions F of N others:
    mean = mean(Y) + t (mean(F) - mean(f)), variance = var(Y - t f) / n + t^2 var(F) / N, and the
    tuning t = cov(Y, f) / ((1 + n/N) var(f and F)), cut to [0, 1], makes it least.

    Args:
        labels: true values, n of them.
        predictions: automatic values of the same items.
        others: automatic values of N further items, a sample of the same source.
        level: of the normal interval.

    Raises:
        DataError: fewer than two labels, as many predictions as labels are missing, or no others.
    """
    y, f, more = (np.asarray(values, dtype=np.float64) for values in (labels, predictions, others))
    if len(y) < 2 or len(y) != len(f) or not len(more):
        raise DataError(
            "a prediction-powered mean needs two or more labels, a prediction of each, and "
            f"predictions of other items: found {len(y)}, {len(f)} and {len(more)}"
        )
    spread = float(np.var(np.append(f, more), ddof=1))
    covariance = float(np.cov(y, f)[0, 1])
    tuning = covariance / ((1.0 + len(y) / len(more)) * spread) if spread > 0.0 else 0.0
    tuning = min(1.0, max(0.0, tuning))
    mean = float(y.mean() + tuning * (more.mean() - f.mean()))
    variance = float(np.var(y - tuning * f) / len(y) + tuning**2 * np.var(more) / len(more))
    half = float(ndtri(0.5 + level / 2.0)) * variance**0.5
    plain = float(np.var(y))
    worth = plain / variance if variance > 0.0 else float(len(y))
    return PoweredMean(mean, mean - half, mean + half, tuning, worth)


def prediction_powered_win_rate(
    strata: Sequence[ScoredStratum],
    everywhere: Sequence[float],
    *,
    ties: int = 0,
    level: float = 0.90,
) -> PoweredMean:
    """Estimate the win rate of all items of a suite from ratings of some and scores of all.

    The target is these items, not others like them, and they were drawn at random within strata of
    known sizes. The strata's mean ratings are shifted by t (mean score of all items - the strata's
    mean score of rated items), and a rating varies only by what its score does not say, y - t f.
    In one stratum that is the paper's estimate: with all N + n items in the mean, its tuning is the
    regression of ratings on scores. One t serves all strata, the one with the least variance of
    the whole: their cov(y, f) and var(f) are summed with weights
    (size / total)^2 (1/n - 1/size). A score that is constant within every stratum (right or wrong,
    where items were drawn by it) has no more to say than the strata do, and changes nothing.
    Intervals are those of `population_win_rate`.

    Args:
        strata: with at least one rated item each.
        everywhere: the score of every item of the strata, rated or not.
        ties: items known to be ties without being rated.
        level: of the interval.

    Raises:
        DataError: a stratum without ratings, or without a score of each item.
    """
    sizes = sum(stratum.size for stratum in strata)
    if len(everywhere) != sizes or any(len(s.ratings) != len(s.scores) for s in strata):
        raise DataError(
            "a prediction-powered win rate needs a score of every item: found "
            f"{len(everywhere)} of {sizes}"
        )
    plain = _joined(strata, 0.0, ties, level)
    rated = sum(len(stratum.ratings) for stratum in strata)
    tuning = _tuning(strata) if rated >= FEWEST_RATED else 0.0
    if tuning == 0.0:
        return PoweredMean(*plain, 0.0, float(rated))
    known = sum(stratum.size * float(np.mean(stratum.scores)) for stratum in strata)
    shift = tuning * (float(np.sum(everywhere)) - known) / (sizes + ties)
    found = _joined(strata, tuning, ties, level)
    width = found.high - found.low
    worth = rated * ((plain.high - plain.low) / width) ** 2 if width > 0.0 else float(rated)
    mean, low, high = (min(1.0, max(0.0, value + shift)) for value in found)
    return PoweredMean(mean, low, high, tuning, worth)


def worth_of_strata(strata: Sequence[Stratum]) -> float:
    """Return how many items of a random draw would tell as much as those rated of strata.

    Strata made by the score of every item are a prediction-powered estimate of their own: what the
    score explains of the ratings no longer varies. But strata of few items that were looked at more
    than others cost some of that. The variance of a stratum is that of its ratings with one win and
    one loss more, so that it is never nought.

    Args:
        strata: with at least one rated item each.
    """
    total = sum(stratum.size for stratum in strata)
    means = [float(np.mean(stratum.scores)) for stratum in strata]
    whole = sum(s.size / total * mean for s, mean in zip(strata, means, strict=True))
    spread = error = 0.0
    for stratum, mean in zip(strata, means, strict=True):
        own = float(np.var(np.append(stratum.scores, [0.0, 1.0])))
        share, n = stratum.size / total, len(stratum.scores)
        spread += share * (own + (mean - whole) ** 2)
        error += share**2 * own * (1.0 / n - 1.0 / stratum.size)
    return 1.0 / (error / spread + 1.0 / total)


def _joined(
    strata: Sequence[ScoredStratum], tuning: float, ties: int, level: float
) -> PopulationWinRate:
    """Join the strata's ratings, each less what its score says beyond the stratum's mean score."""
    return population_win_rate(
        [
            Stratum(
                stratum.size,
                np.asarray(stratum.ratings)
                - tuning * (np.asarray(stratum.scores) - float(np.mean(stratum.scores or [0.0]))),
            )
            for stratum in strata
        ],
        ties=ties,
        level=level,
    )


def _tuning(strata: Sequence[ScoredStratum]) -> float:
    together = alone = 0.0
    for stratum in strata:
        n = len(stratum.ratings)
        if n > 1:
            weight = stratum.size**2 * (1.0 / n - 1.0 / stratum.size)
            table = np.cov(stratum.ratings, stratum.scores)
            together += weight * float(table[0, 1])
            alone += weight * float(table[1, 1])
    return min(1.0, max(0.0, together / alone)) if alone > 1e-9 else 0.0
