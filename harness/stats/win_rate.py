"""Whom raters prefer in the whole of what was drawn from: an interval from few, uneven strata."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from harness.errors import DataError
from harness.stats.scores import Floats

FEW = 10
"""Items of a stratum, rated or not, below which its interval is Clopper and Pearson's."""


class Stratum(NamedTuple):
    """What was drawn from one part of a suite: its number of items, and the scores of those rated.

    A score is 1 where tuned was preferred, 0 where base was, 0.5 for a tie, or a mean of these over
    an item's raters.
    """

    size: int
    scores: Sequence[float] | Floats


class PopulationWinRate(NamedTuple):
    """Share of items that tuned wins (a tie is half a win), and its interval."""

    rate: float
    low: float
    high: float


def population_win_rate(
    strata: Sequence[Stratum], *, ties: int = 0, level: float = 0.90
) -> PopulationWinRate:
    """Estimate the win rate of all items from samples of their strata.

    Each stratum has an interval of its own, Jeffreys's (few rated items: Clopper and Pearson's),
    which stays wide where every rating so far is the same. They are joined by recovering the
    variance at each end (Zou and Donner, Statistics in Medicine 27 (2008) 1693-1702). A stratum
    that was rated wholly is known.

    Args:
        strata: the parts drawn from, each with at least one rated item.
        ties: items known to be ties without being rated (identical answers).
        level: of the interval.

    Raises:
        DataError: no items, a stratum without ratings, or with more of them than items.

    >>> rate, low, high = population_win_rate([Stratum(40, [1.0] * 4)])
    >>> rate, round(low, 2), round(high, 2)
    (1.0, 0.5, 1.0)
    """
    total = ties + sum(stratum.size for stratum in strata)
    if not total or any(not 0 < len(s.scores) <= s.size for s in strata):
        raise DataError(
            "a win rate needs rated items of every stratum, and no more than it has: found "
            f"{[(len(s.scores), s.size) for s in strata]} rated of"
        )
    rate, below, above = 0.5 * ties / total, 0.0, 0.0
    for stratum in strata:
        share = stratum.size / total
        mean, low, high = _interval(stratum, (1.0 - level) / 2.0)
        rate += share * mean
        below += (share * (mean - low)) ** 2
        above += (share * (high - mean)) ** 2
    return PopulationWinRate(rate, max(0.0, rate - below**0.5), min(1.0, rate + above**0.5))


def _interval(stratum: Stratum, tail: float) -> tuple[float, float, float]:
    """Return mean and ends; ties and the share already rated count as further items."""
    scores = np.asarray(stratum.scores, dtype=np.float64)
    mean, n = min(1.0, max(0.0, float(scores.mean()))), len(scores)  # rounding
    if n == stratum.size:
        return mean, mean, mean
    shrunk = np.append(scores, [0.0, 1.0])  # one win and one loss more: never without variance
    centre = float(shrunk.mean())
    spread = float(shrunk.var()) / (centre * (1.0 - centre))
    seen = (1.0 - n / stratum.size) / (1.0 - 1.0 / stratum.size)
    count = n / spread / seen
    extra = (0.0, 1.0)
    if min(n, stratum.size - n) >= FEW:
        extra = (0.5, 0.5)
        count *= float(ndtri(tail) / stdtrit(n - 1, tail)) ** 2  # the spread is estimated
    wins, losses = mean * count, (1.0 - mean) * count
    low = float(betaincinv(wins + extra[0], losses + extra[1], tail)) if mean > 0.0 else 0.0
    high = float(betaincinv(wins + extra[1], losses + extra[0], 1 - tail)) if mean < 1.0 else 1.0
    return mean, min(low, mean), max(high, mean)
