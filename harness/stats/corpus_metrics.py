"""Metrics of a whole corpus, which are no mean over items: perplexity, BLEU.

Each item, or each cluster of items, contributes sufficient statistics; the metric is a function of
their sums. Clusters are left out one by one (jackknife) and drawn anew in pairs (studentised
bootstrap); the wider of both decides.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 11 and 12; Koehn,
EMNLP 2004 (paired resampling for BLEU); Papineni et al., ACL 2002 (BLEU).
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from harness.errors import ComparisonError, StudyError
from harness.records import Decision
from harness.stats.clusters import FEW_CLUSTERS
from harness.stats.decide import Counts, decision_from
from harness.stats.evidence import Evidence, bootstrap_evidence, t_evidence
from harness.stats.scores import Floats, Ints, cluster_numbers

Metric = Callable[[Floats], Floats]
"""Sums of sufficient statistics, shape (..., k), to the metric, shape (...); higher is better."""


def decide_corpus(  # noqa: PLR0913 - the declarations of `decide`, and the metric
    base: ArrayLike,
    tuned: ArrayLike,
    metric: Metric,
    *,
    margin: float,
    alpha: float = 0.05,
    beta: float = 0.05,
    clusters: Sequence[Hashable] | None = None,
    largest: float = np.inf,
    resamples: int = 4999,
    seed: int = 0,
) -> Decision:
    """Decide whether a corpus metric of the tuned model is worse than its base's.

    Args:
        base: sufficient statistics of the base's answers, shape (n, k).
        tuned: those of the tuned model on the same items, shape (n, k).
        metric: `mean_log_likelihood`, `bleu`, or any other function of their sums.
        margin: the largest drop that would not matter, in units of the metric, above 0.
        alpha: rate of false alarms.
        beta: rate of missed regressions.
        clusters: the group of each item, n labels; None where items are independent.
        largest: the largest change that is possible, such as 1 for F1; no interval reaches beyond.
        resamples: number of bootstrap samples.
        seed: of the resamples; equal inputs give equal decisions.

    Raises:
        ComparisonError: shapes that differ, fewer than 5 independent units, or no finite metric.
        StudyError: a margin or rate that is not possible.
    """
    if not margin > 0.0 or not 0.0 < alpha < 0.5 or not 0.0 < beta < 0.5:
        raise StudyError(
            "a margin must be above 0, and error rates between 0 and 0.5: "
            f"found margin {margin:g}, alpha {alpha:g}, beta {beta:g}"
        )
    left, right = _statistics(base, "base"), _statistics(tuned, "tuned")
    if left.shape != right.shape:
        raise ComparisonError(
            "both arms need the same statistics of the same items: "
            f"found shapes {left.shape} and {right.shape}; align them by item first"
        )
    n, discordant = len(left), int(np.count_nonzero(np.any(left != right, axis=1)))
    groups = None if clusters is None else cluster_numbers(clusters, n)
    if groups is not None:
        left, right = _sums(left, groups), _sums(right, groups)
    units = len(left)
    if units < 2:
        raise ComparisonError(
            "a corpus metric needs at least two independent units to be compared: found one"
        )
    evidence = _weighed(_Resampled(left, right, metric), resamples, seed, margin, alpha)
    low, high = np.clip((evidence.low, evidence.high), -largest, largest)
    evidence = replace(evidence, low=float(low), high=float(high))
    if units < FEW_CLUSTERS:
        evidence = replace(evidence, notes=(f"few clusters: {units} independent units",))
    return decision_from(
        replace(evidence, variance=evidence.variance / units * n),
        Counts(n=n, discordant=discordant, clusters=None if groups is None else units),
        margin=margin,
        alpha=alpha,
        beta=beta,
    )


def mean_log_likelihood(sums: Floats) -> Floats:
    """Log-likelihood per token in nats, the negative log of perplexity.

    Columns: sum of log-likelihoods, number of tokens. A drop of 0.03 is 3 % more perplexity.
    """
    return np.asarray(sums[..., 0] / sums[..., 1], dtype=np.float64)


def bleu(sums: Floats) -> Floats:
    """Corpus BLEU-4 on the scale 0 to 100, without smoothing.

    Columns, as sacrebleu counts them: matches of 1- to 4-grams, n-grams in the answers of length 1
    to 4, length of the answers, length of the references.
    """
    matches, totals = sums[..., 0:4], sums[..., 4:8]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.exp(np.mean(np.log(matches / totals), axis=-1))
        brevity = np.exp(np.minimum(0.0, 1.0 - sums[..., 9] / sums[..., 8]))
    return np.asarray(100.0 * np.nan_to_num(precision * brevity), dtype=np.float64)


class _Resampled:
    """The difference of a metric between two arms when whole units are left out or redrawn."""

    def __init__(self, base: Floats, tuned: Floats, metric: Metric) -> None:
        self._arms, self._metric, self.units = (base, tuned), metric, len(base)
        self.delta = float(self._difference(base.sum(axis=0), tuned.sum(axis=0)))
        left, right = (arm.sum(axis=0) - arm for arm in self._arms)
        without = self._difference(left, right)
        if not np.all(np.isfinite(without)):
            raise ComparisonError(
                "a corpus metric must be a finite number: found none when one unit is left out; "
                "drop items without tokens"
            )
        self._influence = (self.units - 1) * (without.mean() - without)
        self.error = float(np.sqrt(np.sum(self._influence**2) / (self.units * (self.units - 1))))

    def _difference(self, base: Floats, tuned: Floats) -> Floats:
        return self._metric(tuned) - self._metric(base)

    def pivots(self, resamples: int, seed: int) -> Floats:
        """Return ``(delta* - delta) / error*`` of redrawn units, shape (resamples,)."""
        rng, parts, left = np.random.default_rng(seed), list[Floats](), resamples
        even = np.full(self.units, 1.0 / self.units)
        while left:
            size = min(left, max(1, 2_000_000 // self.units))
            drawn = rng.multinomial(self.units, even, size=size).astype(np.float64)
            deltas = self._difference(*(drawn @ arm for arm in self._arms))
            mean = drawn @ self._influence / self.units
            variance = drawn @ self._influence**2 / self.units - mean**2
            error = np.sqrt(np.maximum(variance, 1e-18) / (self.units - 1))
            parts.append((deltas - self.delta) / error)
            left -= size
        return np.concatenate(parts)


def _weighed(
    resampled: _Resampled, resamples: int, seed: int, margin: float, alpha: float
) -> Evidence:
    """Jackknife t and studentised bootstrap, the wider."""
    delta, error, units = resampled.delta, resampled.error, resampled.units
    if error <= 1e-12 * max(1.0, abs(delta)):
        return _unvaried(delta, units, margin=margin, alpha=alpha)
    by_t = t_evidence(
        delta, error, units - 1, margin=margin, alpha=alpha, n=units, method="jackknife t"
    )
    pivots = resampled.pivots(resamples, seed)
    by_bootstrap = bootstrap_evidence(delta, error, pivots, margin=margin, alpha=alpha, n=units)
    return replace(
        by_t.wider(by_bootstrap), method="jackknife t and studentised bootstrap, the wider"
    )


def _unvaried(delta: float, units: int, *, margin: float, alpha: float) -> Evidence:
    """Weigh a difference that no unit moves: nothing differs, or everything does.

    As if one unit in twenty that was not seen might move it by the margin: for a difference that is
    ``d`` away, a share ``0.05 d / margin`` of units would have to be of that kind, and that none of
    them was drawn has probability ``(1 - share) ** units``; never less than a sign test's.
    """
    reach = margin * (1.0 - alpha ** (1.0 / units)) / 0.05

    def beyond(away: float) -> float:
        """p-value against a truth that lies ``away`` from what was found, on the other side."""
        if away <= 0.0:
            return 0.5 if away == 0.0 else 1.0
        share = min(1.0, 0.05 * away / margin)
        return max((1.0 - share) ** units, 0.5**units)

    return Evidence(
        delta=delta,
        low=delta - reach,
        high=delta + reach,
        p_drop=beyond(-delta),
        p_gain=beyond(delta),
        p_not_worse=beyond(delta + margin),
        p_not_better=beyond(margin - delta),
        variance=margin,
        method="no unit moves it",
    )


def _statistics(values: ArrayLike, arm: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or not array.size or not np.all(np.isfinite(array)):
        raise ComparisonError(
            "sufficient statistics must be a table of finite numbers, one row per item: "
            f"found shape {array.shape} for {arm}"
        )
    return array


def _sums(values: Floats, groups: Ints) -> Floats:
    return np.stack([np.bincount(groups, weights=column) for column in values.T], axis=1)
