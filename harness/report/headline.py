"""The first ten seconds: what improved, what broke, and how sure that is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.several_candidates import candidates_of, gravest
from harness.analysis.shipping import gainless
from harness.records import Arm, Comparison, GateVerdict, Result
from harness.report.costs_view import cost_lines
from harness.report.wording import (
    LABEL_SYMBOLS,
    LABEL_WORDS,
    VERDICT_PHRASES,
    VERDICT_PLURALS,
    VERDICT_SYMBOLS,
    VERDICT_WORDS,
    check_sentence,
    needed,
    percent,
    precise,
    short_clause,
    signed,
    sureness,
    title_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One suite of one candidate, ready to be read.

    ``tone`` is ``good``, ``bad``, ``even``, ``open`` or ``void``: the class that colours it.
    """

    comparison: Comparison
    anchor: str
    tone: str
    symbol: str
    title: str
    change: str
    extent: str
    words: str
    label: str
    sure: str
    scores: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One candidate: its decision in words, its checks, the worst first, and what it costs.

    ``gainless`` words that it improved on nothing, and is empty where it did; ``to_confirm`` says
    that fresh items have to confirm it before it ships.
    """

    name: str
    arm: Arm | None
    verdict: GateVerdict
    symbol: str
    words: str
    gainless: str
    to_confirm: bool
    groups: tuple[tuple[str, tuple[Check, ...]], ...]
    sentence: str
    costs: tuple[str, ...]


CONFIRM = "confirm it on fresh items before it ships"
"""What is said of the best of several that does not pass for having been chosen, too."""

NAMED_SINGLY = 3
"""Candidates that the headline gives a clause each."""

_GROUPS = {
    "bad": "Broke",
    "void": "Cannot be judged",
    "open": "Undecided",
    "good": "Better",
    "even": "Held",
}
SHORT = "Falls short"
_TITLES = ("Broke", SHORT, *list(_GROUPS.values())[1:])


def cards(result: Result) -> tuple[Card, ...]:
    """Build one card per candidate, in the order of the study."""
    arms = {arm.name: arm for arm in result.arms}
    return tuple(_card(name, arms.get(name), result) for name in candidates_of(result.comparisons))


def anchor(candidate: str, suite: str) -> str:
    """Return the id of a comparison's section, made of characters that need no escaping.

    >>> anchor("mixed", "sql")
    'mixed--sql'
    """
    return re.sub(r"[^\w.-]", "_", f"{candidate}--{suite}", flags=re.ASCII)


def tone(comparison: Comparison) -> str:
    """Return the class that colours a check.

    What only fails before Holm's correction is open, not bad.
    """
    if comparison.decision is None or comparison.verdict == "invalid":
        return "void"
    if comparison.verdict != "pass":
        return "bad" if comparison.verdict == "fail" else "open"
    return "good" if comparison.decision.label == "improved" else "even"


def lede(result: Result) -> str:
    """Summarise the run in one sentence; of many candidates only the best is named."""
    found = cards(result)
    if not found:
        return "Nothing was compared."
    if len(found) <= NAMED_SINGLY:
        return "; ".join(map(_clause, found)) + _run(result)
    best = [
        f"{card.name} is the best that passes" + (f": {CONFIRM}" if card.to_confirm else "")
        for card in found
        if card.name == result.recommended
    ]
    counted = [_count(verdict, found) for verdict in VERDICT_PHRASES]
    return "; ".join([*best, *filter(None, counted)]) + _run(result)


def _count(verdict: GateVerdict, found: Sequence[Card]) -> str:
    """Say how many candidates have a verdict; empty where none has.

    Those that pass do not all ship: some gain nothing, or have yet to be confirmed.
    """
    named = [card for card in found if card.verdict == verdict]
    many = f"{len(named)} of {len(found)}"
    if not named:
        return ""
    without = sorted(card.gainless for card in named if card.gainless and verdict == "pass")
    if not without and not any(card.to_confirm for card in named):
        return f"{many} {(VERDICT_PHRASES if len(named) == 1 else VERDICT_PLURALS)[verdict]}"
    said = f"{many} {'passes' if len(named) == 1 else 'pass'} the gate"
    if not without:
        return said
    what = without[0].removeprefix("gains ")
    if len(without) == len(named):
        return f"{said} and {'gains' if len(named) == 1 else 'gain'} {what}"
    return f"{said}, {len(without)} of them {'gains' if len(without) == 1 else 'gain'} {what}"


def _run(result: Result) -> str:
    """End the headline, with the run's own verdict where it is not that of its candidates."""
    return f"; the run {VERDICT_PHRASES[result.verdict]}." if result.reason else "."


