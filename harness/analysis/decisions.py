"""From the scores of each suite to a decision per candidate, and the result of the run."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from harness import stats
from harness.analysis.several_candidates import adjusted
from harness.display_text import clip, visible
from harness.records import (
    Comparison,
    Decision,
    Gate,
    Item,
    ItemKey,
    Pair,
    Sample,
    Suite,
)

D = TypeVar("D", bound=Decision)


def compare_scores(
    candidate: str,
    suite: Suite,
    rows: Sequence[tuple[float, float, str]],
    gate: Gate,
    *,
    unscored: int = 0,
    pairs: tuple[Pair, ...] = (),
) -> Comparison:
    """Decide one suite from its paired scores, not yet adjusted for the number of suites.

    Args:
        candidate: The tuned arm's name.
        suite: What the suite declares; its ``margin`` is the non-inferiority margin.
        rows: ``(base score, tuned score, cluster)`` of every item scored for both arms.
        gate: The error rates, and the share of unscored items that is allowed.
        unscored: How many items were left out because an arm's answer could not be scored.
        pairs: The answers behind the rows, kept as evidence.

    Returns:
        The comparison, ``invalid`` with a reason where it may not be decided.
    """
    decision = _decide(suite, rows, gate) if rows else None
    reason = too_much_unscored(len(rows), unscored, gate)
    scored = [(base, tuned) for base, tuned, _ in rows]
    return _comparison(candidate, suite, pairs, scored, decision, reason=reason, unscored=unscored)


def compare_pairs(
    candidate: str,
    suite: Suite,
    pairs: tuple[Pair, ...],
    gate: Gate,
) -> Comparison:
    """Decide one suite from the two arms' answers; see `compare_scores`."""
    rows = [
        (*scores, pair.base.item.cluster)
        for pair in pairs
        if (scores := scores_of(pair)) is not None
    ]
    unscored = len(pairs) - len(rows)
    return compare_scores(candidate, suite, rows, gate, unscored=unscored, pairs=pairs)


def compare_early(
    candidate: str,
    suite: Suite,
    pairs: Sequence[Pair],
    schedule: stats.Schedule,
    gate: Gate,
) -> Comparison:
    """Decide one suite at the first look that can decide it; see `compare_pairs`.

    ``pairs`` are in the declared order; those after that look change nothing.
    """
    scores = [scores_of(pair) for pair in pairs]
    used = scores[: schedule.planned]
    decision = None
    if any(used):
        decision = decide_early(suite, used, schedule, gate)
        used = used[: decision.used]
    scored = [both for both in used if both is not None]
    unscored = len(used) - len(scored)
    reason = too_much_unscored(len(scored), unscored, gate)
    return _comparison(candidate, suite, pairs, scored, decision, reason=reason, unscored=unscored)


def _comparison(
    candidate: str,
    suite: Suite,
    pairs: Sequence[Pair],
    scored: Sequence[tuple[float, float]],
    decision: Decision | None,
    *,
    reason: str,
    unscored: int,
) -> Comparison:
    """Build a comparison whose decision rests on ``scored``; with a reason it is invalid."""
    return Comparison(
        candidate=candidate,
        suite=suite,
        pairs=tuple(pairs),
        decision=decision,
        verdict="invalid" if reason or decision is None else decision.verdict,
        p_adjusted=None if decision is None else decision.p_regression,
        base=sum(base for base, _ in scored) / len(scored) if scored else None,
        tuned=sum(tuned for _, tuned in scored) / len(scored) if scored else None,
        unscored=unscored,
        reason=reason and reason + _first_unscored(pairs),
    )


def _first_unscored(pairs: Sequence[Pair]) -> str:
    """Say why the first item without a score has none, where the engine knows; without its text."""
    samples = (sample for pair in pairs for sample in (pair.base, pair.tuned))
    reasons = (response.unscored for sample in samples for response in sample.responses)
    first = next(filter(None, reasons), "")
    return f" (the first: {first})" if first else ""


def decide_early(
    suite: Suite,
    scores: Iterable[stats.Scores],
    schedule: stats.Schedule,
    gate: Gate,
) -> stats.SequentialDecision:
    """Decide a suite from the scores of its items in order, consuming as few as possible."""
    oriented = (both and (suite.oriented(both[0]), suite.oriented(both[1])) for both in scores)
    decision = stats.decide_sequentially(
        oriented,
        planned=schedule.planned,
        looks=schedule.looks,
        clusters=schedule.clusters,
        family=schedule.family,
        margin=suite.margin,
        alpha=gate.alpha,
        beta=gate.beta,
        kind=suite.kind,
        tails=suite.tails,
        max_unscored=gate.max_unscored,
    )
    return as_measured(decision, suite)


