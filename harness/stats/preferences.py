"""Preferences with ties as a model: rankings of several arms, and what length explains.

Davidson's model (JASA 65 (1970) 317-328) of Bradley and Terry's pairs: with s the difference of
two strengths, the first is preferred, tied or not in proportion to exp(s/2) : v : exp(-s/2). A tie
counts as half a preference, so ``share(s)`` is what the first is expected to get.
"""

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from harness.errors import DataError
from harness.stats.multiplicity import holm
from harness.stats.scores import Floats

_STEPS = 100
_CLOSE = 1e-10


class Bout(NamedTuple):
    """One judgement: ``outcome`` is 1 where ``first`` was preferred, 0.5 for a tie, else 0.

    ``weight`` is how many judgements of the population it stands for. Judgements of one ``item``
    depend on each other; items of one ``stratum`` were drawn together.
    """

    first: str
    second: str
    outcome: float
    weight: float = 1.0
    item: Hashable = None
    stratum: Hashable = None


class Ranked(NamedTuple):
    """One arm's place.

    ``share`` is what it is expected to get against the reference arm (a tie is half), with its
    interval. ``tied`` are the letters of the groups it belongs to: arms that share a letter cannot
    be told apart.
    """

    arm: str
    share: float
    low: float
    high: float
    tied: str


class LengthControlled(NamedTuple):
    """Whom raters would prefer if both answers were equally long.

    ``rate`` (with its interval) is the share of the first arm at equal length; ``by_length`` is
    what it would get if nothing but the lengths of its answers mattered, 0.5 where length says
    nothing. ``longer`` is the share of decided judgements that went to the longer answer.
    """

    rate: float
    low: float
    high: float
    by_length: float
    longer: float | None


class PreferenceFit(NamedTuple):
    """A fitted model: coefficients of the strength, the log of v, and their joint covariance."""

    strength: Floats
    tie: float
    covariance: Floats


def rank(bouts: Sequence[Bout], *, reference: str, level: float = 0.90) -> list[Ranked]:
    """Rank arms by Davidson's model, the strongest first.

    Pairs of arms are told apart at ``1 - level`` in all (Holm). All arms have to be connected by
    bouts; of two that never met, the comparison rests on those that both met.

    Args:
        bouts: judgements between pairs of arms.
        reference: the arm whose strength is 0.
        level: of the intervals of the shares.

    Raises:
        DataError: no bouts, or arms that no chain of bouts connects with the reference.
    """
    arms = sorted({arm for bout in bouts for arm in (bout.first, bout.second)} - {reference})
    _require_connected(bouts, reference, arms)
    place = {arm: index for index, arm in enumerate(arms)}
    features = np.zeros((len(bouts), len(arms)))
    for row, bout in enumerate(bouts):
        for arm, sign in ((bout.first, 1.0), (bout.second, -1.0)):
            if arm != reference:
                features[row, place[arm]] += sign
    fit = fit_preferences(features, bouts, anchors=np.unique(features, axis=0))
    contrasts = {reference: np.zeros(len(arms))} | {
        arm: np.eye(len(arms))[index] for arm, index in place.items()
    }
    letters = _letters(contrasts, fit, 1.0 - level)
    z = float(ndtri(0.5 + level / 2.0))
    found = []
    for arm, contrast in contrasts.items():
        strength, error = _estimate(fit, contrast)
        middle, low, high = (
            share(s, fit.tie) for s in (strength, strength - z * error, strength + z * error)
        )
        found.append(Ranked(arm, middle, low, high, letters[arm]))
    return sorted(found, key=lambda ranked: -ranked.share)


