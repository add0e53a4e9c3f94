"""Which of the candidates to ship: what it gains and costs, how sure that is, and next to whom."""

from collections.abc import Sequence
from itertools import chain
from statistics import fmean
from typing import NamedTuple

from harness.analysis.beside import beside
from harness.analysis.decisions import settle
from harness.analysis.several_candidates import candidates_of, gravest
from harness.records import Comparison, Gate

SHOWN = 3
"""How many suites or candidates a sentence names."""


class Recommendation(NamedTuple):
    """What a run recommends: a candidate, or none; a sentence; and the comparisons behind it.

    ``to_confirm`` says that fresh items have to confirm the candidate before it ships.
    """

    candidate: str | None
    sentence: str
    rivals: tuple[Comparison, ...] = ()
    to_confirm: bool = False


def choose(comparisons: Sequence[Comparison], gate: Gate) -> Recommendation:
    """Choose which candidate to ship among those that pass.

    The best has the highest mean change over the target suites (without any, over all), in units
    of the margins. It was picked by the items that judge it: "no worse than the margin" still holds
    of it at rate ``beta`` where it holds at ``beta`` over the number of candidates on every suite
    (Bonferroni); else fresh items have to confirm it. The others that pass are compared with it
    item by item; `Comparison.reference` names it, and a ``fail`` there means that the other is
    worse beyond chance among all of these comparisons (Holm).

    Args:
        comparisons: Of all candidates, each settled among its own candidate's suites.
        gate: The error rates.
    """
    names = candidates_of(comparisons)
    by_name = {name: [c for c in comparisons if c.candidate == name] for name in names}
    passing = {name: found for name, found in by_name.items() if gravest(found) == "pass"}
    if not passing:
        return Recommendation(None, _none_can(by_name) if names else "")
    best = max(passing, key=lambda name: _mean_change(_deciding(passing[name])))
    others = {name: found for name, found in passing.items() if name != best}
    rivals = _rivals(passing[best], others, gate)
    open_on = _open_when_chosen(passing[best], gate.beta / len(names)) if len(names) > 1 else []
    said = [
        _gains(best, passing[best], is_sure=not open_on),
        _costs(passing[best]),
        *([_chosen(open_on, names, gate.beta)] if len(names) > 1 else []),
        *([_beside(rivals, others)] if others else []),
    ]
    return Recommendation(best, ". ".join(said), rivals, to_confirm=bool(open_on))


def gainless(comparisons: Sequence[Comparison]) -> str:
    """Word that a candidate improved on no target suite, or nowhere at all; empty where it did."""
    better = [c for c in comparisons if c.decision and c.decision.label == "improved"]
    if any(c in better for c in _deciding(comparisons)):
        return ""
    return "gains nothing that shows" + (" on what it is tuned for" if better else "")


