"""Groups of items whose change is not that of the rest: found on one half, confirmed on the other.

Groups are of one condition or two. What is searched is the *difference* between the arms, not the
errors: a group that is hard for both arms is no news about the tuning. A search finds something in
any data, so what it found on one half of the items is tested on the half that it never saw, and
Holm's correction allows for how many were found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from harness.analysis.groups.facets import MIN_ITEMS, Facets
from harness.analysis.intervals import FEW_CLUSTERS, scored
from harness.analysis.transitions import right_counts
from harness.records import Comparison, Finding, Pair
from harness.stats import design_effect, holm

MIN_HALF = 5
"""Items that a group needs in either half."""

LEAST_SEARCHED = 40
"""Items below which nothing is searched for: no half could confirm it."""

MOST_FOUND = 6
"""Groups that are taken from the searched half to the other."""

MOST_GROUPS = 150
"""Groups of one condition, the largest first, whose pairs are looked at too."""

NOTABLE = 2.5
"""Standard errors between a group and the rest, on the searched half, from which it is tested."""

APART_WITHIN = 3.0
"""Standard errors between items of two conditions and those of either one alone, without which the
second condition adds nothing."""

LEFT_APART = 2.0
"""Standard errors from which what one condition has beyond a pair is apart itself."""

_DRAWS = 20_000
_LEVELS = 40
"""Steps to which graded changes are rounded."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Items:
    """Scored pairs as arrays: gain (n,), groups they are in (g, n), and which half is searched."""

    pairs: tuple[Pair, ...]
    names: tuple[tuple[str, str], ...]
    gain: Floats
    member: Bools
    searched: Bools
    cluster: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Found:
    """A group by the places of its conditions, and its items (n,)."""

    conditions: tuple[int, ...]
    member: Bools


def stand_out(comparison: Comparison, facets: Facets) -> tuple[Finding, ...]:
    """Find groups that gained or lost otherwise than the rest of their suite.

    Args:
        comparison: Base against one candidate on one suite.
        facets: The groups that each item is in.

    Returns:
        One finding per group that the search brought up, confirmed ones first, then by the size of
        the difference, losses before gains. ``delta`` is the group's change over all its items,
        ``elsewhere`` that of all other items, ``p`` the adjusted p-value on the held-out half.
        ``keys`` are the items that moved as the group did.
    """
    pairs = scored(comparison)
    if len(pairs) < LEAST_SEARCHED:
        return ()
    items = _arrays(comparison, pairs, facets)
    found = _search(items)
    if not found:
        return ()
    adjusted = holm([_p_value(items, group) for group in found])
    alpha = comparison.decision.alpha if comparison.decision else 0.05
    findings = [
        _finding(comparison, items, group, p, len(found), alpha)
        for group, p in zip(found, adjusted, strict=True)
    ]
    gain = comparison.suite.gain

    def order(finding: Finding) -> tuple[bool, float, str]:
        apart = gain((finding.delta or 0.0) - (finding.elsewhere or 0.0))
        return (finding.p or 0.0) > alpha, apart, finding.title

    return tuple(sorted(findings, key=order))


def _arrays(comparison: Comparison, pairs: tuple[Pair, ...], facets: Facets) -> _Items:
    gain = [
        comparison.suite.gain((p.tuned.verdict.score or 0.0) - (p.base.verdict.score or 0.0))
        for p in pairs
    ]
    places: dict[tuple[str, str], list[int]] = {}
    for place, pair in enumerate(pairs):
        for group in facets.get(pair.base.item.key, ()):
            places.setdefault(group, []).append(place)
    kept = [g for g, found in places.items() if MIN_ITEMS <= len(found) < len(pairs)]
    kept = sorted(kept, key=lambda g: (-len(places[g]), g))[:MOST_GROUPS]
    member = np.zeros((len(kept), len(pairs)), dtype=np.bool_)
    for row, group in enumerate(kept):
        member[row, places[group]] = True
    clusters = [pair.base.item.cluster for pair in pairs]
    return _Items(
        pairs=pairs,
        names=tuple(kept),
        gain=np.round(np.array(gain) * _LEVELS) / _LEVELS,
        member=member,
        searched=_half(pairs, clusters),
        cluster=np.unique(clusters, return_inverse=True)[1],
    )


def _half(pairs: Sequence[Pair], clusters: Sequence[str]) -> Bools:
    """Draw the half to search by hashes, so that it depends on no order and no other item.

    Items of a cluster stay together. A cluster that could be a group itself (a database with many
    items) is halved: what is said about it is said about its own items.
    """
    sizes: dict[str, int] = {}
    for cluster in clusters:
        sizes[cluster] = sizes.get(cluster, 0) + 1

    def drawn(text: str) -> bool:
        return sha256(f"searched half {text}".encode("utf-8", "replace")).digest()[0] % 2 == 0

    return np.array(
        [
            drawn(repr(pair.base.item.key) if sizes[cluster] >= MIN_ITEMS else cluster)
            for pair, cluster in zip(pairs, clusters, strict=True)
        ]
    )


