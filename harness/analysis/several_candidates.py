"""What several candidates mean together: when a run fails, and what choosing one of them costs.

Every candidate has its own verdict, at the declared rates. A run that fails as soon as one of ten
unchanged candidates does would fail in a third of all cases, and the best-looking of ten is better
on these items than it is elsewhere: both are allowed for here, and nowhere else.
"""

from collections.abc import Sequence

from harness import stats
from harness.records import Comparison, GateVerdict

_Place = tuple[str, str]

_GRAVEST_FIRST: tuple[GateVerdict, ...] = ("invalid", "fail", "inconclusive", "pass")


def gravest(comparisons: Sequence[Comparison]) -> GateVerdict:
    """Return the decision on one candidate: invalid, else fail, else inconclusive, else pass.

    >>> gravest(())
    'invalid'
    """
    found = {comparison.verdict for comparison in comparisons} or {"invalid"}
    return next(verdict for verdict in _GRAVEST_FIRST if verdict in found)


def adjusted(comparisons: Sequence[Comparison], *, candidates: int = 1) -> dict[_Place, float]:
    """Return p-values against "no loss" that allow for how many suites and candidates there are.

    Holm (1979) over all decisions that used every item. Where a suite may end early the correction
    is Bonferroni's: times the suites that share alpha (``family``), times the ``candidates``, so
    that no end depends on another suite's or candidate's.

    Returns:
        The p-values by candidate and suite, of the comparisons that are decided.
    """
    decisions = [
        ((c.candidate, c.suite.name), c.decision)
        for c in comparisons
        if c.decision is not None and c.verdict != "invalid"
    ]
    fixed = {key: d for key, d in decisions if not isinstance(d, stats.SequentialDecision)}
    holm = stats.holm([decision.p_regression for decision in fixed.values()])
    return {
        **dict(zip(fixed, holm, strict=True)),
        **{
            key: min(1.0, d.family * candidates * d.p_regression)
            for key, d in decisions
            if isinstance(d, stats.SequentialDecision)
        },
    }


def run_verdict(comparisons: Sequence[Comparison]) -> tuple[GateVerdict, str]:
    """Return the decision on a run, and why where it is not the gravest of its candidates'.

    A run passes only if every candidate does. It fails where a regression stands out among all
    suites of all candidates; one that stands out among its own candidate's suites alone leaves the
    run ``inconclusive``. A must-pass item that failed is no test and fails the run in any case.

    Args:
        comparisons: Of all candidates, each already settled among its own candidate's suites.
    """
    verdict = gravest(comparisons)
    names = candidates_of(comparisons)
    if verdict != "fail" or len(names) < 2:
        return verdict, ""
    overall = adjusted(comparisons, candidates=len(names))
    alone = []
    for comparison in comparisons:
        decision = comparison.decision
        if comparison.verdict != "fail":
            continue
        p = overall.get((comparison.candidate, comparison.suite.name), 1.0)
        if comparison.reason or decision is None or p <= decision.alpha:
            return "fail", ""  # a must-pass item or a goal, which need no correction here
        alone.append(
            f"{comparison.candidate} on {comparison.suite.name} (p {_p(comparison.p_adjusted)} "
            f"among its own suites, {_p(p)} among all)"
        )
    return "inconclusive", (
        f"a loss stands out among one candidate's suites but not among all {len(overall)} "
        f"comparisons of {len(names)} candidates, where chance alone shows some: "
        f"{'; '.join(alone)}. Ask that candidate alone on fresh items"
    )


def _p(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2g}"


def candidates_of(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Return the candidates that were compared, in the order of the study."""
    return tuple(dict.fromkeys(comparison.candidate for comparison in comparisons))
