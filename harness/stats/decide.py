"""The gate's decision for one suite: four one-sided tests become one of six labels.

``pass`` and ``fail`` are both claims with a declared error rate; what the data cannot claim is
``inconclusive``. A large p-value never passes anything.
"""

from collections.abc import Hashable, Sequence
from math import ceil
from typing import Literal, NamedTuple

from numpy.typing import ArrayLike
from scipy.special import ndtri

from harness.records import Decision, Label
from harness.stats.betting import betting_evidence
from harness.stats.clusters import cluster_evidence, cluster_sums
from harness.stats.evidence import Evidence
from harness.stats.graded import graded_evidence
from harness.stats.paired import binary_evidence, identical_floor
from harness.stats.scores import Paired, checked_declaration, paired_scores

VERDICTS: dict[Label, Literal["pass", "fail", "inconclusive"]] = {
    "improved": "pass",
    "unchanged": "pass",
    "not_worse": "pass",
    "regressed_within_margin": "pass",
    "regressed": "fail",
    "inconclusive": "inconclusive",
}


def decide(  # noqa: PLR0913 - one keyword per declaration of a gate
    base: ArrayLike,
    tuned: ArrayLike,
    *,
    margin: float,
    alpha: float = 0.05,
    beta: float = 0.05,
    clusters: Sequence[Hashable] | None = None,
    kind: str = "auto",
    tails: str = "graded",
    seed: int = 0,
) -> Decision:
    """Decide whether the tuned model is worse than its base on one suite.

    Args:
        base: scores of the base model, shape (n,), each in [0, 1].
        tuned: scores of the tuned model on the same items in the same order, shape (n,).
        margin: the largest mean drop that would not matter, in score units, in (0, 1).
        alpha: rate of false alarms: ``fail`` or ``improved`` though nothing changed.
        beta: rate of missed regressions: ``pass`` though the drop is the margin or more.
        clusters: the group of each item, n labels; None where items are independent.
        kind: ``binary``, ``graded``, or ``auto`` (binary when every score is 0 or 1).
        tails: ``heavy`` where rare large drops are possible (betting decides), else ``graded``.
        seed: of the studentised bootstrap; equal inputs give equal decisions.

    Returns:
        The unadjusted decision. With the interval [L, U] of level ``1 - 2 alpha`` (at equal error
        rates): ``improved`` L > 0; ``unchanged`` -margin < L and U < margin; ``not_worse``
        L > -margin; ``regressed_within_margin`` U < 0 and L > -margin; ``regressed`` U < 0.

    Raises:
        ComparisonError: scores that cannot be paired, or are no numbers in [0, 1].
        StudyError: a margin, rate, kind or tails that is not possible.

    >>> decide([1] * 200 + [0] * 100, [0] * 30 + [1] * 170 + [0] * 100, margin=0.05).label
    'regressed'
    """
    checked_declaration(margin=margin, alpha=alpha, beta=beta, tails=tails)
    pairs = paired_scores(base, tuned, clusters=clusters, kind=kind)
    evidence = weigh(pairs, margin=margin, alpha=alpha, tails=tails, seed=seed)
    return decision_from(evidence, counts_of(pairs), margin=margin, alpha=alpha, beta=beta)


def weigh(
    pairs: Paired,
    *,
    margin: float,
    alpha: float,
    tails: str,
    seed: int | None = 0,
    largest: float | None = None,
) -> Evidence:
    """Choose the method for these scores and apply it.

    Without a seed nothing is resampled; ``largest`` is the largest cluster planned, if not seen.
    """
    x, n = pairs.difference, len(pairs.difference)
    singly = binary_evidence(pairs.losses, pairs.gains, n, margin=margin, alpha=alpha)
    if not pairs.losses + pairs.gains or (pairs.binary and pairs.cluster is None):
        return singly
    if tails == "heavy" and not pairs.binary:
        units = (x, None) if pairs.cluster is None else cluster_sums(x, pairs.cluster)
        evidence = betting_evidence(*units, margin=margin, alpha=alpha, largest=largest)
    elif pairs.cluster is not None:
        evidence = cluster_evidence(x, pairs.cluster, margin=margin, alpha=alpha)
        # sparse 0/1 differences: never more certain than without clusters
        evidence = evidence.wider(singly) if pairs.binary else evidence
    else:
        evidence = graded_evidence(x, margin=margin, alpha=alpha, seed=seed)
    return evidence.floored(n, margin=margin, alpha=alpha)


def label_of(evidence: Evidence, *, alpha: float, beta: float) -> Label:
    """Read the label off the four tests: first what changed, then what can be excluded."""
    not_worse = evidence.p_not_worse <= beta
    if evidence.p_drop <= alpha:
        return "regressed_within_margin" if not_worse else "regressed"
    if not not_worse:
        return "inconclusive"
    if evidence.p_gain <= alpha:
        return "improved"
    return "unchanged" if evidence.p_not_better <= beta else "not_worse"


class Counts(NamedTuple):
    """How many items, items scored differently, and clusters (None: independent items)."""

    n: int
    discordant: int
    clusters: int | None


def counts_of(pairs: Paired) -> Counts:
    """Count what the evidence rests on."""
    return Counts(
        n=len(pairs.difference),
        discordant=pairs.losses + pairs.gains,
        clusters=None if pairs.cluster is None else int(pairs.cluster.max()) + 1,
    )


def decision_from(
    evidence: Evidence, counts: Counts, *, margin: float, alpha: float, beta: float
) -> Decision:
    """Turn evidence into the record that the gate, the report and other programs read."""
    label = label_of(evidence, alpha=alpha, beta=beta)
    needed = None
    if label == "inconclusive":
        needed = items_to_decide(evidence, counts.n, margin=margin, alpha=alpha, beta=beta)
    notes = evidence.notes
    if label == "regressed_within_margin":
        notes = (*notes, "a real drop, but smaller than the margin")
    return Decision(
        label=label,
        verdict=VERDICTS[label],
        delta=evidence.delta,
        ci_low=evidence.low,
        ci_high=evidence.high,
        p_regression=evidence.p_drop,
        p_non_inferior=evidence.p_not_worse,
        n=counts.n,
        discordant=counts.discordant,
        items_needed=needed,
        method=evidence.method,
        margin=margin,
        alpha=alpha,
        clusters=counts.clusters,
        notes=notes,
    )


def items_to_decide(
    evidence: Evidence, n: int, *, margin: float, alpha: float, beta: float, power: float = 0.9
) -> int:
    """Estimate how many items in all would decide, were the difference what it seems to be.

    The nearer of the two bounds stays open longest, so the distance to the farther one counts:
    at least half the margin. Same formula as `harness.stats.plan`.
    """
    seems = min(max(evidence.delta, -margin), 0.0)
    distance = max(-seems, seems + margin)
    reach = float(-ndtri(min(alpha, beta)) + ndtri(power))
    needed = ceil(reach**2 * evidence.variance / distance**2)
    return max(needed, n + 1, identical_floor(margin, beta) if margin < 1.0 else 0)
