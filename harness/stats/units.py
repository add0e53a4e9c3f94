"""Independent units (clusters, or single items): how far a mean may lie from what was seen.

The worst that a sample can hide is a unit that it does not hold: one in which everything that the
base gets right is lost. Both methods below reckon with it.

* **Gaffke's bound**, where few units changed or the changes have a long tail: a Bayesian bootstrap
  of the units with one unseen unit that is wholly lost. For 0/1 units it is Clopper-Pearson's exact
  bound (losses only) and McNemar's exact test. It rests on Gaffke's conjecture, which is proven for
  two values and has no known counterexample.
* **Student's t** elsewhere, with the CR2 variance, Johnson's correction for skewness, and a part of
  the drop hidden in units not sampled (own work, checked by simulation:
  ``python tests/bench/cluster_simulation.py``).

Sources: Learned-Miller and Thomas, "A new confidence interval for the mean of a bounded random
variable", arXiv 1905.06208 (Gaffke's bound); Bell and McCaffrey, Survey Methodology 28 (2002)
169-181 (CR2); Johnson, JASA 73 (1978) 536-544 (skewness).
"""

from collections.abc import Callable
from dataclasses import replace
from math import ceil, log
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtr

from harness.stats.clusters import FEW_CLUSTERS, ClusterSums, cluster_error
from harness.stats.evidence import Evidence
from harness.stats.scores import Floats, Ints

Slope = Callable[[float], float]

FEW_CHANGED = 20
"""Effective number of changed units below which t is not relied on."""
LONG_TAIL = -1.0
"""Skewness below which t is not relied on."""
MANY_UNITS = 1000
"""Units from which the saddlepoint approximation replaces the integral of Gaffke's bound."""
BISECTIONS = 24
"""Steps to an end of the interval: 1e-7 score units."""


class Units(NamedTuple):
    """Sums over the items of each unit, all of shape (G,).

    ``sums`` is of ``tuned - base``, ``sizes`` the number of items, ``at_stake`` what can still be
    lost: the sum of the base's scores.
    """

    sums: Floats
    sizes: Floats
    at_stake: Floats

    @classmethod
    def of(cls, difference: Floats, base: Floats, cluster: Ints | None) -> "Units":
        """Add items up by cluster number, shape (n,); without clusters each item is a unit."""
        if cluster is None:
            return cls(difference, np.ones_like(difference), base)
        return cls(
            np.bincount(cluster, weights=difference).astype(np.float64),
            np.bincount(cluster).astype(np.float64),
            np.bincount(cluster, weights=base).astype(np.float64),
        )

    @property
    def mean(self) -> float:
        """Mean difference over items."""
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def mirrored(self) -> "Units":
        """The units with gains and losses exchanged."""
        return Units(-self.sums, self.sizes, self.sizes - self.at_stake)

    @property
    def effective(self) -> float:
        """How many equal units what is at stake amounts to: Kish's count, at least 1."""
        return max(1.0, effective_count(self._stake))

    @property
    def share(self) -> float:
        """What can be lost, per item; where the base scored nothing, all of it."""
        return float(self._stake.sum() / self.sizes.sum())

    @property
    def _stake(self) -> Floats:
        # a base that is right nowhere in the sample may be right elsewhere
        return self.at_stake if self.at_stake.sum() > 0 else self.sizes

    def unseen(self) -> tuple[float, float]:
        """Return loss and size of a unit not sampled: the mean of those where something is lost."""
        stake = self._stake
        total = stake.sum()
        return float(stake @ stake / total), float(stake @ self.sizes / total)


def effective_count(weights: Floats) -> float:
    """Return how many equal weights these amount to (Kish); 0 of none."""
    return float(weights.sum() ** 2 / (weights @ weights)) if len(weights) else 0.0


class UnitMoments(NamedTuple):
    """What a test of units needs beside the claim that it tests: the same for every claim.

    ``error`` and ``df`` are those of `standard_error`, ``skew`` is the residuals' skewness over
    the root of their number, at most 0; ``long_tailed`` says that t is not relied on.
    """

    error: float
    df: float
    skew: float
    long_tailed: bool

    @classmethod
    def of(cls, units: Units) -> "UnitMoments":
        """Measure units once for all tests of them."""
        error, df = standard_error(units)
        residual = units.sums - units.sizes * units.mean
        spread = float(residual @ residual)
        skew = min(0.0, float(np.sum(residual**3)) / spread**1.5) if spread > 1e-18 else 0.0
        few = effective_count(units.sizes[units.sums != 0.0]) < FEW_CHANGED
        skewed = skew * len(units.sums) ** 0.5 < LONG_TAIL
        return cls(error, df, skew, few or skewed or error < 1e-12)


