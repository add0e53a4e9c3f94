"""Deciding from as few items as possible, with the error rates of a single look at the end.

Items come in a shuffled order that was fixed before any answer; at up to 20 looks the verdict may
close. Both one-sided tests keep their own boundary (Wang and Tsiatis, exponent 0.25), so each
keeps its level whatever the other does.

Sources: Jennison and Turnbull, Group Sequential Methods (2000), chapters 2 (boundaries), 8
(estimation after stopping) and 9 (repeated confidence intervals).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from harness.errors import ComparisonError, StudyError
from harness.records import Decision
from harness.stats.boundary import last_critical, median_unbiased, stagewise_p, wang_tsiatis
from harness.stats.clusters import cluster_error, cluster_sums
from harness.stats.decide import counts_of, decision_from, label_of, weigh
from harness.stats.evidence import Evidence
from harness.stats.scores import Paired, checked_declaration, cluster_numbers, paired_scores

FIRST_ITEMS = 20
"""No verdict closes on fewer items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialDecision(Decision):
    """A decision that may have stopped before all planned items were answered.

    ``used`` of ``planned`` items decided it, at look number ``look`` of ``looks`` (counted from
    1). ``delta`` and its interval are corrected for the looking; ``observed`` is the plain mean
    difference of the items used.
    """

    used: int
    planned: int
    look: int
    looks: int
    observed: float


class _Design(NamedTuple):
    """Sizes of the looks, their shares of the plan, critical z of "fail" and of "pass"."""

    sizes: tuple[int, ...]
    times: tuple[float, ...]
    fail: tuple[float, ...]
    accept: tuple[float, ...]


class _Look(NamedTuple):
    """The scores so far, what they say, and the standard error of their mean difference."""

    pairs: Paired
    evidence: Evidence
    error: float


def decide_sequentially(  # noqa: PLR0913 - the declarations of `decide`, and the plan
    pairs: Iterable[tuple[float, float]],
    *,
    planned: int,
    margin: float,
    alpha: float = 0.05,
    beta: float = 0.05,
    looks: int = 20,
    kind: str = "auto",
    tails: str = "graded",
    clusters: Sequence[Hashable] | None = None,
) -> SequentialDecision:
    """Decide like `decide`, asking for further items only while the verdict is open.

    Args:
        pairs: (base, tuned) scores in [0, 1] in the shuffled order; consumed as far as needed.
        planned: number of items declared before the first was answered.
        margin: the largest mean drop that would not matter, in score units, in (0, 1).
        alpha: rate of false alarms over all looks.
        beta: rate of missed regressions over all looks.
        looks: how often the verdict may close, evenly spread over the items.
        kind: ``binary``, ``graded`` or ``auto``, as for `decide`.
        tails: ``heavy`` bets instead, which allows looking at any time.
        clusters: the group of each planned item in the same order; items of one group follow each
            other (`shuffled_order` sees to it), and looks come at the end of a group.

    Returns:
        The decision, with the median-unbiased estimate, the repeated confidence interval and
        stagewise p-values; with heavy tails the plain mean and the anytime-valid betting interval.
        Where the pairs end before the plan, the last look spends what is left of both rates.

    Raises:
        ComparisonError: no pairs, or scores that cannot be compared.
        StudyError: a declaration that is not possible.
    """
    checked_declaration(margin=margin, alpha=alpha, beta=beta, tails=tails)
    design = _design(look_sizes(planned, looks=looks, clusters=clusters), planned, alpha, beta)
    heavy = tails == "heavy" and kind != "binary"
    if heavy:
        kind = "graded"  # bets, even where every score so far is 0 or 1
        design = design._replace(
            fail=(float(-ndtri(alpha)),) * len(design.sizes),
            accept=(float(-ndtri(beta)),) * len(design.sizes),
        )
    see = partial(_see, kind=kind, tails=tails, margin=margin, clusters=clusters)
    stream, seen, history = iter(pairs), list[tuple[float, float]](), list[_Look]()
    for size in design.sizes:
        seen += islice(stream, size - len(seen))
        if len(seen) < size:
            if seen and not heavy:
                design = _cut_short(design, len(seen), planned, alpha, beta)
            history = [look for look in history if len(look.pairs.difference) < len(seen)]
            history.append(see(seen, critical=design.fail[len(history)]))
            break
        history.append(see(seen, critical=design.fail[len(history)]))
        if _label(history, design) != "inconclusive":
            break
    decision = decision_from(
        history[-1].evidence,
        counts_of(history[-1].pairs),
        margin=margin,
        alpha=float(ndtr(-design.fail[len(history) - 1])),
        beta=float(ndtr(-design.accept[len(history) - 1])),
    )
    corrected = decision if heavy else _corrected(decision, history, design)
    known = {field.name: getattr(corrected, field.name) for field in fields(corrected)}
    return SequentialDecision(
        **{**known, "alpha": alpha},
        used=len(seen),
        planned=planned,
        look=len(history),
        looks=len(design.sizes),
        observed=float(history[-1].pairs.difference.mean()),
    )