def _deciding(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons on target suites; without any, all."""
    return [c for c in comparisons if c.suite.target] or list(comparisons)


def _mean_change(comparisons: Sequence[Comparison]) -> float:
    changes = [
        c.suite.gain(c.decision.delta) / c.decision.margin for c in comparisons if c.decision
    ]
    return fmean(changes) if changes else 0.0


def _rivals(
    best: Sequence[Comparison], others: dict[str, list[Comparison]], gate: Gate
) -> tuple[Comparison, ...]:
    """Compare every other candidate that passes with the best, on the items that both answered."""
    found = [beside(best, theirs, gate) for theirs in others.values()]
    return settle(list(chain.from_iterable(found)), gate)


def _gains(name: str, comparisons: Sequence[Comparison], *, is_sure: bool) -> str:
    """Say what shipping it brings: every target suite, or the largest gains."""
    wanted = [c for c in comparisons if c.suite.target]
    shown = wanted or sorted(
        (c for c in comparisons if c.decision and c.decision.label == "improved"),
        key=lambda c: _mean_change([c]),
        reverse=True,
    )
    if not shown:
        return f"{name} can ship, but gains nothing that shows"
    first, *rest = shown[:SHOWN]
    parts = ", ".join([_change(first, unit=" points"), *map(_change, rest)])
    if gainless(comparisons):
        return f"{name} can ship, but gains nothing that shows on what it is tuned for: {parts}"
    verb = f"Ship {name}" if is_sure else f"Confirm {name} on fresh items, then ship it"
    return f"{verb}: {parts}{_more(len(shown) - SHOWN)}"


def _costs(comparisons: Sequence[Comparison]) -> str:
    """Say what is lost for certain, else how much could be."""
    lost = [c for c in comparisons if c.decision and c.decision.label == "regressed_within_margin"]
    if lost:
        return f"It costs {', '.join(map(_change, lost[:SHOWN]))}{_more(len(lost) - SHOWN)}"
    rest = [c for c in comparisons if c.decision and c.decision.label != "improved"]
    if not rest:
        return "Nothing is lost"
    worst = min(rest, key=_worst_case)
    allowed = f", within its margin of {100 * worst.decision.margin:g}" if worst.decision else ""
    return f"No loss shows elsewhere; least sure is {_change(worst)}{allowed}"


def _worst_case(comparison: Comparison) -> float:
    decision = comparison.decision
    if decision is None:
        return 0.0
    return min(map(comparison.suite.gain, (decision.ci_low, decision.ci_high)))


def _open_when_chosen(comparisons: Sequence[Comparison], most: float) -> list[str]:
    """Return the suites on which "no worse than the margin" does not hold at a stricter rate."""
    return [c.suite.heading for c in comparisons if c.decision and c.decision.p_non_inferior > most]


def _chosen(open_on: Sequence[str], names: Sequence[str], beta: float) -> str:
    """Say whether it passes for having been chosen, too."""
    level = f"at the stricter level (beta {beta:g} / {len(names)})"
    if not open_on:
        return (
            f"It is the best of {len(names)} candidates, and passes {level} that allows for having "
            "been picked by these items"
        )
    return (
        f"It is the best of {len(names)} candidates on the items that chose it, and does not pass "
        f"{level} that allows for that ({', '.join(open_on)}): confirm it on fresh items before it "
        "ships"
    )


def _beside(rivals: Sequence[Comparison], others: dict[str, list[Comparison]]) -> str:
    """Say whether the runner-up is told apart from it."""
    runner_up = max(others, key=lambda name: _mean_change(_deciding(others[name])))
    found = [c for c in rivals if c.candidate == runner_up and c.decision]
    worse = [c for c in _deciding(found) if c.verdict == "fail"]
    better = [c for c in found if c.decision and c.decision.label == "improved"]
    but = f", which is better on {', '.join(map(_change, better[:SHOWN]))}" if better else ""
    if not found:
        return f"The next is {runner_up}; the two were not compared item by item"
    if worse:
        return f"The next, {runner_up}, is worse on {', '.join(map(_change, worse[:SHOWN]))}{but}"
    shown = ", ".join(map(_change, _deciding(found)[:SHOWN]))
    return f"{runner_up} is not told apart from it ({shown}){but}"


def _none_can(by_name: dict[str, list[Comparison]]) -> str:
    """Say why no candidate can be recommended."""
    said: list[tuple[str, str]] = []
    for name, comparisons in list(by_name.items())[:SHOWN]:
        broke = [c for c in comparisons if c.verdict == "fail" and not c.reason]
        short = [c for c in comparisons if c.verdict == "fail" and c.reason]
        rest = [c for c in comparisons if c.verdict in ("invalid", "inconclusive")]
        parts = []
        if broke:
            parts.append(f"broke {', '.join(map(_change, broke[:SHOWN]))}")
        parts += [f"falls short on {c.suite.heading}: {c.reason}" for c in short[:SHOWN]]
        if rest:
            undecided = ", ".join(map(_undecided, rest[:SHOWN]))
            parts.append(f"is not decided on {undecided}{_more(len(rest) - SHOWN)}")
        said.append((name, " and ".join(parts)))
    yet = " yet" if all(gravest(found) == "inconclusive" for found in by_name.values()) else ""
    if len(by_name) == 1:
        return f"Do not ship {said[0][0]}{yet}: it {said[0][1]}"
    reasons = "; ".join(f"{name} {why}" for name, why in said)
    return f"Ship none of {len(by_name)} candidates{yet}: {reasons}{_more(len(by_name) - SHOWN)}"


def _undecided(comparison: Comparison) -> str:
    """Name a suite that is not decided, and how many items would decide it where that is known."""
    needed = comparison.decision.items_needed if comparison.decision else None
    heading = comparison.suite.heading
    return f"{heading} (about {needed:,} items would decide)" if needed else heading


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _change(comparison: Comparison, unit: str = "") -> str:
    """Word a change: title, points, interval."""
    decision = comparison.decision
    if decision is None:
        return comparison.suite.heading
    ends = f"{_points(decision.ci_low)} to {_points(decision.ci_high)}"
    return f"{comparison.suite.heading} {_points(decision.delta)}{unit} ({ends})"


def _points(change: float) -> str:
    """Format a change in points, with a true minus sign."""
    return f"{100.0 * change:+.1f}".replace("-", "−")