def unit_evidence(units: Units, *, margin: float, alpha: float, interval: bool = True) -> Evidence:
    """Weigh independent units; without ``interval`` that stays [-1, 1], which saves time."""
    mirrored = units.mirrored
    down, up = UnitMoments.of(units), UnitMoments.of(mirrored)
    low = _end(units, down, alpha) if interval else -1.0
    high = -_end(mirrored, up, alpha) if interval else 1.0
    n = float(units.sizes.sum())
    return Evidence(
        delta=units.mean,
        low=min(low, units.mean),
        high=max(high, units.mean),
        p_drop=_p_above(mirrored, up, 0.0),
        p_gain=_p_above(units, down, 0.0),
        p_not_worse=_p_above(units, down, -margin),
        p_not_better=_p_above(mirrored, up, -margin),
        variance=down.error * down.error * n,
        method="bounded means of clusters" if n > len(units.sums) else "bounded means",
        notes=(few,) if (few := _few(units)) else (),
    )


def _few(units: Units) -> str:
    few = len(units.sums) < FEW_CLUSTERS and float(units.sizes.sum()) > len(units.sums)
    return f"few clusters: {len(units.sums)}" if few else ""


def p_above(units: Units, null: float) -> float:
    """Return the one-sided p-value against "the mean is at most ``null``"."""
    return _p_above(units, UnitMoments.of(units), null)


def _p_above(units: Units, moments: UnitMoments, null: float) -> float:
    error, df, skew, long_tailed = moments
    if long_tailed:
        return gaffke_p(units, null)
    distance = units.mean - null
    hidden = np.linspace(0.0, max(0.0, min(distance + 3.0 * error, units.share)), 128)
    t = (distance - hidden) / error
    # beyond its vertex the correction would make a far claim likelier than a near one
    t = np.minimum(t, -1.5 / skew) if skew < 0.0 else t
    corrected = t + skew / 6.0 * (1.0 + 2.0 * t**2) * (t > 0)
    unsampled = (1.0 - hidden / units.share) ** units.effective
    return float(np.max(unsampled * stdtr(df, -corrected)))


def standard_error(units: Units) -> tuple[float, float]:
    """Return the CR2 standard error of the mean over items, and cautious degrees of freedom.

    These are Bell and McCaffrey's, at most those of the sizes' fourth moments. One unit has no
    error: (0, 1).
    """
    if len(units.sums) < 2:
        return 0.0, 1.0
    error, df = cluster_error(ClusterSums(units.sums, units.sizes))
    fourth = float(np.sum(units.sizes**2)) ** 2 / float(np.sum(units.sizes**4)) - 1.0
    return error, max(1.0, min(df, fourth))


def floored(evidence: Evidence, units: Units, *, margin: float, alpha: float) -> Evidence:
    """Return evidence of another method, claiming no more than these units can show.

    A model that loses a share ``margin`` of all items shows identical outputs with probability
    ``(1 - margin / share) ** effective``; no p-value for "not worse" is smaller, unless a gain is
    shown.
    """
    gain, drop = evidence.p_gain <= alpha, evidence.p_drop <= alpha
    low, high = -excludable_drop(units, alpha), excludable_drop(units.mirrored, alpha)
    not_worse, not_better = least_p(units, margin), least_p(units.mirrored, margin)
    return replace(
        evidence,
        low=max(-1.0, evidence.low if gain else min(evidence.low, low)),
        high=min(1.0, evidence.high if drop else max(evidence.high, high)),
        p_not_worse=evidence.p_not_worse if gain else max(evidence.p_not_worse, not_worse),
        p_not_better=evidence.p_not_better if drop else max(evidence.p_not_better, not_better),
    )


def least_p(units: Units, margin: float) -> float:
    """Return the p-value for "not worse" that identical outputs of these units would have."""
    return float((1.0 - min(1.0, margin / units.share)) ** units.effective)


