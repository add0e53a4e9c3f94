"""Few independent 0/1 pairs: the exact size of the tests, over every gain rate there can be.

Tango's statistic and McNemar's mid-p let up to 7.7 % through at a nominal 5 % where there are few
items. Here all tables of losses and gains are ordered by them, and the p-value is the largest
probability, over the unknown gain rate, of a table at least as extreme.

Sources: Berger and Sidik, Statistical Methods in Medical Research 12 (2003) 91-108; Fagerland,
Lydersen and Laake, BMC Medical Research Methodology 13 (2013) 91.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy

from harness.stats.evidence import Evidence
from harness.stats.paired import p_drop, p_not_worse, tango_evidence
from harness.stats.scores import Floats

FEW_ITEMS = 200
"""From so many items on the approximate tests keep their level (at most 5.4 % at 5 %)."""
GAIN_RATES = 160
"""Points of the grid of gain rates; denser near 0, where the maximum is."""
BETWEEN = 1.002
"""What the maximum may exceed that of the grid by."""


def exact_p(approximate: ArrayLike, n: int, margin: float) -> Floats:
    """Turn p-values of `p_not_worse` (`p_drop` with margin 0) of n pairs into exact ones.

    The p-value of a table is the largest probability, over all gain rates, of tables at least as
    extreme. From `FEW_ITEMS` on they stay as they are.
    """
    given = np.asarray(approximate, dtype=np.float64)
    if n >= FEW_ITEMS:
        return given
    ordered, exact = _sizes(n, margin)
    last = np.searchsorted(ordered, given + 1e-12, side="right") - 1
    return np.asarray(np.minimum(1.0, np.maximum(given, BETWEEN * exact[last])))


def binary_evidence(losses: int, gains: int, n: int, *, margin: float, alpha: float) -> Evidence:
    """Weigh n independent 0/1 pairs of which ``losses`` and ``gains`` differ."""
    evidence = tango_evidence(losses, gains, n, margin=margin, alpha=alpha)
    if n >= FEW_ITEMS:
        return evidence
    exact = replace(
        evidence,
        p_drop=float(exact_p(evidence.p_drop, n, 0.0)),
        p_gain=float(exact_p(evidence.p_gain, n, 0.0)),
        p_not_worse=float(exact_p(evidence.p_not_worse, n, margin)),
        p_not_better=float(exact_p(evidence.p_not_better, n, margin)),
        method="exact over all gain rates, ordered by Tango and McNemar",
    )
    # the interval excludes no more than the tests do
    low = exact.low if exact.p_gain <= alpha else min(exact.low, 0.0)
    high = exact.high if exact.p_drop <= alpha else max(exact.high, 0.0)
    return replace(
        exact,
        low=low if exact.p_not_worse <= alpha else min(low, -margin),
        high=high if exact.p_not_better <= alpha else max(high, margin),
    )


@lru_cache(maxsize=128)
def _sizes(n: int, margin: float) -> tuple[Floats, Floats]:
    """Return the approximate p-values of all tables, ascending, and their exact p-values."""
    losses, gains = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    possible = losses + gains <= n
    losses, gains = losses[possible], gains[possible]
    p = p_not_worse(losses, gains, n, margin) if margin else p_drop(losses, gains, n)
    order = np.argsort(p, kind="stable")
    losses, gains, p = losses[order], gains[order], p[order]
    same = n - losses - gains
    coefficient = gammaln(n + 1) - gammaln(losses + 1) - gammaln(gains + 1) - gammaln(same + 1)
    largest = np.zeros(len(p))
    for gain_rate in np.linspace(0.0, 1.0, GAIN_RATES) ** 2 * (1.0 - margin) / 2.0:
        loss_rate = gain_rate + margin
        rest = max(0.0, 1.0 - loss_rate - gain_rate)
        chance = xlogy(losses, loss_rate) + xlogy(gains, gain_rate) + xlogy(same, rest)
        np.maximum(largest, np.exp(coefficient + chance).cumsum(), out=largest)
    ties = np.searchsorted(p, p + 1e-12, side="right") - 1
    return p, largest[ties]
