"""How far a model's confidence in its choices can be believed, and whether its choices moved.

Sources: Naeini, Cooper and Hauskrecht, AAAI 29 (2015) 2901-2907 (expected calibration error; bins
of equal mass as in Nixon et al., CVPR workshops 2019); Brier, Monthly Weather Review 78 (1950) 1-3;
Stuart, Biometrika 42 (1955) 412-416 (marginal homogeneity of paired classes).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.stats.scores import Floats, Ints


class Bin(NamedTuple):
    """Choices of like confidence: mean confidence, share that is right, how many."""

    confidence: float
    right: float
    items: int


class Reliability(NamedTuple):
    """Bins of equal mass, least confident first, with the two errors, each in [0, 1]."""

    bins: tuple[Bin, ...]
    ece: float
    brier: float


def reliability(confidence: Sequence[float], right: Sequence[bool], bins: int = 10) -> Reliability:
    """Hold confidence against the share of right choices.

    Args:
        confidence: The probability that the model gave its choice, in [0, 1], per item.
        right: Whether the choice was right.
        bins: How many, each with the same number of items but for rounding.

    Returns:
        ``ece`` is the mean over items of the distance between a bin's confidence and its share of
        right choices, ``brier`` the mean of ``(confidence - right) ** 2``.

    >>> reliability([0.5, 0.5, 1.0, 1.0], [True, False, True, True], bins=2).ece
    0.0
    """
    sure, hit = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    parts = _parts(sure, bins)
    found = tuple(Bin(float(sure[p].mean()), float(hit[p].mean()), len(p)) for p in parts)
    ece = sum(one.items * abs(one.confidence - one.right) for one in found) / max(1, len(sure))
    return Reliability(found, float(ece), float(np.mean((sure - hit) ** 2)) if len(sure) else 0.0)


def bins_of(confidence: Sequence[float], bins: int = 10) -> list[int]:
    """Return the bin of ``reliability`` that each choice is in, counted from 1.

    >>> bins_of([0.9, 0.2, 0.5], bins=3)
    [3, 1, 2]
    """
    places = np.zeros(len(confidence), dtype=int)
    for number, part in enumerate(_parts(np.asarray(confidence, dtype=np.float64), bins), start=1):
        places[part] = number
    return [int(place) for place in places]


def _parts(sure: Floats, bins: int) -> list[Ints]:
    """Part the places of choices into bins of equal mass, least confident first."""
    order = np.argsort(sure, kind="stable")
    return [part for part in np.array_split(order, bins) if len(part)]


def marginal_homogeneity(before: Sequence[int], after: Sequence[int], classes: int) -> float:
    """Return Stuart's p-value of "each class is as frequent after as before", for paired choices.

    >>> marginal_homogeneity([0, 1, 0, 1], [1, 0, 1, 0], 2)
    1.0
    >>> marginal_homogeneity([0] * 20 + [1] * 20, [0] * 40, 2) < 0.001
    True
    """
    from scipy.stats import chi2

    table = np.zeros((classes, classes))
    np.add.at(table, (np.asarray(before), np.asarray(after)), 1.0)
    apart = table.sum(axis=1) - table.sum(axis=0)
    spread = np.diag(table.sum(axis=1) + table.sum(axis=0)) - table - table.T
    value = float(apart[:-1] @ np.linalg.pinv(spread[:-1, :-1]) @ apart[:-1])
    return float(chi2.sf(value, classes - 1)) if value > 0 else 1.0
