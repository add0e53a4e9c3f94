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
"""How near to an area its own error, nought at 0 and 1, is no longer looked at."""


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
) -> tuple[float | None, list[float | None]]:
    """Return tau-b, and tau-b without each item, from sums over pairs of items."""
    pairs = w[:, None] * w
    rows = [(table * pairs).sum(axis=1) for table in (together, first, second)]
    whole = [float(row.sum()) for row in rows]
    without = [
        _tau(*(total - 2.0 * float(row[i]) for total, row in zip(whole, rows, strict=True)))
        for i in range(len(w))
    ]
    return _tau(*whole), without


def _tau(together: float, first: float, second: float) -> float | None:
    return together / (first * second) ** 0.5 if first > 0.0 and second > 0.0 else None


def _spearman(x: Floats, y: Floats, w: Floats) -> tuple[float | None, list[float | None]]:
    """Return the correlation of mid-ranks, and that without each item."""

    def figure(keep: Floats) -> float | None:
        if not keep.sum():
            return None
        ranks = [_mid_ranks(values, keep) for values in (x, y)]
        centred = [rank - np.average(rank, weights=keep) for rank in ranks]
        together, *own = (
            float(np.sum(keep * one * other))
            for one, other in ((centred[0], centred[1]), (centred[0],) * 2, (centred[1],) * 2)
        )
        return _tau(together, *own)

    return figure(w), [figure(w * (np.arange(len(w)) != i)) for i in range(len(w))]


def _mid_ranks(values: Floats, w: Floats) -> Floats:
    """Return how much weight lies below each value, and half of what lies at it."""
    _, where = np.unique(values, return_inverse=True)
    mass = np.bincount(where, weights=w)
    return np.asarray((np.cumsum(mass) - mass / 2.0)[where], dtype=np.float64)


def _correlation(
    value: float | None, without: Sequence[float | None], normal: tuple[float, float], level: float
) -> Agrees | None:
    """Return a correlation with its interval; ``normal`` is the variance of untied values."""
    known = np.array([each for each in without if each is not None])
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