def length_controlled(
    bouts: Sequence[Bout],
    longer_by: Sequence[float],
    everywhere: Sequence[float],
    *,
    level: float = 0.90,
) -> LengthControlled:
    """Take out of a win rate what raters give to length alone.

    The strength is a + b tanh(d / sd), where d is by how many characters the first answer is longer
    and sd the standard deviation of d; the rate is that at d = 0. So does AlpacaEval 2 (Dubois et
    al., "Length-Controlled AlpacaEval", arXiv 2404.04475, 2024, equation 2, without its term for
    the difficulty of instructions), here with ties.

    Args:
        bouts: judgements of one pair of arms, the same first in all.
        longer_by: of each bout, the length of the first answer less that of the second.
        everywhere: the same of every item of the population, rated or not.
        level: of the interval.

    Raises:
        DataError: no bouts, or not one length of each.
    """
    if not bouts or len(bouts) != len(longer_by) or not len(everywhere):
        raise DataError(
            "a length-controlled rate needs the lengths of what was rated: found "
            f"{len(longer_by)} of {len(bouts)}"
        )
    d, whole = np.asarray(longer_by, dtype=np.float64), np.asarray(everywhere, dtype=np.float64)
    spread = float(np.sqrt(np.mean(whole**2))) or 1.0
    features = np.column_stack([np.ones(len(d)), np.tanh(d / spread)])
    fit = fit_preferences(features, bouts, anchors=np.array([[1.0, 1.0], [1.0, -1.0]]))
    strength, error = _estimate(fit, np.array([1.0, 0.0]))
    z = float(ndtri(0.5 + level / 2.0))
    rate, low, high = (
        share(s, fit.tie) for s in (strength, strength - z * error, strength + z * error)
    )
    by_length = [share(s, fit.tie) for s in fit.strength[1] * np.tanh(whole / spread)]
    decided = [
        ((bout.outcome > 0.5) == (length > 0), bout.weight)
        for bout, length in zip(bouts, longer_by, strict=True)
        if length and bout.outcome != 0.5
    ]
    total = sum(weight for _, weight in decided)
    longer = sum(weight for is_longer, weight in decided if is_longer) / total if total else None
    return LengthControlled(rate, low, high, float(np.mean(by_length)), longer)


def share(strength: float, tie: float) -> float:
    """Return what the first arm is expected to get: its preferences, and half of the ties.

    >>> share(0.0, 0.0), round(share(2.0, -30.0), 3)
    (0.5, 0.881)
    """
    win, loss, even = np.exp(np.array([strength / 2.0, -strength / 2.0, tie]))
    return float((win + even / 2.0) / (win + loss + even))


def fit_preferences(features: Floats, bouts: Sequence[Bout], *, anchors: Floats) -> PreferenceFit:
    """Fit strengths that are linear in ``features``, shape (bouts, k), by maximum likelihood.

    Half a win and half a loss are added at each row of ``anchors``, shape (any, k), so that arms
    that always win stay finite. The covariance is the sandwich of the draw: the scores of items
    within strata (and each added half for itself) between inverse Hessians.

    Raises:
        DataError: no bouts.
    """
    if not bouts:
        raise DataError("a model of preferences needs judgements: found none")
    weights = np.array([bout.weight for bout in bouts])
    weights = weights * len(weights) / weights.sum()
    x = np.vstack([features, anchors, anchors])
    halves = [np.ones(len(anchors)), np.zeros(len(anchors))]
    outcome = np.concatenate([[bout.outcome for bout in bouts], *halves])
    w = np.concatenate([weights, np.full(2 * len(anchors), 0.5)])
    beta = np.zeros(features.shape[1] + 1)
    for _ in range(_STEPS):
        gradient, hessian = _derivatives(beta, x, outcome, w)
        step = np.linalg.solve(hessian + 1e-6 * np.eye(len(beta)), gradient.sum(axis=0))
        beta = beta + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        if float(np.abs(step).max()) < _CLOSE:
            break
    gradient, hessian = _derivatives(beta, x, outcome, w)
    inverse = np.linalg.pinv(hessian + 1e-6 * np.eye(len(beta)))
    middle = _spread(gradient[: len(bouts)], bouts)
    middle += gradient[len(bouts) :].T @ gradient[len(bouts) :]
    covariance = inverse @ middle @ inverse
    return PreferenceFit(beta[:-1], float(beta[-1]), covariance)