def _clause(card: Card) -> str:
    broken = [check.title for group, checks in card.groups if group == "Broke" for check in checks]
    short = [check.title for group, checks in card.groups if group == SHORT for check in checks]
    if card.verdict == "pass" and card.gainless:
        return f"{card.name} passes the gate and {card.gainless}"
    if card.to_confirm:
        return f"{card.name} passes: {CONFIRM}"
    said = f"{card.name} {VERDICT_PHRASES[card.verdict]}"
    if broken and card.verdict == "invalid":
        void = [c.title for _, checks in card.groups for c in checks if c.tone == "void"]
        return f"{card.name} broke {_listed(broken)} and cannot be judged on {_listed(void)}"
    if short and not broken:
        return f"{said}: it falls short on {' and '.join(short[:3])}"
    return f"{said}: it broke {_listed(broken)}" if broken else said


def _listed(titles: Sequence[str]) -> str:
    return f"{len(titles)} suites" if len(titles) > NAMED_SINGLY else " and ".join(titles)


def _card(name: str, arm: Arm | None, result: Result) -> Card:
    comparisons = [c for c in result.comparisons if c.candidate == name]
    verdict, words = gravest(comparisons), status(name, result)
    checks = [check(comparison) for comparison in comparisons]
    grouped = {title: [c for c in checks if _group(c) == title] for title in _TITLES}
    groups = tuple((title, tuple(found)) for title, found in grouped.items() if found)
    return Card(
        name=name,
        arm=arm,
        verdict=verdict,
        symbol=VERDICT_SYMBOLS[verdict],
        words=words,
        gainless=gainless(comparisons),
        to_confirm=result.to_confirm and name == result.recommended,
        groups=groups,
        sentence=_sentence(name, words, comparisons),
        costs=cost_lines(result, name),
    )


def status(name: str, result: Result) -> str:
    """Word a candidate's verdict as the recommendation does.

    One that passes and improved on nothing, or that is to be confirmed, is not said to ship.
    """
    comparisons = [c for c in result.comparisons if c.candidate == name]
    verdict = gravest(comparisons)
    if verdict == "pass" and (none := gainless(comparisons)):
        return f"passes, {none}"
    if result.to_confirm and name == result.recommended:
        return "passes, to be confirmed"
    return VERDICT_WORDS[verdict]


def _group(check: Check) -> str:
    """Return under which title a check stands; a failed must-pass item or goal broke nothing."""
    if check.tone == "bad" and check.comparison.reason:
        return SHORT
    return _GROUPS[check.tone]


def check(comparison: Comparison) -> Check:
    """Put one comparison into words."""
    decision, colour = comparison.decision, tone(comparison)
    words, symbol = _words(comparison, colour)
    change, extent = "–", ""
    if decision is not None:
        change = signed(decision.delta)
        extent = f"{precise(decision.ci_low)} to {precise(decision.ci_high)}"
    return Check(
        comparison=comparison,
        anchor=anchor(comparison.candidate, comparison.suite.name),
        tone=colour,
        symbol=symbol,
        title=title_of(comparison),
        change=change,
        extent=extent,
        words=words,
        label=decision.label if decision else comparison.verdict,
        sure=_sure(comparison, colour),
        scores=_scores(comparison),
    )


def _scores(comparison: Comparison) -> str:
    """Word both scores; empty where there are none."""
    if comparison.base is None and comparison.tuned is None:
        return ""
    return f"{percent(comparison.base)} → {percent(comparison.tuned)}"


def _words(comparison: Comparison, colour: str) -> tuple[str, str]:
    """Return what became of a check, and the symbol for it."""
    decision = comparison.decision
    if decision is None or colour == "void":
        return comparison.reason or "cannot be judged", "!"
    if colour == "open":
        return comparison.reason or "undecided" + needed(decision), "?"
    if colour == "bad" and comparison.reason:
        return comparison.reason, LABEL_SYMBOLS["regressed"]
    return LABEL_WORDS[decision.label], LABEL_SYMBOLS[decision.label]


def _sure(comparison: Comparison, colour: str) -> str:
    """Word how sure a loss (after Holm) or a gain is; nothing else needs more than its interval."""
    decision = comparison.decision
    if decision is None or colour not in ("bad", "good") or comparison.reason:
        return ""
    if colour == "good":
        return sureness(1 - decision.p_regression)
    adjusted = comparison.p_adjusted
    return sureness(decision.p_regression if adjusted is None else adjusted)


def _sentence(name: str, words: str, comparisons: Sequence[Comparison]) -> str:
    by_tone = {wanted: [c for c in comparisons if tone(c) == wanted] for wanted in _GROUPS}
    loud = [check_sentence(c) for wanted in ("bad", "void", "open") for c in by_tone[wanted]]
    quiet = [short_clause(c) for wanted in ("good", "even") for c in by_tone[wanted]]
    said = [part for part in ("; ".join(loud), ", ".join(quiet)) if part]
    return f"{name}: {words}. " + " · ".join(said)
