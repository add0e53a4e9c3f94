"""Dependent items: the cluster (document, conversation, template) is the unit of evidence.

From 20 clusters on: a cluster-robust t with the CR2 variance and Satterthwaite degrees of freedom.
Below: sign-flips of whole clusters, all ``2 ** G`` of them.

Sources: Bell and McCaffrey, Survey Methodology 28 (2002) 169-181 (CR2 and its degrees of freedom);
Hartigan, JASA 64 (1969) 1303-1317 (subset means bound the mean).
"""

from typing import NamedTuple

import numpy as np

from harness.stats.betting import betting_evidence
from harness.stats.evidence import Evidence, t_evidence
from harness.stats.scores import Floats, Ints

FEW_CLUSTERS = 20


class ClusterSums(NamedTuple):
    """Sum of values and number of items per cluster, each of shape (G,)."""

    sums: Floats
    sizes: Floats

    @property
    def mean(self) -> float:
        """Mean over items (not over clusters)."""
        return float(self.sums.sum() / self.sizes.sum())


def cluster_sums(values: Floats, cluster: Ints) -> ClusterSums:
    """Add up values (n,) by cluster number (n,)."""
    sums = np.bincount(cluster, weights=values).astype(np.float64)
    return ClusterSums(sums=sums, sizes=np.bincount(cluster).astype(np.float64))


def cluster_error(groups: ClusterSums) -> tuple[float, float]:
    """Return the CR2 standard error of the mean over items, and its degrees of freedom.

    For a mean, the CR2 residual sum of a cluster is ``(S_c - n_c mean) / sqrt(1 - n_c / n)``. The
    degrees of freedom are Bell and McCaffrey's: they match the first two moments of the variance
    estimate; equal sizes give G - 1, unequal ones fewer. Needs at least two clusters.
    """
    sums, sizes = groups
    total = float(sizes.sum())
    weight = 1.0 / (1.0 - sizes / total)
    error = float(np.sqrt(np.sum(weight * (sums - sizes * groups.mean) ** 2))) / total
    weighted = weight * sizes**2
    norm = float(sizes @ sizes) + (weighted.sum() ** 2 - float(weighted @ weighted)) / total**2
    return error, total**2 / norm


def intraclass_correlation(values: Floats, cluster: Ints) -> float:
    """Return the one-way ANOVA estimate of the within-cluster correlation, cut to [0, 1].

    Source: Donner, International Statistical Review 54 (1986) 67-82, section 2.
    """
    groups = cluster_sums(values, cluster)
    n, g = len(values), len(groups.sums)
    if g < 2 or n <= g:
        return 0.0
    means = groups.sums / groups.sizes
    between = float(np.sum(groups.sizes * (means - groups.mean) ** 2)) / (g - 1)
    within = float(np.sum((values - means[cluster]) ** 2)) / (n - g)
    size = (n - float(np.sum(groups.sizes**2)) / n) / (g - 1)
    spread = between + (size - 1.0) * within
    return float(np.clip((between - within) / spread, 0.0, 1.0)) if spread > 0 else 0.0


def design_effect(values: Floats, cluster: Ints) -> float:
    """Return by how much clustering multiplies the number of items needed; at least 1.

    ``1 + (m - 1) * correlation`` with m the size-weighted mean cluster size (Kish).
    """
    sizes = np.bincount(cluster).astype(np.float64)
    typical = float(np.sum(sizes**2) / np.sum(sizes))
    return 1.0 + (typical - 1.0) * intraclass_correlation(values, cluster)


def cluster_evidence(
    differences: Floats, cluster: Ints, *, margin: float, alpha: float
) -> Evidence:
    """Weigh clustered differences ``tuned - base`` (n,), grouped by cluster number (n,).

    Sign-flips below 20 clusters, else the CR2 t; betting where all clusters have the same mean.
    Where fewer than 20 clusters show any difference, the sign-flip must confirm a change.
    """
    groups = cluster_sums(differences, cluster)
    if len(groups.sums) < FEW_CLUSTERS:
        return sign_flip_evidence(groups, margin=margin, alpha=alpha)
    error, df = cluster_error(groups)
    if error < 1e-12:
        return betting_evidence(groups.sums, groups.sizes, margin=margin, alpha=alpha)
    evidence = t_evidence(
        groups.mean,
        error,
        df,
        margin=margin,
        alpha=alpha,
        n=len(differences),
        method="cluster-robust t (CR2)",
    )
    moved = groups.sums != 0.0
    if np.count_nonzero(moved) >= FEW_CLUSTERS:
        return evidence
    flips = sign_flip_evidence(
        ClusterSums(groups.sums[moved], groups.sizes[moved]), margin=margin, alpha=alpha
    )
    return evidence.doubted(p_drop=flips.p_drop, p_gain=flips.p_gain, alpha=alpha)


def sign_flip_evidence(groups: ClusterSums, *, margin: float, alpha: float) -> Evidence:
    """Weigh fewer than 20 clusters by flipping the signs of whole clusters.

    The flips of ``S_c - d n_c`` whose sum reaches the observed one are the subsets of clusters
    with a mean of at most d. So the p-value for any d is a share of the subset means, and their
    order statistics bound the interval: no search, and exact for symmetric cluster effects.
    """
    sums, sizes = np.zeros(1), np.zeros(1)
    for s, n in zip(groups.sums, groups.sizes, strict=True):
        sums, sizes = np.concatenate([sums, sums + s]), np.concatenate([sizes, sizes + n])
    means = np.sort(sums[1:] / sizes[1:])
    total = len(means) + 1
    rank = int(alpha * total)

    def above(null: float) -> float:
        return float((1 + np.searchsorted(means, null + 1e-12, side="right")) / total)

    def below(null: float) -> float:
        return float((total - np.searchsorted(means, null - 1e-12, side="left")) / total)

    n, mean, g = float(groups.sizes.sum()), groups.mean, len(groups.sums)
    spread = float(np.sum((groups.sums - groups.sizes * mean) ** 2))
    return Evidence(
        delta=mean,
        low=float(means[rank - 1]) if rank else -1.0,
        high=float(means[-rank]) if rank else 1.0,
        p_drop=below(0.0),
        p_gain=above(0.0),
        p_not_worse=above(-margin),
        p_not_better=below(margin),
        variance=spread / n * g / max(g - 1, 1),
        method="cluster sign-flip",
        notes=(f"few clusters: {g}, so whole clusters are flipped",),
    )
