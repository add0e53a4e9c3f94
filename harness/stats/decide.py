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
from harness.stats.evidence import Evidence
from harness.stats.exact_pairs import binary_evidence
from harness.stats.scores import Paired, checked_declaration, paired_scores
from harness.stats.units import (
    Units,
    clusters_needed,
    excludable_drop,
    floored,
    least_p,
    unit_evidence,
)

VERDICTS: dict[Label, Literal["pass", "fail", "inconclusive"]] = {
    "improved": "pass",
    "unchanged": "pass",
    "not_worse": "pass",
    "regressed_within_margin": "pass",
    "regressed": "fail",
    "inconclusive": "inconclusive",
}


def decide(
    base: ArrayLike,
    tuned: ArrayLike,
    *,
    margin: float,
    alpha: float = 0.05,
    beta: float = 0.05,
    clusters: Sequence[Hashable] | None = None,
    kind: str = "auto",
    tails: str = "graded",
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
    evidence = weigh(pairs, margin=margin, alpha=alpha, tails=tails)
    counts = counts_of(pairs)
    return decision_from(evidence, counts, margin=margin, alpha=alpha, beta=beta)


def weigh(
    pairs: Paired,
    *,
    margin: float,
    alpha: float,
    tails: str,
    interval: bool = True,
    largest: float | None = None,
) -> Evidence:
    """Choose the method for these scores and apply it; clusters are always the unit.

    Without ``interval`` it may be left wide; ``largest`` is the largest cluster planned, if not
    seen.
    """
    n = len(pairs.difference)
    units = Units.of(pairs.difference, pairs.base, pairs.cluster)
    if pairs.binary:
        singly = binary_evidence(pairs.losses, pairs.gains, n, margin=margin, alpha=alpha)
        if pairs.cluster is None:
            return singly
        together = unit_evidence(units, margin=margin, alpha=alpha, interval=interval)
        return together.wider(singly)  # sparse 0/1 differences: never more certain than without
    if tails == "heavy":
        sizes = None if pairs.cluster is None else units.sizes
        bets = betting_evidence(units.sums, sizes, margin=margin, alpha=alpha, largest=largest)
        return floored(bets, units, margin=margin, alpha=alpha)
    return unit_evidence(units, margin=margin, alpha=alpha, interval=interval)


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
    """How many items, items scored differently, and clusters (None: independent items).

    ``units`` are what the evidence rests on, where it is paired scores in [0, 1].
    """

    n: int
    discordant: int
    clusters: int | None
    units: Units | None = None


def counts_of(pairs: Paired) -> Counts:
    """Count what the evidence rests on."""
    return Counts(
        n=len(pairs.difference),
        discordant=pairs.losses + pairs.gains,
        clusters=None if pairs.cluster is None else int(pairs.cluster.max()) + 1,
        units=Units.of(pairs.difference, pairs.base, pairs.cluster),
    )


def decision_from(
    evidence: Evidence, counts: Counts, *, margin: float, alpha: float, beta: float
) -> Decision:
    """Turn evidence into the record that the gate, the report and other programs read."""
    label = label_of(evidence, alpha=alpha, beta=beta)
    needed = None
    notes = evidence.notes
    if label == "inconclusive":
        needed = items_to_decide(evidence, counts, margin=margin, alpha=alpha, beta=beta)
        if too_few := _too_few_clusters(counts, margin=margin, beta=beta):
            notes = (*notes, too_few)
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


def _too_few_clusters(counts: Counts, *, margin: float, beta: float) -> str:
    """Say why even identical outputs could not pass; empty where they could."""
    units = counts.units
    if units is None or counts.clusters is None or least_p(units, margin) <= beta:
        return ""
    return (
        f"{counts.clusters} clusters (effective {units.effective:.1f}) cannot show that a drop of "
        f"{100 * margin:g} points is absent: one in which everything fails could be missing from "
        f"the sample; at a base score of {units.share:.0%} at least "
        f"{clusters_needed(margin, beta, units.share)} equal clusters are needed, and these can "
        f"exclude drops beyond {100 * excludable_drop(units, beta):.0f} points"
    )


def items_to_decide(
    evidence: Evidence,
    counts: Counts,
    *,
    margin: float,
    alpha: float,
    beta: float,
    power: float = 0.9,
) -> int:
    """Estimate how many items in all would decide, were the difference what it seems to be.

    The nearer of the two bounds stays open longest, so the distance to the farther one counts:
    at least half the margin. Same formula as `harness.stats.plan`. Never fewer than identical
    outputs would need in clusters like these.
    """
    seems = min(max(evidence.delta, -margin), 0.0)
    distance = max(-seems, seems + margin)
    reach = float(-ndtri(min(alpha, beta)) + ndtri(power))
    needed = [ceil(reach**2 * evidence.variance / distance**2), counts.n + 1]
    if units := counts.units:
        clusters = clusters_needed(margin, beta, units.share)
        needed.append(ceil(counts.n / units.effective * clusters))
    return max(needed)
