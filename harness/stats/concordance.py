"""Does an automatic score order items as people do?

Every item may have a weight, how many items of the population it stands for, because raters see
more of what flipped. Intervals of correlations are symmetric on Fisher's scale, with the larger of
two errors: the jackknife's, of what an item less would change (Efron and Stein, Annals of
Statistics 9 (1981) 586-596), and the one of untied normal values (Fieller, Hartley and Pearson,
Biometrika 44 (1957) 470-481), which is not nought where all items are in order. That of the area
under the curve is Newcombe's fifth (Statistics in Medicine 25 (2006) 559-573).
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from harness.errors import DataError
from harness.stats.scores import Floats

_NEAR = 1e-9
"""What counts as nought, as the error of an area is at 0 and 1."""


class Agrees(NamedTuple):
    """A figure with its interval; None where it is not defined."""

    value: float
    low: float
    high: float


class Concordance(NamedTuple):
    """How a score goes with people's preferences over ``items``.

    ``kendall`` is tau-b, ``spearman`` the correlation of mid-ranks, both from -1 to 1 with 0 for no
    relation. ``auc`` is the chance that of two items, of which people preferred the first answer of
    one and the second of the other, the score leans further towards the first in the former (half
    where it is the same); 0.5 is no relation.
    """

    items: int
    kendall: Agrees | None
    spearman: Agrees | None
    auc: Agrees | None


def concordance(
    ratings: Sequence[float],
    scores: Sequence[float],
    weights: Sequence[float] | None = None,
    *,
    level: float = 0.90,
) -> Concordance:
    """Correlate an automatic score with people's preferences.

    Args:
        ratings: by item, above zero where people prefer the first answer, below where the second.
        scores: by item, how much better the score says the first answer is.
        weights: by item; all equal without them.
        level: of the intervals.

    Raises:
        DataError: lengths that differ.
    """
    x, y = np.asarray(ratings, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(x) == len(y) == len(w):
        raise DataError(
            f"every item needs a rating and a score: found {len(x)}, {len(y)} and {len(w)}"
        )
    signs = np.sign(x[:, None] - x), np.sign(y[:, None] - y)
    tau = _pair_sums(signs[0] * signs[1], signs[0] ** 2, signs[1] ** 2, w)
    count = _effective(w)
    return Concordance(
        items=len(x),
        kendall=_correlation(*tau, (0.437, count - 4.0), level),
        spearman=_correlation(*_spearman(x, y, w), (1.06, count - 3.0), level),
        auc=_auc(x, signs[1], w, level),
    )


def _pair_sums(
    together: Floats, first: Floats, second: Floats, w: Floats
) -> tuple[float | None, Floats]:
    """Return tau-b, and tau-b without each item, from sums over pairs of items."""
    pairs = w[:, None] * w
    rows = [(table * pairs).sum(axis=1) for table in (together, first, second)]
    sums = [row.sum() for row in rows]
    without = [total - 2.0 * row for total, row in zip(sums, rows, strict=True)]
    return _ratio(*sums), _ratios(*without)


def _spearman(x: Floats, y: Floats, w: Floats) -> tuple[float | None, Floats]:
    """Return the correlation of mid-ranks, and that without each item, whose ranks stay."""
    if not len(x):
        return None, w
    one, other = (_mid_ranks(values, w) for values in (x, y))

    def figure(left: Floats, total: Floats) -> tuple[Floats, ...]:
        """Sums of products about the mean, where ``left`` is the weight that is taken away."""
        means = [(np.sum(w * rank) - left * rank) / total for rank in (one, other)]
        return tuple(
            np.sum(w * a * b) - left * a * b - total * means[i] * means[j]
            for a, b, i, j in ((one, other, 0, 1), (one, one, 0, 0), (other, other, 1, 1))
        )

    whole = figure(np.zeros(1), np.array([w.sum()]))
    without = figure(w, np.maximum(w.sum() - w, 1e-300))
    return _ratio(*(float(part.flat[0]) for part in whole)), _ratios(*without)


def _ratio(together: float, first: float, second: float) -> float | None:
    inside = first > _NEAR and second > _NEAR
    return float(together / (first * second) ** 0.5) if inside else None


def _ratios(together: Floats, first: Floats, second: Floats) -> Floats:
    """Return the ratios that are defined."""
    known = (first > _NEAR) & (second > _NEAR)
    return np.asarray(together[known] / np.sqrt(first[known] * second[known]), dtype=np.float64)


def _mid_ranks(values: Floats, w: Floats) -> Floats:
    """Return how much weight lies below each value, and half of what lies at it."""
    _, where = np.unique(values, return_inverse=True)
    mass = np.bincount(where, weights=w)
    return np.asarray((np.cumsum(mass) - mass / 2.0)[where], dtype=np.float64)


def _correlation(
    value: float | None, known: Floats, normal: tuple[float, float], level: float
) -> Agrees | None:
    """Return a correlation with its interval; ``normal`` is the variance of untied values."""
    n, (above, below) = len(known), normal
    if value is None or n < 3 or below <= 0.0:
        return None
    inside = min(1.0 - 1.0 / n, max(1.0 / n - 1.0, value))
    jackknife = float(((n - 1) / n * np.sum((known - known.mean()) ** 2)) ** 0.5)
    error = max(jackknife / (1.0 - inside**2), (above / below) ** 0.5)
    half = float(stdtrit(n - 1, 0.5 + level / 2.0)) * error
    middle = float(np.arctanh(inside))
    low, high = (float(np.tanh(middle + side * half)) for side in (-1.0, 1.0))
    return Agrees(value, min(low, value), max(high, value))


def _auc(x: Floats, order: Floats, w: Floats, level: float) -> Agrees | None:
    first, second = w[x > 0], w[x < 0]
    if not len(first) or not len(second):
        return None
    pairs = first[:, None] * second
    right = (order[np.ix_(x > 0, x < 0)] + 1.0) / 2.0
    area = float(np.sum(pairs * right) / np.sum(pairs))
    sizes, z = (_effective(first), _effective(second)), float(ndtri(0.5 + level / 2.0))
    low, high = (_newcombe(area, sizes, side * z) for side in (-1.0, 1.0))
    return Agrees(area, low, high)


def _newcombe(area: float, sizes: tuple[float, float], z: float) -> float:
    """Return the area that lies ``z`` of its own errors from the one that was found."""
    m, n = sizes
    extra = (m + n) / 2.0 - 1.0

    def missed(true: float) -> float:
        shape = 1.0 + extra * ((1.0 - true) / (2.0 - true) + true / (1.0 + true))
        return true - area - z * sqrt(true * (1.0 - true) * shape / (m * n))

    end, side = (0.0, -_NEAR) if z < 0.0 else (1.0, _NEAR)
    if abs(area - end) <= _NEAR:
        return end
    found: float = brentq(missed, *sorted((area + side, end)))
    return found


def _effective(w: Floats) -> float:
    """Return how many equal weights are worth as much (Kish)."""
    return float(w.sum() ** 2 / np.sum(w**2)) if len(w) else 0.0