def _search(items: _Items) -> list[_Found]:
    """Take the group that differs most from the rest, set its items aside, and look again."""
    left = items.searched.copy()
    found: list[_Found] = []
    supported = _supported(items)
    while len(found) < MOST_FOUND:
        best = _best(items, left, supported)
        if best is None:
            break
        found.append(best)
        left &= ~best.member
    return found


def _supported(items: _Items) -> Bools:
    """Say which groups (the diagonal) and pairs of groups have enough items in both halves."""
    halves = [
        items.member[:, half].astype(np.float32) for half in (items.searched, ~items.searched)
    ]
    enough = [(half @ half.T) >= MIN_HALF for half in halves]
    return np.asarray(enough[0] & enough[1])


def _best(items: _Items, left: Bools, supported: Bools) -> _Found | None:
    gain, member = items.gain[left], items.member[:, left].astype(np.float64)
    spread = float(gain.std()) if len(gain) > 1 else 0.0
    if spread == 0.0:
        return None
    counts = member @ member.T
    sums = (member * gain) @ member.T
    rest = len(gain) - counts
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums / counts - (gain.sum() - sums) / rest
        z = np.abs(apart) / (spread * np.sqrt(1 / counts + 1 / rest))
    z[~supported | (counts < MIN_HALF) | (rest < MIN_HALF)] = 0.0
    alone = z.diagonal().copy()
    z[~_both_needed(counts, sums, gain, spread)] = 0.0
    np.fill_diagonal(z, alone)
    first, second = np.unravel_index(int(np.argmax(np.triu(z))), z.shape) if len(z) else (0, 0)
    if not len(z) or z[first, second] < NOTABLE:
        return None
    conditions = (int(first),) if first == second else (int(first), int(second))
    return _Found(conditions, np.logical_and.reduce(items.member[list(conditions)]))


def _both_needed(counts: Floats, sums: Floats, gain: Floats, spread: float) -> Bools:
    """Say which pairs of groups are apart from what is left of either without the other.

    What is left must not be apart from the items outside in the same direction: else the one
    condition says it all, and the pair is but its worst part.
    """
    all_counts, all_sums = np.diagonal(counts)[:, None], np.diagonal(sums)[:, None]
    left, left_sums = all_counts - counts, all_sums - sums
    outside, outside_sums = len(gain) - all_counts, gain.sum() - all_sums
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums / counts - left_sums / left
        within = np.abs(apart) / (spread * np.sqrt(1 / counts + 1 / left)) >= APART_WITHIN
        beyond = np.sign(apart) * (left_sums / left - outside_sums / outside)
        within &= beyond / (spread * np.sqrt(1 / left + 1 / outside)) < LEFT_APART
    return np.asarray(within & within.T)


def _p_value(items: _Items, group: _Found) -> float:
    """Return the one-sided p-value of a group's difference on the held-out half.

    How far would as many items, drawn at random from that half, lie from its mean as often as the
    group does? The direction is the searched half's. Draws are from the counts of the distinct
    changes (at most 41 levels), so the test is exact but for 20,000 seeded draws. Items in clusters
    count as fewer by their design effect, unless the group is of a few clusters only.
    """
    gain, member = items.gain[~items.searched], group.member[~items.searched]
    seen, inside = items.gain[items.searched], group.member[items.searched]
    sign = 1.0 if seen[inside].mean() >= seen[~inside].mean() else -1.0
    levels, counts = np.unique(gain, return_counts=True)
    size = int(member.sum())
    clusters = items.cluster[~items.searched]
    if len(set(clusters[member].tolist())) >= FEW_CLUSTERS:
        numbers = np.unique(clusters, return_inverse=True)[1]
        size = max(1, round(size / design_effect(gain, numbers)))
    draw = np.random.default_rng(0)
    means = draw.multivariate_hypergeometric(counts, size, size=_DRAWS) @ levels / size
    as_far = int((sign * means >= sign * float(gain[member].mean()) - 1e-9).sum())
    return (as_far + 1) / (_DRAWS + 1)


def _finding(
    comparison: Comparison, items: _Items, group: _Found, p: float, found: int, alpha: float
) -> Finding:
    names = sorted(items.names[place] for place in group.conditions)
    back = comparison.suite.gain
    here, there = (back(float(items.gain[m].mean())) for m in (group.member, ~group.member))
    held = back(float(items.gain[group.member & ~items.searched].mean()))
    mine = [pair for pair, is_in in zip(items.pairs, group.member, strict=True) if is_in]
    wanted = "lost" if back(here - there) < 0 else "gained"
    base_right, tuned_right = right_counts(mine)
    how = (
        f"confirmed on the other ({held * 100:+.1f} there)"
        if p <= alpha
        else (f"not confirmed on the other ({held * 100:+.1f} there)")
    )
    return Finding(
        kind="stands_out",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title=" and ".join(f"{name} = {value}" for name, value in names),
        text=f"{here * 100:+.1f} points on {len(mine)} items against {there * 100:+.1f} on all "
        f"others; found on one half of the items, {how}; p {p:.2g} among {found} looked at",
        base_count=base_right,
        tuned_count=tuned_right,
        total=len(mine),
        delta=here,
        elsewhere=there,
        p=p,
        keys=tuple(pair.base.item.key for pair in mine if pair.transition == wanted),
        conditions=tuple(names),
    )
