"""How well one arm did: a mean score and the interval that belongs to it.

Two arms are never compared by their two intervals; that is what `harness.stats.decide` is for.

Sources: Wilson, JASA 22 (1927) 209-212; for clusters see `harness.stats.clusters`.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from harness.errors import StudyError
from harness.stats.clusters import cluster_error, cluster_sums
from harness.stats.scores import checked_scores, cluster_numbers


class MeanInterval(NamedTuple):
    """A mean score and its two-sided interval, all in [0, 1]."""

    mean: float
    low: float
    high: float


def interval_of_mean(
    scores: ArrayLike, *, clusters: Sequence[Hashable] | None = None, level: float = 0.9
) -> MeanInterval:
    """Return the mean of one arm's scores with an interval.

    Wilson's interval for 0/1 scores, Student's t for graded ones, the cluster-robust t where items
    are grouped (for 0/1 scores never narrower than Wilson's). A single cluster bounds nothing.

    Args:
        scores: shape (n,), each in [0, 1].
        clusters: the group of each item, n labels; None where items are independent.
        level: of the two-sided interval, in (0, 1).

    Raises:
        ComparisonError: no scores, or one that is no number in [0, 1].
        StudyError: an impossible level.

    >>> interval_of_mean([1] * 8 + [0] * 2, level=0.95)
    MeanInterval(mean=0.8, low=0.490..., high=0.943...)
    """
    if not 0.0 < level < 1.0:
        raise StudyError(f"an interval's level must lie between 0 and 1: found {level:g}")
    values = checked_scores(scores, "arm")
    groups = None if clusters is None else cluster_numbers(clusters, len(values))
    n, mean, tail = len(values), float(values.mean()), (1.0 - level) / 2.0
    wilson = wilson_interval(mean, n, level)
    if groups is not None:
        sums = cluster_sums(values, groups)
        if len(sums.sums) == 1:
            return MeanInterval(mean, 0.0, 1.0)
        error, df = cluster_error(sums)
    elif np.all((values == 0.0) | (values == 1.0)):
        return MeanInterval(mean, *wilson)
    else:
        error, df = float(values.std(ddof=1)) / n**0.5 if n > 1 else 0.0, float(n - 1)
    if error < 1e-12:
        return MeanInterval(mean, *wilson)
    reach = float(stdtrit(df, 1.0 - tail)) * error
    low, high = max(mean - reach, 0.0), min(mean + reach, 1.0)
    if np.all((values == 0.0) | (values == 1.0)):
        low, high = min(low, wilson[0]), max(high, wilson[1])
    return MeanInterval(mean, low, high)


def wilson_interval(rate: float, n: int, level: float) -> tuple[float, float]:
    """Return Wilson's score interval of a rate observed on n items."""
    z = float(ndtri(0.5 + level / 2.0))
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * (rate * (1 - rate) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    return min(max(centre - reach, 0.0), rate), max(min(centre + reach, 1.0), rate)
