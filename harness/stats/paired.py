"""Two arms, 0/1 scores, the same items: Tango's score statistic and McNemar's test.

Counts are named from the tuned model's side: *losses* are items that base got right and tuned got
wrong, *gains* the reverse. Concordant items enter through ``n`` only.

Sources: McNemar, Psychometrika 12 (1947) 153-157; Tango, Statistics in Medicine 17 (1998) 891-908;
Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13 (2013) 91 (mid-p).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, betaincinv, ndtr, ndtri

from harness.stats.evidence import Evidence
from harness.stats.scores import Floats

FEW_DISCORDANT = 25
"""Below this many discordant pairs a drop or gain must also hold by McNemar's mid-p."""


def tango_z(losses: ArrayLike, gains: ArrayLike, n: ArrayLike, difference: float) -> Floats:
    """Return Tango's score statistic for "the true difference is ``difference``".

    Positive where the observed difference lies above it; standard normal under it. At 0 it is
    McNemar's statistic. The arguments broadcast. Tango 1998, equations 4 to 6.

    >>> round(float(tango_z(10, 20, 160, 0.0)), 4)  # (20 - 10) / sqrt(30)
    1.8257
    """
    b, c, size = (np.asarray(value, dtype=np.float64) for value in (losses, gains, n))
    linear = -(b + c) + (2.0 * size - c + b) * difference
    constant = -b * difference * (1.0 - difference)
    root = np.sqrt(np.maximum(linear**2 - 8.0 * size * constant, 0.0))
    loss_rate = (root - linear) / (4.0 * size)  # maximum likelihood under the hypothesis
    variance = size * (2.0 * loss_rate + difference * (1.0 - difference))
    distance = c - b - size * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance / np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(np.where(distance == 0.0, 0.0, z), dtype=np.float64)


def tango_interval(losses: int, gains: int, n: int, z: float) -> tuple[float, float]:
    """Invert Tango's statistic: the differences that it does not reject at ``z``.

    ``z`` is the normal quantile of one side: 1.645 gives a two-sided 90 % interval.
    """
    from scipy.optimize import brentq  # slow to import, and only intervals need it

    estimate = (gains - losses) / n

    def end(bound: float, target: float) -> float:
        def excess(difference: float) -> float:
            return float(np.clip(tango_z(losses, gains, n, difference), -99, 99)) - target

        if estimate == bound or excess(bound) * target <= 0.0:
            return bound
        return float(brentq(excess, bound, estimate, xtol=1e-12))

    return end(-1.0, z), end(1.0, -z)


def mid_p_drop(losses: ArrayLike, gains: ArrayLike) -> Floats:
    """Return McNemar's one-sided mid-p value for "tuned is worse" (many losses, few gains).

    Half of the probability of the observed table counts, which removes the exact test's
    conservatism. With no discordant pair it is 0.5.

    >>> float(mid_p_drop(5, 0))
    0.015625
    """
    b, c = np.asarray(losses, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    at_most = bdtr(c, (b + c).astype(np.int64), 0.5)
    fewer = np.where(c > 0, bdtr(np.maximum(c - 1, 0), (b + c).astype(np.int64), 0.5), 0.0)
    return np.asarray(0.5 * (at_most + fewer), dtype=np.float64)


def mcnemar_exact(losses: int, gains: int) -> float:
    """Return the two-sided exact McNemar p-value (binomial on the discordant pairs).

    >>> mcnemar_exact(7, 1)
    0.0703125
    """
    return float(min(1.0, 2.0 * bdtr(float(min(losses, gains)), losses + gains, 0.5)))


def p_not_worse(losses: ArrayLike, gains: ArrayLike, n: ArrayLike, margin: float) -> Floats:
    """Return the one-sided p-value against "tuned loses ``margin`` or more". Broadcasts.

    Tango's statistic; without any gain the exact binomial test of the loss rate as well, because
    there the normal approximation lets up to 6 % through and would accept a handful of identical
    outputs (exact enumeration, tests/stats/test_paired.py).
    """
    score = ndtr(-tango_z(losses, gains, n, -margin))
    b, size = np.asarray(losses, dtype=np.float64), np.asarray(n, dtype=np.int64)
    exact = bdtr(b, size, margin)
    return np.asarray(np.where(np.asarray(gains) == 0, np.maximum(score, exact), score))


def p_drop(losses: ArrayLike, gains: ArrayLike, n: ArrayLike) -> Floats:
    """Return the one-sided p-value against "tuned is no worse". Broadcasts.

    McNemar's test, which is Tango's statistic at 0; below 25 discordant pairs its mid-p as well.
    """
    score = ndtr(tango_z(losses, gains, n, 0.0))
    few = np.add(losses, gains) < FEW_DISCORDANT
    return np.asarray(np.where(few, np.maximum(score, mid_p_drop(losses, gains)), score))


def tango_evidence(losses: int, gains: int, n: int, *, margin: float, alpha: float) -> Evidence:
    """Weigh n independent 0/1 pairs of which ``losses`` and ``gains`` differ, for many items."""
    drop, gain = float(p_drop(losses, gains, n)), float(p_drop(gains, losses, n))
    low, high = _interval(losses, gains, n, alpha)
    few = losses + gains < FEW_DISCORDANT
    return Evidence(
        delta=(gains - losses) / n,
        low=low if gain <= alpha else min(low, 0.0),  # excludes no more than the stricter test
        high=high if drop <= alpha else max(high, 0.0),
        p_drop=drop,
        p_gain=gain,
        p_not_worse=float(p_not_worse(losses, gains, n, margin)),
        p_not_better=float(p_not_worse(gains, losses, n, margin)),
        variance=cautious_rate(losses + gains, n) if losses + gains else 0.0,
        method="Tango score interval, McNemar " + ("mid-p" if few else "test"),
    )


def cautious_rate(count: int, n: int, z: float = 0.8416) -> float:
    """Return the upper 80 % Wilson limit of a rate; of the disagreement, it is the variance."""
    rate = count / n
    centre = rate + z * z / (2 * n)
    spread = z * (rate * (1 - rate) / n + z * z / (4 * n * n)) ** 0.5
    return float((centre + spread) / (1 + z * z / n))


def _interval(losses: int, gains: int, n: int, alpha: float) -> tuple[float, float]:
    """Tango's interval, at least as wide as Clopper-Pearson's where one side is empty."""
    low, high = tango_interval(losses, gains, n, float(-ndtri(alpha)))
    if gains == 0:
        low = min(low, -float(betaincinv(losses + 1, n - losses, 1 - alpha)) if losses < n else -1)
    if losses == 0:
        high = max(high, float(betaincinv(gains + 1, n - gains, 1 - alpha)) if gains < n else 1)
    return low, high
