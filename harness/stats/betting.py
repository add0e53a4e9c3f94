"""Betting: valid for any scores in [0, 1], whatever their tails, and at any moment of looking.

A gambler bets against "the mean is at most mu" at fair odds. If the claim is true, the expected
capital never grows, so capital of ``1 / alpha`` has probability at most ``alpha`` - after a fixed
number of items, or at any time one cares to look (Ville). The price is power.

Sources: Waudby-Smith and Ramdas, JRSS B 86 (2024) 1-27, sections 4 and 5 (capital process, here
mixed over a fixed grid of stakes, which makes it independent of the order of the items).
"""

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from harness.stats.evidence import Evidence
from harness.stats.scores import Floats

STAKES: Floats = np.geomspace(1 / 64, 63 / 64, 24)
"""Shares of the capital put at stake on each item; the capital is the mean over them."""

Side = Literal["above", "below"]


def log_capital(
    differences: ArrayLike,
    null_mean: float,
    side: Side = "above",
    sizes: ArrayLike = 1.0,
    largest: float | None = None,
) -> float:
    """Return the natural log of the capital won against a claim about the mean.

    Args:
        differences: ``tuned - base`` per item, each in [-1, 1], shape (n,); or sums per cluster.
        null_mean: the claimed mean per item, in (-1, 1).
        side: ``above`` bets against "mean <= null_mean", ``below`` against "mean >= null_mean".
        sizes: number of items behind each difference, shape (n,) or one number for all.
        largest: the largest size there can be; None takes the largest of ``sizes``. It must stay
            the same where one looks repeatedly.
    """
    values, counts = np.asarray(differences, np.float64), np.asarray(sizes, np.float64)
    return _log_mean(_log_factors(values, counts, null_mean, side, largest).sum(axis=0))


def e_process(differences: Iterable[float], null_mean: float, side: Side = "above") -> Floats:
    """Return the capital after each item, shape (n,); reject when it reaches ``1 / alpha``.

    It may be watched after every item: human review has no planned end.

    >>> e_process([1.0, 1.0, -1.0], 0.0).round(3).tolist()
    [1.246, 1.624, 1.017]
    """
    values = np.fromiter(differences, dtype=np.float64)
    factors = _log_factors(values, np.ones_like(values), null_mean, side)
    running = np.cumsum(factors, axis=0)
    return np.exp(np.array([_log_mean(row) for row in running], dtype=np.float64))


def betting_p(differences: ArrayLike, null_mean: float, side: Side = "above") -> float:
    """Return ``min(1, 1 / capital)``: a valid one-sided p-value for any bounded distribution."""
    return float(np.exp(min(0.0, -log_capital(differences, null_mean, side))))


def betting_evidence(
    differences: Floats,
    sizes: Floats | None = None,
    *,
    margin: float,
    alpha: float,
    largest: float | None = None,
) -> Evidence:
    """Weigh differences of independent items in [-1, 1], or sums of clusters of given sizes.

    Both arrays have shape (n,); ``largest`` is the largest cluster planned. The order of the items
    does not matter.
    """
    counts = np.ones_like(differences) if sizes is None else sizes
    units, times = np.unique(differences + 1j * counts, return_counts=True)  # pairs, ordered
    sums, counts = units.real, units.imag
    delta = float(times @ sums / (times @ counts))
    spread = float(times @ (sums - counts * delta) ** 2 / (times @ counts))

    def growth(claim: float, side: Side) -> float:
        return _log_mean(times @ _log_factors(sums, counts, claim, side, largest))

    def p(claim: float, side: Side) -> float:
        return float(np.exp(min(0.0, -growth(claim, side))))

    target = -float(np.log(alpha))
    return Evidence(
        delta=delta,
        low=_end(lambda claim: growth(claim, "above") - target, delta, -1.0),
        high=_end(lambda claim: growth(claim, "below") - target, delta, 1.0),
        p_drop=p(0.0, "below"),
        p_gain=p(0.0, "above"),
        p_not_worse=p(-margin, "above"),
        p_not_better=p(margin, "below"),
        variance=2.0 * max(spread, margin * float(counts.max())),  # about twice the items of t
        method="betting" if sizes is None else "betting on clusters",
    )


def _log_factors(
    sums: Floats, sizes: Floats, null_mean: float, side: Side, largest: float | None = None
) -> Floats:
    """Log growth of the capital per unit and stake, shape (n, stakes)."""
    sign = 1.0 if side == "above" else -1.0
    bound = float(sizes.max()) if largest is None else largest
    worst = (1.0 + sign * null_mean) * bound  # the largest possible loss of a unit
    growth = np.multiply.outer(sign * (sums - null_mean * sizes) / worst, STAKES)
    return np.asarray(np.log1p(growth), dtype=np.float64)


def _log_mean(logs: Floats) -> float:
    top = float(logs.max())
    return top + float(np.log(np.mean(np.exp(logs - top))))


def _end(excess: Callable[[float], float], inner: float, outer: float) -> float:
    """One end of the interval: between the mean and the scale's end, the last claim not refuted."""
    from scipy.optimize import brentq  # slow to import

    almost = outer * (1.0 - 1e-9)
    if abs(inner - outer) < 1e-9 or excess(almost) <= 0.0:
        return outer
    return float(brentq(excess, almost, inner, xtol=1e-9))
