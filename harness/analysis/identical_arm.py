"""A candidate that is proven to be its base: unchanged by identity, however few the items."""

from dataclasses import replace

from harness.analysis.decisions import scores_of
from harness.records import Comparison

METHOD = "identical logits"


def by_identity(comparison: Comparison) -> Comparison:
    """Decide a suite of a candidate whose logits are proven to be the base's.

    No test is needed, so few items or clusters do not matter; that the scores are equal, too, is
    checked, because a scorer that gives equal answers different scores makes nothing comparable.

    Returns:
        The comparison as ``unchanged``; invalid where scores differ or it was invalid before.
    """
    decision = comparison.decision
    if decision is None:
        return comparison
    both = [scores for pair in comparison.pairs if (scores := scores_of(pair)) is not None]
    differ = sum(base != tuned for base, tuned in both)
    if differ:
        reason = (
            f"a candidate with the base's own logits must have its scores: {differ} of {len(both)} "
            "differ; find what else differs between the two arms, such as a judge that is not "
            "deterministic"
        )
        return replace(comparison, verdict="invalid", reason=reason)
    unchanged = replace(
        decision,
        label="unchanged",
        verdict="pass",
        delta=0.0,
        ci_low=0.0,
        ci_high=0.0,
        p_regression=1.0,
        p_non_inferior=0.0,
        items_needed=None,
        method=METHOD,
        notes=(),
    )
    is_void = comparison.verdict == "invalid"
    verdict = comparison.verdict if is_void else "pass"
    return replace(comparison, decision=unchanged, verdict=verdict, p_adjusted=1.0)
