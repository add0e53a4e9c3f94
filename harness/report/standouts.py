"""What a card says of a candidate beside its scores: form, what stands out, how training went."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.analysis import plain
from harness.analysis.form import form_shares
from harness.analysis.training_signs import training_signs
from harness.display_text import visible
from harness.records import Arm, Comparison, Finding, Result
from harness.report.groups_view import group_link
from harness.report.item_links import cause_link
from harness.report.wording import between, percent, precise, title_of

MOST_SAID = 4
"""Sentences of a card on what stands out."""

NOTABLE = 0.03
"""Rise of a cause's share that a card mentions, where it is clear, too."""

SAYS_NOTHING = frozenset({"wrong_answer", "wrong_choice", "forgot", "unlabelled"})
"""Causes that say no more than that an answer is wrong."""

LEAST_LOST = 5
"""Items that a group too small for an interval has to have lost, most of them, to be mentioned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standout:
    """One sentence of a card, and what it links to."""

    words: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a card says beside the scores: form by suite, what stands out, how training went."""

    forms: tuple[tuple[str, str], ...]
    standouts: tuple[Standout, ...]
    training: tuple[str, ...]


def beside(result: Result) -> dict[str, Beside]:
    """Gather, for every candidate, what its card says beside its scores."""
    arms = {arm.name: arm for arm in result.arms}
    found: dict[str, list[Comparison]] = {}
    for comparison in result.comparisons:
        found.setdefault(comparison.candidate, []).append(comparison)
    return {name: _beside(mine, arms.get(name), result) for name, mine in found.items()}


def form_words(comparison: Comparison) -> str:
    """Say how many answers had the form asked for, before and after; empty where all always do."""
    shares = form_shares(comparison)
    if shares is None or shares.base == shares.tuned == shares.total:
        return ""
    base, tuned = shares.base / shares.total, shares.tuned / shares.total
    return (
        f"{percent(base)} → {percent(tuned)} ({precise(shares.delta)}, "
        f"{between(shares.ci_low, shares.ci_high)})"
    )


def _beside(comparisons: Sequence[Comparison], arm: Arm | None, result: Result) -> Beside:
    titles = {comparison.suite.name: title_of(comparison) for comparison in comparisons}
    shown = [(title_of(c), words) for c in comparisons if (words := form_words(c))]
    mine = [f for f in result.findings if f.candidate == comparisons[0].candidate]
    ranked = [entry for c in comparisons for entry in _said(c, mine, titles[c.suite.name])]
    ranked.sort(key=lambda entry: -entry[0])
    return Beside(
        forms=tuple(shown),
        standouts=tuple(standout for _, standout in ranked[:MOST_SAID]),
        training=training_signs(arm) if arm else (),
    )


def _said(
    comparison: Comparison, findings: Sequence[Finding], title: str
) -> Iterator[tuple[float, Standout]]:
    """Yield what stands out for the worse in one comparison, with the share of items as weight."""
    mine = [finding for finding in findings if finding.suite == comparison.suite.name]
    total = max(1, len(comparison.pairs))
    lost_share = comparison.counts.get("lost", 0) / max(1, comparison.items)
    alpha = comparison.decision.alpha if comparison.decision else 0.05
    for finding in mine:
        here, there = finding.delta or 0.0, finding.elsewhere or 0.0
        apart = comparison.suite.gain(here - there)
        if finding.kind == "stands_out" and (finding.p or 0.0) <= alpha and apart < 0:
            words = (
                f"{title}, {visible(finding.title)}: {precise(here)} points on {finding.total:,} "
                f"items, {precise(there)} on all others"
            )
            yield -apart * finding.total / total, Standout(words=words, link=group_link(finding))
        if finding.kind == "slice" and finding.delta is None and _is_lost(finding, lost_share):
            words = (
                f"{title}, {visible(finding.title)}: {finding.base_count} of {finding.total} right "
                f"before, {finding.tuned_count} now"
            )
            lost = finding.base_count - finding.tuned_count
            yield lost / total, Standout(words=words, link=group_link(finding))
        rise = (finding.tuned_count - finding.base_count) / total
        is_clear = (finding.ci_low or 0.0) > 0 and rise >= NOTABLE
        if finding.kind == "cause" and is_clear and finding.title not in SAYS_NOTHING:
            words = (
                f"{title}: {plain(finding.title)}, {finding.base_count:,} → "
                f"{finding.tuned_count:,} items"
            )
            new = finding.entered - finding.broken
            link = cause_link(finding, "tuned")
            yield (finding.broken + new / 4) / total, Standout(words=words, link=link)


def _is_lost(finding: Finding, share: float) -> bool:
    """Say whether a small group lost most of its items, and more of them than all items did."""
    lost = finding.base_count - finding.tuned_count
    return lost >= LEAST_LOST and lost >= 0.75 * finding.total and lost > share * finding.total
