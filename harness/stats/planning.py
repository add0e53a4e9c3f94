"""Before paying for a run: how many items a margin needs, and what the given ones can show.

With disagreement D and true difference d, the variance per item is ``D - d ** 2``.

Sources: Miettinen, Biometrics 24 (1968) 339-352 (paired proportions); Jennison and Turnbull, Group
Sequential Methods (2000), section 2.6 (inflation of the maximal number of items).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf, sqrt

from scipy.special import ndtr, ndtri

from harness.errors import StudyError
from harness.stats.boundary import exit_probabilities, wang_tsiatis
from harness.stats.scores import checked_declaration
from harness.stats.units import clusters_needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many items a margin needs, and what the items at hand can show.

    ``items`` decide an unchanged model, or a drop of the margin, with probability ``power``;
    ``items_sequential`` do so when looking early. ``available`` items (``items`` unless given)
    decide with probability ``chance`` and find a drop of ``detectable`` with probability
    ``power``. ``disagreement`` is the share of items that the arms score differently,
    ``design_effect`` what clustering multiplies the items by.
    """

    items: int
    items_sequential: int
    available: int
    chance: float
    detectable: float
    margin: float
    disagreement: float
    alpha: float
    power: float
    design_effect: float


def plan(
    *,
    margin: float,
    disagreement: float,
    alpha: float = 0.05,
    power: float = 0.9,
    design_effect: float = 1.0,
    available: int | None = None,
) -> Plan:
    """Say how many items a margin needs, and what the available ones can show.

    Args:
        margin: the largest mean drop that would not matter, in score units, in (0, 1).
        disagreement: share of items that the two arms score differently, in (0, 1]; for graded
            scores the mean squared difference. From an earlier release or a pilot.
        alpha: rate of each of the two errors, one-sided.
        power: probability of a decision where nothing changed, or the drop is the margin.
        design_effect: what clustering multiplies the items by, `harness.stats.design_effect`.
        available: items at hand; None takes as many as are needed.

    Raises:
        StudyError: a value that is not possible.

    >>> plan(margin=0.05, disagreement=0.15).items
    506
    >>> round(plan(margin=0.05, disagreement=0.15, available=100).chance, 2)
    0.37
    """
    checked_declaration(margin=margin, alpha=alpha, beta=alpha)
    _between("disagreement", disagreement, 0.0, 1.0)
    _between("power", power, 0.5, 0.9999)
    _between("design_effect", design_effect, 1.0 - 1e-12, inf)
    if available is not None and available < 1:
        raise StudyError(f"a plan needs at least one available item: found {available}")
    reach = float(ndtri(1.0 - alpha) + ndtri(power))
    variance = max(disagreement, margin) - margin**2  # a drop of the margin differs that often
    floor = clusters_needed(margin, alpha)
    items = ceil(max(reach**2 * variance / margin**2, floor) * design_effect)
    at_hand = items if available is None else available
    effective = at_hand / design_effect
    return Plan(
        items=items,
        items_sequential=ceil(items * sequential_inflation(alpha, power)),
        available=at_hand,
        chance=float(ndtr(margin * sqrt(effective / variance) - ndtri(1.0 - alpha)))
        if effective >= floor
        else 0.0,
        detectable=sqrt(disagreement / (effective / reach**2 + 1.0)),
        margin=margin,
        disagreement=disagreement,
        alpha=alpha,
        power=power,
        design_effect=design_effect,
    )


@lru_cache(maxsize=32)
def sequential_inflation(alpha: float, power: float, looks: int = 20) -> float:
    """Return by how much looking early multiplies the maximal number of items for equal power.

    >>> round(sequential_inflation(0.05, 0.9), 2)
    1.12
    """
    from scipy.optimize import brentq  # slow to import

    times = tuple((look + 1) / looks for look in range(looks))
    upper = tuple(z * sqrt(t) for z, t in zip(wang_tsiatis(times, alpha), times, strict=True))

    def excess(drift: float) -> float:
        return float(exit_probabilities(times, (-inf,) * looks, upper, drift)[1].sum()) - power

    fixed = float(ndtri(1.0 - alpha) + ndtri(power))
    return (float(brentq(excess, fixed, 2.0 * fixed + 1.0)) / fixed) ** 2


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low < value <= high:
        raise StudyError(f"{name} must lie between {low:g} and {high:g}: found {value:g}")
