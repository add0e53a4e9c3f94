"""Dependent items: the cluster (document, conversation, template) is the unit of evidence.

Standard error and correlation; the decision is made in `harness.stats.units`.

Source: Bell and McCaffrey, Survey Methodology 28 (2002) 169-181 (CR2 and its degrees of freedom).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.stats.scores import Floats, Ints

FEW_CLUSTERS = 20


def shared_clusters(clusters: Sequence[str]) -> Sequence[str] | None:
    """Return the clusters of items, or None where no two items share one: they are independent.

    >>> shared_clusters(["a", "b"]), shared_clusters(["a", "a"])
    (None, ['a', 'a'])
    """
    return clusters if len(set(clusters)) < len(clusters) else None


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
