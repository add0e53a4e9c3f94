"""How often a repeated look crosses a boundary: group-sequential tests as a Brownian motion.

After a share t of the planned items the standardised sum ``S = z * sqrt(t)`` behaves like Brownian
motion with a drift, observed at the looks only. Its density between two boundaries is carried from
look to look by numerical integration.

Sources: Armitage, McPherson and Rowe, JRSS A 132 (1969) 235-244 (the recursion); Wang and Tsiatis,
Biometrics 43 (1987) 193-199 (the boundary family); Jennison and Turnbull, Group Sequential Methods
(2000), chapters 2, 8 and 19; Tsiatis, Rosner and Mehta, Biometrics 40 (1984) 797-803 (stagewise
ordering, median-unbiased estimate).
"""

from functools import lru_cache
from math import inf, sqrt

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import ndtr, ndtri

from harness.stats.scores import Floats

SHAPE = 0.25
"""Wang and Tsiatis' exponent: 0 is O'Brien and Fleming's boundary, 0.5 is Pocock's."""
_NODES, _WEIGHTS = leggauss(160)
_FAR = 7.0  # standard deviations beyond which nothing is integrated


def exit_probabilities(
    times: tuple[float, ...], lower: tuple[float, ...], upper: tuple[float, ...], drift: float = 0.0
) -> tuple[Floats, Floats]:
    """Return the probabilities of leaving below and above for the first time at each look.

    Args:
        times: shares of the planned information at the looks, ascending, in (0, 1].
        lower: the process goes on while it stays above this, in units of ``S``; may be -inf.
        upper: and below this; may be inf.
        drift: mean of ``S`` at time 1.

    Returns:
        Two arrays of shape (looks,).
    """
    below, above = np.zeros(len(times)), np.zeros(len(times))
    points, mass, before = np.zeros(1), np.ones(1), 0.0
    for look, (time, low, high) in enumerate(zip(times, lower, upper, strict=True)):
        spread, mean = sqrt(time - before), points + drift * (time - before)
        below[look] = mass @ ndtr((low - mean) / spread)
        above[look] = mass @ ndtr((mean - high) / spread)
        left = max(low, drift * time - _FAR * sqrt(time))
        right = min(high, drift * time + _FAR * sqrt(time))
        if left >= right:
            break
        half = (right - left) / 2.0
        nodes = left + half * (_NODES + 1.0)
        z = (nodes[:, None] - mean[None, :]) / spread
        density = np.exp(-0.5 * z * z) @ mass / (spread * sqrt(2.0 * np.pi))
        points, mass, before = nodes, half * _WEIGHTS * density, time
    return below, above


@lru_cache(maxsize=256)
def wang_tsiatis(times: tuple[float, ...], alpha: float, shape: float = SHAPE) -> tuple[float, ...]:
    """Return the critical z of each look so that any crossing has probability ``alpha`` in all.

    One-sided: ``z_k = C * (t_k / t_K) ** (shape - 1/2)``.

    >>> [round(z, 3) for z in wang_tsiatis((0.2, 0.4, 0.6, 0.8, 1.0), 0.025, 0.5)][-1]
    2.413
    """
    from scipy.optimize import brentq  # slow to import

    steepness = [(time / times[-1]) ** (shape - 0.5) for time in times]

    def excess(constant: float) -> float:
        return crossing_probability(times, tuple(constant * s for s in steepness)) - alpha

    first = float(-ndtri(alpha))
    constant = float(brentq(excess, first - 1e-9, first + 3.0, xtol=1e-8))
    return tuple(constant * s for s in steepness)


def crossing_probability(times: tuple[float, ...], critical: tuple[float, ...]) -> float:
    """Return the probability, without drift, that z reaches its critical value at any look."""
    upper = tuple(z * sqrt(time) for z, time in zip(critical, times, strict=True))
    return float(exit_probabilities(times, (-inf,) * len(times), upper)[1].sum())


def last_critical(times: tuple[float, ...], critical: tuple[float, ...], alpha: float) -> float:
    """Return the critical z of an unplanned last look that spends what is left of ``alpha``.

    ``times`` includes that look, ``critical`` holds the earlier ones. Valid where the end did not
    depend on the scores (items that could not be scored, a machine that was needed elsewhere).
    """
    from scipy.optimize import brentq

    def excess(z: float) -> float:
        return crossing_probability(times, (*critical, z)) - alpha

    return float(brentq(excess, float(-ndtri(alpha)) - 1e-9, 9.0, xtol=1e-8))


def stagewise_p(times: tuple[float, ...], critical: tuple[float, ...], z: float) -> float:
    """Return the one-sided p-value of having reached ``z`` at the last of these looks.

    ``critical`` holds the critical values of the looks before; crossing earlier is more extreme.
    """
    bounds = tuple(c * sqrt(t) for c, t in zip((*critical, z), times, strict=True))
    return float(min(1.0, exit_probabilities(times, (-inf,) * len(times), bounds)[1].sum()))


def median_unbiased(
    times: tuple[float, ...], lower: tuple[float, ...], upper: tuple[float, ...], observed: float
) -> float:
    """Return the drift under which the outcome is as likely to be exceeded as not.

    ``lower`` and ``upper`` bound the looks before the last one, ``observed`` is ``S`` at the last;
    outcomes are ordered by the look and the side at which they leave.
    """
    from scipy.optimize import brentq

    def excess(drift: float) -> float:
        above = exit_probabilities(times, (*lower, observed), (*upper, observed), drift)[1]
        return float(above.sum()) - 0.5

    centre, reach = observed / times[-1], 4.0 / sqrt(times[-1])
    low, high = centre - reach, centre + reach
    if excess(low) >= 0.0 or excess(high) <= 0.0:
        return centre
    return float(brentq(excess, low, high, xtol=1e-6))
