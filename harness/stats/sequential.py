"""Deciding from as few items as possible, with the error rates of a single look at the end.

Items come in a shuffled order that was fixed before any answer; at up to 20 looks the decision may
close. Both one-sided tests keep their own boundary (Wang and Tsiatis, exponent 0.25), so each
keeps its level whatever the other does.

Sources: Jennison and Turnbull, Group Sequential Methods (2000), chapters 2 (boundaries), 8
(estimation after stopping) and 9 (repeated confidence intervals).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from math import sqrt
from typing import NamedTuple

from scipy.special import ndtr, ndtri

from harness.records import Decision
from harness.stats.boundary import last_critical, median_unbiased, stagewise_p, wang_tsiatis
from harness.stats.clusters import cluster_error, cluster_sums
from harness.stats.decide import counts_of, decision_from, label_of, weigh
from harness.stats.evidence import Evidence
from harness.stats.looks import look_sizes
from harness.stats.scores import Paired, checked_declaration, paired_scores

Scores = tuple[float, float] | None
"""Base and tuned score of one item; None where one of them could not be scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialDecision(Decision):
    """A decision that may have stopped before all planned items were answered.

    ``used`` of ``planned`` items decided it, at look number ``look`` of ``looks`` (counted from
    1). ``delta`` and its interval are corrected for the looking; ``observed`` is the plain mean
    difference of the items used. ``p_regression`` is to be compared with ``alpha / family``.
    """

    used: int
    planned: int
    look: int
    looks: int
    observed: float
    family: int = 1


class _Design(NamedTuple):
    """Sizes of the looks, their shares of the plan, critical z of "fail" and of "pass".

    ``alone`` is the critical z of "fail" for a suite by itself, which its label is read by.
    """

    sizes: tuple[int, ...]
    times: tuple[float, ...]
    fail: tuple[float, ...]
    accept: tuple[float, ...]
    alone: tuple[float, ...]

    def without(self, look: int) -> "_Design":
        """Leave a look out at which nothing can be seen: that spends nothing."""
        kept = [[*part[:look], *part[look + 1 :]] for part in self]
        return _Design(*map(tuple, kept))


class _Look(NamedTuple):
    """The scores so far, what they say, and the standard error of their mean difference."""

    pairs: Paired
    evidence: Evidence
    error: float
    used: int


