"""From decisions per suite to one verdict per candidate and one per run."""

from collections.abc import Sequence
from dataclasses import replace

from harness import stats
from harness.records import Comparison, Decision, GateVerdict, Pair, Suite

EXIT_CODES: dict[GateVerdict, int] = {"pass": 0, "fail": 1, "invalid": 3, "inconclusive": 4}
"""What a command that gives a verdict exits with; 2 is a usage error."""

_GRAVEST_FIRST: tuple[GateVerdict, ...] = ("invalid", "fail", "inconclusive", "pass")


def compare_scores(
    candidate: str,
    suite: Suite,
    rows: Sequence[tuple[float, float, str]],
    *,
    unscored: int = 0,
    alpha: float = 0.05,
    beta: float = 0.05,
    max_unscored: float = 0.05,
    pairs: tuple[Pair, ...] = (),
) -> Comparison:
    """Decide one suite from its paired scores; the verdict is still unadjusted.

    Args:
        candidate: The tuned arm's name.
        suite: What the suite declares; its ``margin`` is the non-inferiority margin.
        rows: ``(base score, tuned score, cluster)`` of every item scored for both arms.
        unscored: How many items were left out because an arm's answer could not be scored.
        alpha: One-sided false-alarm rate.
        beta: One-sided false-pass rate at the margin.
        max_unscored: Share of unscored items above which nothing is decided.
        pairs: The answers behind the rows, kept as evidence.

    Returns:
        The comparison, ``invalid`` with a reason where it may not be decided.
    """
    total = len(rows) + unscored
    reason = ""
    if not rows:
        reason = f"none of {total} items could be scored for both arms"
    elif unscored > max_unscored * total:
        reason = (
            f"{unscored} of {total} items are unscored, more than the {max_unscored:.0%} allowed"
        )
    decision = None if not rows else _decide(suite, rows, alpha, beta)
    return Comparison(
        candidate=candidate,
        suite=suite,
        pairs=pairs,
        decision=decision,
        verdict="invalid" if reason or decision is None else decision.verdict,
        p_adjusted=None if decision is None else decision.p_regression,
        base=sum(row[0] for row in rows) / len(rows) if rows else None,
        tuned=sum(row[1] for row in rows) / len(rows) if rows else None,
        unscored=unscored,
        reason=reason,
    )


def compare_pairs(
    candidate: str,
    suite: Suite,
    pairs: tuple[Pair, ...],
    *,
    alpha: float = 0.05,
    beta: float = 0.05,
    max_unscored: float = 0.05,
) -> Comparison:
    """Decide one suite from the two arms' answers; see `compare_scores`."""
    rows = [
        (pair.base.verdict.score, pair.tuned.verdict.score, pair.base.item.cluster)
        for pair in pairs
        if pair.base.verdict.score is not None and pair.tuned.verdict.score is not None
    ]
    return compare_scores(
        candidate,
        suite,
        rows,
        unscored=len(pairs) - len(rows),
        alpha=alpha,
        beta=beta,
        max_unscored=max_unscored,
        pairs=pairs,
    )


def _decide(
    suite: Suite, rows: Sequence[tuple[float, float, str]], alpha: float, beta: float
) -> Decision:
    base, tuned, clusters = zip(*rows, strict=True)
    return stats.decide(
        base,
        tuned,
        margin=suite.margin,
        alpha=alpha,
        beta=beta,
        clusters=clusters if len(set(clusters)) < len(clusters) else None,
        kind=suite.kind,
        tails=suite.tails,
    )


def settle(comparisons: Sequence[Comparison], *, alpha: float) -> tuple[Comparison, ...]:
    """Adjust one candidate's regressions for the number of suites (Holm 1979).

    "Any suite regressed" is a union of tests, so the false-alarm rate of the whole gate is kept at
    ``alpha`` by Holm over the candidate's suites. A regression that does not survive becomes
    ``inconclusive``. "Nothing is worse" is an intersection-union and needs no correction.
    """
    decided = [c for c in comparisons if c.decision is not None and c.verdict != "invalid"]
    adjusted = stats.holm([c.decision.p_regression for c in decided if c.decision is not None])
    by_suite = {c.suite.name: p for c, p in zip(decided, adjusted, strict=True)}
    settled = []
    for comparison in comparisons:
        p = by_suite.get(comparison.suite.name)
        verdict, reason = comparison.verdict, comparison.reason
        if p is not None and verdict == "fail" and p > alpha:
            verdict = "inconclusive"
            reason = f"a drop, but not beyond chance among {len(decided)} suites (Holm p {p:.3f})"
        settled.append(replace(comparison, p_adjusted=p, verdict=verdict, reason=reason))
    return tuple(settled)


def gravest(comparisons: Sequence[Comparison]) -> GateVerdict:
    """Return the verdict of several comparisons: invalid, else fail, else inconclusive, else pass.

    >>> gravest(())
    'invalid'
    """
    found = {comparison.verdict for comparison in comparisons} or {"invalid"}
    return next(verdict for verdict in _GRAVEST_FIRST if verdict in found)
