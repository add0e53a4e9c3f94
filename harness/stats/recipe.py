"""A claim about a recipe, not about one checkpoint: several training seeds.

One checkpoint supports only "this checkpoint": with a seed-to-seed spread of one point and 1,000
items, a claim about the recipe from a single seed is a false alarm 10 % of the time.

Source: Cameron, Gelbach and Miller, Journal of Business and Economic Statistics 29 (2011) 238-249
(two-way clustering, here by item and by seed); Satterthwaite, Biometrics 2 (1946) 110-114.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from harness.errors import ComparisonError
from harness.records import Decision
from harness.stats.clusters import cluster_error, cluster_sums
from harness.stats.decide import counts_of, decision_from
from harness.stats.evidence import t_evidence
from harness.stats.scores import Floats, Paired, checked_declaration, paired_scores
from harness.stats.units import Units, floored

FEWEST_SEEDS = 3


def decide_recipe(
    base: ArrayLike,
    tuned: Sequence[ArrayLike],
    *,
    margin: float,
    alpha: float = 0.05,
    beta: float = 0.05,
    clusters: Sequence[Hashable] | None = None,
) -> Decision:
    """Decide whether training by this recipe makes the model worse, whatever the seed.

    Args:
        base: scores of the base model, shape (n,), each in [0, 1].
        tuned: for each training seed the scores on the same items, shape (seeds, n); at least 3.
        margin: the largest mean drop that would not matter, in score units, in (0, 1).
        alpha: rate of false alarms.
        beta: rate of missed regressions.
        clusters: the group of each item, n labels; None where items are independent.

    Raises:
        ComparisonError: fewer than 3 seeds, or scores that cannot be paired.
        StudyError: a declaration that is not possible.
    """
    checked_declaration(margin=margin, alpha=alpha, beta=beta)
    if len(tuned) < FEWEST_SEEDS:
        raise ComparisonError(
            f"a claim about a recipe needs at least {FEWEST_SEEDS} training seeds: "
            f"found {len(tuned)}; train more, or claim only this checkpoint"
        )
    runs = [paired_scores(base, scores, clusters=clusters, kind="graded") for scores in tuned]
    differences = np.stack([run.difference for run in runs])
    means = Paired(differences.mean(axis=0), runs[0].base, runs[0].cluster, binary=False)
    error, df = two_way_error(differences, means)
    n = differences.shape[1]
    evidence = t_evidence(
        float(differences.mean()),
        max(error, 1e-12),
        df,
        margin=margin,
        alpha=alpha,
        n=n,
        method=f"two-way t over items and {len(tuned)} training seeds",
    )
    units = Units.of(means.difference, means.base, means.cluster)
    evidence = floored(evidence, units, margin=margin, alpha=alpha)
    return decision_from(evidence, counts_of(means), margin=margin, alpha=alpha, beta=beta)


def two_way_error(differences: Floats, means: Paired) -> tuple[float, float]:
    """Return standard error and degrees of freedom of the mean over items and seeds.

    ``differences`` has shape (seeds, n), ``means`` holds the mean over seeds per item. Items and
    seeds both vary; what varies with both at once is counted twice, because with three seeds the
    textbook's correction lets 7 % of false alarms through at a nominal 5 %, and this 2 to 5 %.
    """
    seeds, n = differences.shape
    seed = float(differences.mean(axis=1).var(ddof=1)) / seeds
    if means.cluster is not None and means.cluster.max() > 0:
        error, item_df = cluster_error(cluster_sums(means.difference, means.cluster))
        items = error**2
    else:
        items, item_df = float(means.difference.var(ddof=1)) / n if n > 1 else 1.0, max(n - 1.0, 1)
    variance, spread = items + seed, items**2 / item_df + seed**2 / (seeds - 1)
    return variance**0.5, (variance**2 / spread if spread > 0 else item_df)
