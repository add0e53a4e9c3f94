"""Betting: valid for any scores in [0, 1], whatever their tails, and at any moment of looking.

A gambler bets against "the mean is at most mu" at fair odds. If the claim is true, the expected
capital never grows, so capital of ``1 / alpha`` has probability at most ``alpha`` - after a fixed
number of items, or at any time one cares to look (Ville). The price is power.

Sources: Waudby-Smith and Ramdas, JRSS B 86 (2024) 1-27, sections 4 and 5 (capital process, here
mixed over a fixed grid of stakes, which makes it independent of the order of the items).
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from harness.stats.evidence import Evidence
from harness.stats.scores import Floats

STAKES: Floats = np.geomspace(1 / 64, 63 / 64, 24)
"""Shares of the capital put at stake on each item; the capital is the mean over them."""

Side = Literal["above", "below"]


def log_capital(
    differences: ArrayLike, null_mean: float, side: Side = "above", sizes: ArrayLike = 1.0
) -> float:
    """Return the natural log of the capital won against a claim about the mean.

    Args:
        differences: ``tuned - base`` per item, each in [-1, 1], shape (n,); or sums per cluster.
        null_mean: the claimed mean per item, in (-1, 1).
        side: ``above`` bets against "mean <= null_mean", ``below`` against "mean >= null_mean".
        sizes: number of items behind each difference, shape (n,) or one number for all.
    """
    return _log_mean(_log_factors(differences, sizes, null_mean, side).sum(axis=0))


def e_process(differences: Iterable[float], null_mean: float, side: Side = "above") -> Floats:
    """Return the capital after each item, shape (n,); reject when it reaches ``1 / alpha``.

    It may be watched after every item: human review has no planned end.

    >>> e_process([1.0, 1.0, -1.0], 0.0).round(3).tolist()
    [1.246, 1.624, 1.017]
    """
    values = np.fromiter(differences, dtype=np.float64)
    running = np.cumsum(_log_factors(values, 1.0, null_mean, side), axis=0)
    return np.exp(np.array([_log_mean(row) for row in running], dtype=np.float64))


def betting_p(
    differences: ArrayLike, null_mean: float, side: Side = "above", sizes: ArrayLike = 1.0
) -> float:
    """Return ``min(1, 1 / capital)``: a valid one-sided p-value for any bounded distribution."""
    return float(np.exp(min(0.0, -log_capital(differences, null_mean, side, sizes))))


def betting_evidence(
    differences: Floats, sizes: Floats | None = None, *, margin: float, alpha: float
) -> Evidence:
    """Weigh differences of independent items in [-1, 1], or sums of clusters of given sizes.

    Both arrays have shape (n,). The order of the items does not matter.
    """
    counts = np.ones_like(differences) if sizes is None else sizes
    order = np.lexsort((counts, differences))
    sums, counts = differences[order], counts[order]
    delta = float(sums.sum() / counts.sum())
    spread = float(np.sum((sums - counts * delta) ** 2) / counts.sum())
    return Evidence(
        delta=delta,
        low=_end(sums, counts, alpha, "above"),
        high=_end(sums, counts, alpha, "below"),
        p_drop=betting_p(sums, 0.0, "below", counts),
        p_gain=betting_p(sums, 0.0, "above", counts),
        p_not_worse=betting_p(sums, -margin, "above", counts),
        p_not_better=betting_p(sums, margin, "below", counts),
        variance=2.0 * max(spread, margin * float(counts.max())),  # about twice the items of t
        method="betting" if sizes is None else "betting on clusters",
    )


def _log_factors(sums: ArrayLike, sizes: ArrayLike, null_mean: float, side: Side) -> Floats:
    """Log growth of the capital per unit and stake, shape (n, stakes)."""
    values, counts = np.asarray(sums, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    sign = 1.0 if side == "above" else -1.0
    worst = (1.0 + sign * null_mean) * counts.max()  # the largest possible loss of a unit
    growth = np.multiply.outer(sign * (values - null_mean * counts) / worst, STAKES)
    return np.asarray(np.log1p(growth), dtype=np.float64)


def _log_mean(logs: Floats) -> float:
    top = float(logs.max())
    return top + float(np.log(np.mean(np.exp(logs - top))))


def _end(sums: Floats, sizes: Floats, alpha: float, side: Side) -> float:
    """One end of the interval: the last claimed mean that the bets do not refute."""
    from scipy.optimize import brentq  # slow to import

    mean, target = float(sums.sum() / sizes.sum()), -float(np.log(alpha))

    def excess(claim: float) -> float:
        return log_capital(sums, claim, side, sizes) - target

    outer = -1.0 if side == "above" else 1.0
    inner = outer * (1.0 - 1e-9)
    if abs(mean - outer) < 1e-9 or excess(inner) <= 0.0:
        return outer
    return float(brentq(excess, inner, mean, xtol=1e-9))
