"""What one set of paired scores says, before a margin turns it into a label."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

from harness.stats.scores import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Estimate, interval and four one-sided tests of the mean difference ``tuned - base``.

    ``low`` and ``high`` bound an interval of level ``1 - 2 alpha``. Each p-value is small when the
    data speak *for* its name: ``p_drop`` (difference < 0), ``p_gain`` (> 0), ``p_not_worse``
    (> -margin), ``p_not_better`` (< +margin). ``variance`` is per item, cautious and in squared
    score units: it tells how many items a decision would need.
    """

    delta: float
    low: float
    high: float
    p_drop: float
    p_gain: float
    p_not_worse: float
    p_not_better: float
    variance: float
    method: str
    notes: tuple[str, ...] = ()

    def mirrored(self) -> "Evidence":
        """Return the evidence with the two arms exchanged."""
        return replace(
            self,
            delta=-self.delta,
            low=-self.high,
            high=-self.low,
            p_drop=self.p_gain,
            p_gain=self.p_drop,
            p_not_worse=self.p_not_better,
            p_not_better=self.p_not_worse,
        )

    def wider(self, other: "Evidence") -> "Evidence":
        """Return the cautious union of two methods: only what both claim is claimed."""
        return replace(
            self,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            p_drop=max(self.p_drop, other.p_drop),
            p_gain=max(self.p_gain, other.p_gain),
            p_not_worse=max(self.p_not_worse, other.p_not_worse),
            p_not_better=max(self.p_not_better, other.p_not_better),
            variance=max(self.variance, other.variance),
        )


def t_evidence(
    centre: float, error: float, df: float, *, margin: float, alpha: float, n: int, method: str
) -> Evidence:
    """Weigh an estimate whose ``(centre - truth) / error`` follows Student's t with ``df``.

    ``error`` is the standard error (> 0), ``n`` the number of items it rests on.
    """
    reach = float(stdtrit(df, 1.0 - alpha)) * error

    def above(null: float) -> float:
        return float(stdtr(df, (null - centre) / error))

    return Evidence(
        delta=centre,
        low=centre - reach,
        high=centre + reach,
        p_drop=1.0 - above(0.0),
        p_gain=above(0.0),
        p_not_worse=above(-margin),
        p_not_better=1.0 - above(margin),
        variance=error * error * n,
        method=method,
    )


def bootstrap_evidence(
    centre: float, error: float, pivots: Floats, *, margin: float, alpha: float, n: int
) -> Evidence:
    """Weigh an estimate by resampled pivots ``(centre* - centre) / error*``, shape (resamples,).

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 12.5.
    """
    ordered = np.sort(pivots)
    total = len(ordered) + 1
    rank = max(int(alpha * total + 1e-9), 1)

    def above(null: float) -> float:
        """p-value against "the truth is at most null": pivots as large as the observed one."""
        first = np.searchsorted(ordered, (centre - null) / error, side="left")
        return float((1 + len(ordered) - first) / total)

    def below(null: float) -> float:
        last = np.searchsorted(ordered, (centre - null) / error, side="right")
        return float((1 + last) / total)

    return Evidence(
        delta=centre,
        low=centre - float(ordered[-rank]) * error,
        high=centre - float(ordered[rank - 1]) * error,
        p_drop=below(0.0),
        p_gain=above(0.0),
        p_not_worse=above(-margin),
        p_not_better=below(margin),
        variance=error * error * n,
        method="studentised bootstrap",
    )