def look_sizes(
    planned: int, *, looks: int = 20, clusters: Sequence[Hashable] | None = None
) -> tuple[int, ...]:
    """Return after how many items each look comes: at least 20, and at the end of a cluster.

    Raises:
        StudyError: fewer than one item or look.
        ComparisonError: clusters whose items do not follow each other, or are not ``planned`` many.

    >>> look_sizes(100, looks=4)
    (25, 50, 75, 100)
    """
    if planned < 1 or looks < 1:
        raise StudyError(
            f"a sequential decision needs at least one planned item and one look: "
            f"found {planned} items and {looks} looks"
        )
    first = min(FIRST_ITEMS, planned)
    wanted = [max(first, ceil(planned * (look + 1) / looks)) for look in range(looks)]
    numbers = None if clusters is None else cluster_numbers(clusters, planned)
    if numbers is not None:
        if np.any(np.diff(numbers) < 0):
            raise ComparisonError(
                "items of one cluster must follow each other when looking early: found clusters "
                "that are torn apart; order the items with shuffled_order"
            )
        ends = np.append(np.flatnonzero(np.diff(numbers)) + 1, planned)
        wanted = ends[np.searchsorted(ends, wanted)].tolist()
    return tuple(sorted(set(wanted)))


def shuffled_order(
    items: Sequence[str], *, clusters: Sequence[str] | None = None, seed: int = 0
) -> tuple[int, ...]:
    """Return the positions of the items in an order that nobody chose: sorted by sha256.

    Whole clusters are shuffled, and items within them; items may be any unique names. The order
    of an item does not depend on which other items there are.

    >>> shuffled_order(["a", "b", "c", "d"])
    (2, 0, 1, 3)
    """
    groups = items if clusters is None else clusters

    def place(index: int) -> tuple[bytes, str, bytes]:
        group, item = groups[index], items[index]
        return _digest(f"{seed}|{group}"), group, _digest(f"{seed}|{group}|{item}")

    return tuple(sorted(range(len(items)), key=place))


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _design(sizes: tuple[int, ...], planned: int, alpha: float, beta: float) -> _Design:
    times = tuple(size / planned for size in sizes)
    return _Design(sizes, times, wang_tsiatis(times, alpha), wang_tsiatis(times, beta))


def _cut_short(design: _Design, n: int, planned: int, alpha: float, beta: float) -> _Design:
    """The design where item n turned out to be the last one."""
    kept = sum(size < n for size in design.sizes)
    times = (*design.times[:kept], n / planned)
    fail, accept = design.fail[:kept], design.accept[:kept]
    return _Design(
        sizes=(*design.sizes[:kept], n),
        times=times,
        fail=(*fail, last_critical(times, fail, alpha)),
        accept=(*accept, last_critical(times, accept, beta)),
    )


def _see(
    seen: Sequence[tuple[float, float]],
    *,
    critical: float,
    kind: str,
    tails: str,
    margin: float,
    clusters: Sequence[Hashable] | None,
) -> _Look:
    """Weigh the scores so far at the level of this look."""
    groups = None if clusters is None else clusters[: len(seen)]
    largest = None if clusters is None else float(max(Counter(clusters).values()))
    base, tuned = [pair[0] for pair in seen], [pair[1] for pair in seen]
    pairs = paired_scores(base, tuned, clusters=groups, kind=kind)
    evidence = weigh(
        pairs,
        margin=margin,
        alpha=float(ndtr(-critical)),
        tails=tails,
        seed=None,
        largest=largest,
    )
    x, n = pairs.difference, len(seen)
    if pairs.cluster is not None and pairs.cluster[-1] > 0:
        error, _ = cluster_error(cluster_sums(x, pairs.cluster))
    else:
        error = float(x.std()) / sqrt(n)
    return _Look(pairs, evidence, max(error, 1.0 / n))  # one differing item would show this much


def _label(history: Sequence[_Look], design: _Design) -> str:
    position = len(history) - 1
    return label_of(
        history[-1].evidence,
        alpha=float(ndtr(-design.fail[position])),
        beta=float(ndtr(-design.accept[position])),
    )


def _corrected(decision: Decision, history: Sequence[_Look], design: _Design) -> Decision:
    """The decision with p-values and estimate that allow for the looks before this one."""
    *before, now = history
    times, evidence = design.times[: len(history)], now.evidence
    scale = now.error * sqrt(times[-1])  # score units per unit of drift
    lower = [
        -z * look.error * time / scale
        for z, look, time in zip(design.fail, before, times, strict=False)
    ]
    upper = [
        (z * _error_of_pass(look, decision.margin) - decision.margin) * time / scale
        for z, look, time in zip(design.accept, before, times, strict=False)
    ]
    drift = median_unbiased(times, tuple(lower), tuple(upper), evidence.delta * times[-1] / scale)
    fail, accept = design.fail[: len(before)], design.accept[: len(before)]
    return replace(
        decision,
        delta=min(max(drift * scale, evidence.low), evidence.high) if decision.discordant else 0.0,
        p_regression=stagewise_p(times, fail, float(-ndtri(evidence.p_drop))),
        p_non_inferior=stagewise_p(times, accept, float(-ndtri(evidence.p_not_worse))),
        method=f"group sequential, {decision.method}",
    )


def _error_of_pass(look: _Look, margin: float) -> float:
    """The standard error that the test of "not worse" went by, its guards for few items included.

    A look that left the verdict open lies inside the bound drawn with it.
    """
    z = float(-ndtri(look.evidence.p_not_worse))
    distance = look.evidence.delta + margin
    return max(distance / z, look.error) if z > 0.0 and distance > 0.0 else look.error