def as_measured(decision: D, suite: Suite) -> D:
    """Return a decision on oriented scores with change and interval as the metric has them.

    Tests take a drop for a loss. Where lower is better they get oriented scores (`Suite.oriented`);
    labels and p-values stay, and a person reads ``tuned - base`` again.
    """
    if suite.higher_is_better:
        return decision
    low, high = 0.0 - decision.ci_high, 0.0 - decision.ci_low
    return replace(decision, delta=0.0 - decision.delta, ci_low=low, ci_high=high)


def scores_of(pair: Pair) -> stats.Scores:
    """Return both arms' scores of an item, None where one of them has none."""
    base, tuned = pair.base.verdict.score, pair.tuned.verdict.score
    return None if base is None or tuned is None else (base, tuned)


def too_much_unscored(scored: int, unscored: int, gate: Gate) -> str:
    """Return why nothing may be decided: too much is unscored; empty where it may."""
    total = scored + unscored
    if not scored:
        return f"none of {total} items could be scored for both arms"
    if unscored > gate.max_unscored * total:
        allowed = f"{gate.max_unscored:.0%}"
        return f"{unscored} of {total} items are unscored, more than the {allowed} allowed"
    return ""


def _decide(suite: Suite, rows: Sequence[tuple[float, float, str]], gate: Gate) -> Decision:
    base, tuned, clusters = zip(*rows, strict=True)
    decision = stats.decide(
        [suite.oriented(score) for score in base],
        [suite.oriented(score) for score in tuned],
        margin=suite.margin,
        alpha=gate.alpha,
        beta=gate.beta,
        clusters=stats.shared_clusters(clusters),
        kind=suite.kind,
        tails=suite.tails,
    )
    return as_measured(decision, suite)


def settle(comparisons: Sequence[Comparison], gate: Gate) -> tuple[Comparison, ...]:
    """Adjust one candidate's regressions for the number of suites (Holm 1979).

    "Any suite regressed" is a union of tests, so the false-alarm rate of the whole gate is kept at
    ``gate.alpha`` by Holm over the candidate's suites. A regression that does not survive becomes
    ``inconclusive``. "Nothing is worse" is an intersection-union and needs no correction.
    Where suites may be decided early, the correction is Bonferroni's: each suite's boundary was
    drawn with its share of ``alpha``, so that no suite's end depends on another's.
    """
    among = adjusted(comparisons)
    settled = []
    for comparison in comparisons:
        p = among.get((comparison.candidate, comparison.suite.name))
        verdict, reason = comparison.verdict, comparison.reason
        if p is not None and verdict == "fail" and p > gate.alpha:
            verdict = "inconclusive"
            moved = "drop" if comparison.suite.higher_is_better else "rise"
            reason = f"a {moved}, but not beyond chance among {len(among)} suites (p {p:.3f})"
        settled.append(replace(comparison, p_adjusted=p, verdict=verdict, reason=reason))
    return tuple(settled)


def require(
    comparison: Comparison, tuned: Sequence[Sample], keys: Collection[ItemKey]
) -> Comparison:
    """Fail a comparison in which the tuned model does not answer every must-pass item right.

    ``tuned`` are the candidate's samples of the suite, ``keys`` its must-pass items. One without a
    score makes the check invalid: it says nothing about the model.
    """
    wanted = [sample for sample in tuned if sample.item.key in keys]
    unscored = [s for s in wanted if s.verdict.outcome == "unscored"]
    wrong = [s for s in wanted if s.verdict.outcome not in ("correct", "unscored")]
    if not wrong and not unscored:
        return comparison
    if wrong and comparison.verdict != "invalid":
        reason = f"must-pass items failed: {_named(wrong)}"
        return replace(comparison, verdict="fail", reason=reason)
    why = comparison.reason or f"must-pass items have no score: {_named(unscored)}"
    return replace(comparison, verdict="invalid", reason=why)


def _named(samples: Sequence[Sample]) -> str:
    """Name the first few items by their row's id, else by their place in the data."""
    names = [item_name(sample.item) for sample in samples[:5]]
    more = len(samples) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def item_name(item: Item) -> str:
    """Return what a person calls an item, on one line: its row's id, else its place in the data."""
    name = str(item.doc.get("id") or f"doc {item.doc_id}")
    return clip(" ".join(visible(name).split()), 40)