def gaffke_p(units: Units, null: float) -> float:
    """Return ``P(sum E_c Z_c + E_0 Z_0 <= 0)``, E independent and exponential.

    ``Z_c = S_c - null n_c``; ``Z_0`` is the same of an unseen unit that is wholly lost. Where no Z
    but Z_0 is negative, the probability is ``prod 1 / (1 + Z_c / |Z_0|)``.

    >>> zeros, ones = np.zeros(60), np.ones(60)
    >>> round(gaffke_p(Units(zeros, ones, ones), -0.1), 6)  # 0.9 ** 60
    0.001797
    """
    z = units.sums - null * units.sizes
    loss, size = units.unseen()
    lost = min(-(loss + null * size), -1e-9)  # a drop of that size may not be possible at all
    if np.all(z >= 0.0):
        return float(np.exp(-np.log1p(z / -lost).sum()))
    values, counts = np.unique(np.append(z, lost), return_counts=True)
    return _share_below_zero(values, counts.astype(np.float64))


def clusters_needed(margin: float, beta: float, share: float = 1.0) -> int:
    """Return from how many equal clusters even identical outputs may pass.

    With fewer, a sample would still often hold no cluster of those in which everything is lost:
    the smallest k with ``(1 - margin / share) ** k <= beta``. ``share`` is the base's mean score.

    >>> clusters_needed(0.05, 0.05), clusters_needed(0.05, 0.05, share=0.7)
    (59, 41)
    >>> clusters_needed(0.03, 0.05)
    99
    """
    if margin >= share:
        return 1
    return ceil(log(beta) / log(1.0 - margin / share))


def excludable_drop(units: Units, beta: float) -> float:
    """Return the smallest margin at which identical outputs of these units would pass."""
    return float(units.share * (1.0 - beta ** (1.0 / units.effective)))


def _share_below_zero(z: Floats, counts: Floats) -> float:
    """Return ``P(sum of counts times E z <= 0)`` for values of both signs, shape (k,)."""
    counts = counts[z != 0.0]
    z = z[z != 0.0]
    z = z / np.abs(z).max()
    if not np.any(z > 0.0):
        return 1.0
    if counts.sum() > MANY_UNITS:
        return _saddlepoint(z, counts)
    # -1/(2 pi i) of the integral of M(s)/s along Re s = c < 0, through the saddle point
    centre = _root(lambda s: float(np.sum(counts * z / (1.0 - s * z))) - 1.0 / s, 1.0 / z.min())
    curvature = float(np.sum(counts * z**2 / (1.0 - centre * z) ** 2)) + centre**-2
    step = 0.06
    u = step * np.arange(-140, 141)
    width = curvature**-0.5
    s = centre + 1j * width * np.sinh(u)  # (U,)
    log_m = -(counts[:, None] * np.log1p(-z[:, None] * s)).sum(axis=0)  # (k, U) -> (U,)
    integrand = np.exp(log_m) / s * width * np.cosh(u)
    return float(np.clip(-integrand.real.sum() * step / (2.0 * np.pi), 0.0, 1.0))


def _saddlepoint(z: Floats, counts: Floats) -> float:
    """The same for many units, by Lugannani and Rice, Adv. Appl. Prob. 12 (1980) 475-490."""
    mean = float(counts @ z)
    spread = float(counts @ z**2) ** 0.5
    if abs(mean) < 1e-6 * spread:
        return 0.5
    pole = 1.0 / z.min() if mean > 0 else 1.0 / z.max()
    saddle = _root(lambda s: float(np.sum(counts * z / (1.0 - s * z))), pole)
    log_m = -float(np.sum(counts * np.log1p(-saddle * z)))
    w = np.sign(saddle) * (2.0 * max(0.0, -log_m)) ** 0.5
    v = saddle * float(np.sum(counts * z**2 / (1.0 - saddle * z) ** 2)) ** 0.5
    if abs(w) < 1e-6:
        return float(ndtr(-mean / spread))
    density = np.exp(-0.5 * w * w) / (2.0 * np.pi) ** 0.5
    return float(np.clip(ndtr(w) + density * (1.0 / w - 1.0 / v), 0.0, 1.0))


def _root(slope: Slope, pole: float) -> float:
    """Find where an increasing function crosses 0 between a pole and 0."""
    low, high = sorted((pole * (1.0 - 1e-12), pole * 1e-14))
    for _ in range(100):
        middle = 0.5 * (low + high)
        if slope(middle) < 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _end(units: Units, moments: UnitMoments, alpha: float) -> float:
    """Return the lower end of the interval: the largest mean that the units refute."""
    low, high = -1.0, units.mean
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if _p_above(units, moments, middle) <= alpha:
            low = middle
        else:
            high = middle
    return low