def decide_sequentially(  # noqa: PLR0913 - the declarations of `decide`, and the plan
    pairs: Iterable[Scores],
    *,
    planned: int,
    margin: float,
    alpha: float = 0.05,
    beta: float = 0.05,
    looks: int = 20,
    kind: str = "auto",
    tails: str = "graded",
    clusters: Sequence[Hashable] | None = None,
    family: int = 1,
    max_unscored: float = 1.0,
) -> SequentialDecision:
    """Decide like `decide`, consuming further items only while the decision is open.

    Args:
        pairs: (base, tuned) scores in [0, 1] in the shuffled order, None for an item that could
            not be scored; consumed as far as needed.
        planned: number of items declared before the first was answered.
        margin: the largest mean drop that would not matter, in score units, in (0, 1).
        alpha: rate of false alarms over all looks.
        beta: rate of missed regressions over all looks.
        looks: how often a decision may be made, evenly spread over the items.
        kind: ``binary``, ``graded`` or ``auto``, as for `decide`.
        tails: ``heavy`` bets instead, which allows looking at any time.
        clusters: the group of each planned item in the same order; items of one group follow each
            other (`shuffled_order` sees to it), and looks come at the end of a group.
        family: among how many suites a regression has to stand out: the decision is "fail"
            at ``alpha / family`` (Bonferroni); label and interval are those of this suite alone.
        max_unscored: share of unscored items above which the decision stays open.

    Returns:
        The decision, with the median-unbiased estimate, the repeated confidence interval and
        stagewise p-values; with heavy tails the plain mean and the anytime-valid betting interval.
        Where the pairs end before the plan, the last look spends what is left of both rates.

    Raises:
        ComparisonError: no pairs, or scores that cannot be compared.
        StudyError: a declaration that is not possible.
    """
    checked_declaration(margin=margin, alpha=alpha, beta=beta, tails=tails)
    rates = (alpha / family, beta, alpha)
    design = _design(look_sizes(planned, looks=looks, clusters=clusters), planned, rates)
    heavy = tails == "heavy" and kind != "binary"
    if heavy:
        kind = "graded"  # bets, even where every score so far is 0 or 1
        flat = [(float(-ndtri(rate)),) * len(design.sizes) for rate in rates]
        design = _Design(design.sizes, design.times, *flat)
    see = partial(_see, kind=kind, tails=tails, margin=margin, clusters=clusters)
    stream, seen, history = iter(pairs), list[Scores](), list[_Look]()
    while len(history) < len(design.sizes):
        look = len(history)
        size = design.sizes[look]
        seen += islice(stream, size - len(seen))
        ended, unscored = len(seen) < size, seen.count(None)
        if ended:
            if seen and not heavy:
                design = _cut_short(design, len(seen), planned, rates)
            history = [past for past in history if past.used < len(seen)]
            look = len(history)
        elif unscored == size < planned:
            design = design.without(look)
            continue
        history.append(see(seen, critical=design.alone[look]))
        closed = _label(history, design) != "inconclusive"
        if ended or (closed and unscored <= max_unscored * size):
            break
    # the interval is needed of the look that decides, and of no other
    history[-1] = see(seen, critical=design.alone[len(history) - 1], interval=True)
    decision = decision_from(
        history[-1].evidence,
        counts_of(history[-1].pairs),
        margin=margin,
        alpha=float(ndtr(-design.alone[len(history) - 1])),
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
        family=family,
    )


def _design(sizes: tuple[int, ...], planned: int, rates: Sequence[float]) -> _Design:
    times = tuple(size / planned for size in sizes)
    return _Design(sizes, times, *(wang_tsiatis(times, rate) for rate in rates))


def _cut_short(design: _Design, n: int, planned: int, rates: Sequence[float]) -> _Design:
    """The design where item n turned out to be the last one."""
    kept = sum(size < n for size in design.sizes)
    times = (*design.times[:kept], n / planned)
    bounds = [
        (*bound[:kept], last_critical(times, bound[:kept], rate))
        for bound, rate in zip((design.fail, design.accept, design.alone), rates, strict=True)
    ]
    return _Design((*design.sizes[:kept], n), times, *bounds)


def _see(
    seen: Sequence[Scores],
    *,
    critical: float,
    kind: str,
    tails: str,
    margin: float,
    clusters: Sequence[Hashable] | None,
    interval: bool = False,
) -> _Look:
    """Weigh the scores so far at the level of this look."""
    scored = [(place, pair) for place, pair in enumerate(seen) if pair is not None]
    groups = None if clusters is None else [clusters[place] for place, _ in scored]
    largest = None if clusters is None else float(max(Counter(clusters).values()))
    base, tuned = [pair[0] for _, pair in scored], [pair[1] for _, pair in scored]
    pairs = paired_scores(base, tuned, clusters=groups, kind=kind)
    evidence = weigh(
        pairs,
        margin=margin,
        alpha=float(ndtr(-critical)),
        tails=tails,
        interval=interval,
        largest=largest,
    )
    x, n = pairs.difference, len(scored)
    if pairs.cluster is not None and pairs.cluster[-1] > 0:
        error, _ = cluster_error(cluster_sums(x, pairs.cluster))
    else:
        error = float(x.std()) / sqrt(n)
    # one differing item would show an error of 1 / n
    return _Look(pairs, evidence, max(error, 1.0 / n), len(seen))


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

    A look that left the decision open lies inside the bound drawn with it.
    """
    z = float(-ndtri(look.evidence.p_not_worse))
    distance = look.evidence.delta + margin
    return max(distance / z, look.error) if z > 0.0 and distance > 0.0 else look.error