def _derivatives(beta: Floats, x: Floats, outcome: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Return each judgement's score, shape (n, k + 1), and the negative Hessian."""
    strength = x @ beta[:-1]
    utility = np.column_stack([strength / 2.0, -strength / 2.0, np.full(len(x), beta[-1])])
    chance = np.exp(utility - utility.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    lean, even = (chance[:, 0] - chance[:, 1]) / 2.0, chance[:, 2]
    tied = 1.0 - np.abs(2.0 * outcome - 1.0)
    score = np.column_stack([x * (outcome - 0.5 - lean)[:, None], tied - even]) * w[:, None]
    of_lean = w * ((1.0 - even) / 4.0 - lean**2)
    mixed = -(x * (w * lean * even)[:, None]).sum(axis=0)
    hessian = np.block([
        [(x * of_lean[:, None]).T @ x, mixed[:, None]],
        [mixed[None, :], np.array([[float(np.sum(w * even * (1.0 - even)))]])],
    ])  # fmt: skip
    return score, hessian


def _spread(scores: Floats, bouts: Sequence[Bout]) -> Floats:
    """Return the variance of the sum of scores: items within strata, which are known in size."""
    items: dict[tuple[Hashable, Hashable], Floats] = {}
    for number, (score, bout) in enumerate(zip(scores, bouts, strict=True)):
        key = bout.stratum, number if bout.item is None else bout.item
        items[key] = items.get(key, np.zeros(scores.shape[1])) + score
    strata: dict[Hashable, list[Floats]] = {}
    for (stratum, _), score in items.items():
        strata.setdefault(stratum, []).append(score)
    total = np.zeros((scores.shape[1],) * 2)
    for found in strata.values():
        table, n = np.array(found), len(found)
        centred = table - table.mean(axis=0) if n > 1 else table
        total += centred.T @ centred * (n / (n - 1) if n > 1 else 1.0)
    return total


def _estimate(fit: PreferenceFit, contrast: Floats) -> tuple[float, float]:
    """Return a contrast of strengths and its standard error."""
    k = len(contrast)
    variance = float(contrast @ fit.covariance[:k, :k] @ contrast)
    return float(contrast @ fit.strength), max(0.0, variance) ** 0.5


def _letters(contrasts: dict[str, Floats], fit: PreferenceFit, alpha: float) -> dict[str, str]:
    """Return letters such that two arms share one exactly where they cannot be told apart."""
    arms = sorted(contrasts, key=lambda arm: -_estimate(fit, contrasts[arm])[0])
    pairs = list(combinations(arms, 2))
    p_values = []
    for one, other in pairs:
        difference, error = _estimate(fit, contrasts[one] - contrasts[other])
        p_values.append(2.0 * float(ndtr(-abs(difference) / error)) if error else 1.0)
    apart = {frozenset(pair) for pair, p in zip(pairs, holm(p_values), strict=True) if p <= alpha}
    groups = [frozenset(arms)]
    for one, other in pairs:  # insert and absorb: Piepho, J. Comput. Graph. Stat. 13 (2004)
        if frozenset((one, other)) in apart:
            split = [g - {arm} for g in groups if {one, other} <= g for arm in (one, other)]
            groups = [g for g in groups if not {one, other} <= g] + split
            groups = [g for g in set(groups) if not any(g < more for more in groups)]
    groups.sort(key=lambda group: sorted(arms.index(arm) for arm in group))
    return {
        arm: "".join(chr(97 + index) for index, group in enumerate(groups) if arm in group)
        for arm in arms
    }


def _require_connected(bouts: Sequence[Bout], reference: str, arms: Sequence[str]) -> None:
    reached, size = {reference}, 0
    while len(reached) > size:
        size = len(reached)
        for bout in bouts:
            if reached & {bout.first, bout.second}:
                reached |= {bout.first, bout.second}
    missing = [arm for arm in arms if arm not in reached]
    if missing or not bouts:
        raise DataError(
            f"a ranking needs bouts that connect every arm with {reference!r}: found none of "
            f"{', '.join(missing) or 'any'}"
        )
