"""Several suites, one decision: control of false alarms and of false passes.

"Fail if any suite regressed" needs a correction (ten unchanged suites at 5 % each raise a false
alarm in 39 % of all runs); "pass only if no suite is worse" needs none.

Sources: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70; Berger, Technometrics 24 (1982)
295-300 (intersection-union).
"""

from collections.abc import Sequence

from harness.errors import StudyError


def holm(pvalues: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's adjusted p-values, in the order given; each may be compared with alpha.

    Raises:
        StudyError: a p-value that is not in [0, 1].

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    for p in pvalues:
        if not 0.0 <= p <= 1.0:
            raise StudyError(f"a p-value must lie in [0, 1]: found {p:g}")
    adjusted, running = [0.0] * len(pvalues), 0.0
    ranked = sorted(range(len(pvalues)), key=lambda index: pvalues[index])
    for rank, index in enumerate(ranked):
        running = max(running, min(1.0, (len(pvalues) - rank) * pvalues[index]))
        adjusted[index] = running
    return tuple(adjusted)


def intersection_union(pvalues: Sequence[float]) -> float:
    """Return the p-value of "every one of these claims holds": the largest, uncorrected.

    Raises:
        StudyError: no p-value at all.

    >>> intersection_union([0.01, 0.04, 0.03])
    0.04
    """
    if not pvalues:
        raise StudyError("an intersection-union test needs at least one p-value: found none")
    return max(pvalues)
