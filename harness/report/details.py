"""One section per comparison: what moved, why answers are wrong, which groups differ."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from harness.analysis import (
    TRANSITIONS,
    asked_and_said,
    plain,
    shown_text,
    target_text,
    thought_text,
)
from harness.analysis.diverse import diverse_losses
from harness.display_text import clip, visible
from harness.records import Comparison, Finding, Pair, Result
from harness.report import charts
from harness.report.choice_view import ChoiceView, choice_view
from harness.report.groups_view import GroupsView, extent, groups_view
from harness.report.headline import Check, check
from harness.report.item_browser import item_id, question
from harness.report.item_links import cause_link, items_link, warning_links
from harness.report.label_view import LabelView, label_view
from harness.report.standouts import form_words
from harness.report.without_texts import LEFT_OUT
from harness.report.wording import TRANSITION_WORDS, early, percent, precise

EXAMPLES = 3
"""Lost items shown in full within a section; the item browser has all."""

SHOWN_CAUSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """How many items made one transition."""

    name: str
    words: str
    count: int
    share: str
    link: str


class Counted(NamedTuple):
    """How many items, in words, and the address of exactly these."""

    words: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One error label: how often before and after, and what the change did to it."""

    label: str
    words: str
    base: int
    tuned: int
    link: str
    base_link: str
    tuned_link: str
    left: tuple[Counted, ...]
    entered: tuple[Counted, ...]
    change: str
    extent: str
    is_clear: bool
    chart: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class LostItem:
    """One item that was right before and is wrong now.

    ``prompt`` is the whole of what was asked, empty where that is no more than its question, and
    of a dialogue, which the answers show. ``target`` is empty where no one answer is wanted.
    """

    id: str
    question: str
    prompt: str
    target: str
    base: str
    tuned: str
    labels: str
    explanation: str
    base_thought: str = ""
    tuned_thought: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonDetails:
    """Everything about one comparison that is not a single item."""

    check: Check
    moves: tuple[Move, ...]
    bar: Markup
    causes: tuple[Cause, ...]
    more_causes: int
    groups: GroupsView
    form: str
    choices: ChoiceView | None
    named: LabelView | None
    warnings: tuple[tuple[Finding, tuple[str, str]], ...]
    examples: tuple[LostItem, ...]
    method: str
    notes: tuple[str, ...]


def sections(result: Result) -> tuple[ComparisonDetails, ...]:
    """Build the section of every comparison."""
    return tuple(_section(comparison, result) for comparison in result.comparisons)


def transition_counts(comparison: Comparison) -> Counter[str]:
    """Count the transitions of one comparison."""
    return Counter(comparison.counts)


def _section(comparison: Comparison, result: Result) -> ComparisonDetails:
    mine = [
        finding
        for finding in result.findings
        if (finding.candidate, finding.suite) == (comparison.candidate, comparison.suite.name)
    ]
    causes = [finding for finding in mine if finding.kind == "cause"]
    counts = transition_counts(comparison)
    decision = comparison.decision
    return ComparisonDetails(
        check=check(comparison),
        moves=_moves(counts, comparison),
        bar=_bar(counts),
        causes=_causes(causes[:SHOWN_CAUSES]),
        more_causes=max(0, len(causes) - SHOWN_CAUSES),
        groups=groups_view(comparison, mine),
        form=form_words(comparison),
        choices=choice_view(comparison),
        named=label_view(comparison),
        warnings=tuple((f, warning_links(f)) for f in mine if f.kind == "warning"),
        examples=_examples(comparison),
        method=decision.method + early(comparison) if decision else "",
        notes=decision.notes if decision else (),
    )


def _moves(counts: Counter[str], comparison: Comparison) -> tuple[Move, ...]:
    total = comparison.items
    return tuple(
        Move(
            name=name,
            words=TRANSITION_WORDS[name],
            count=counts[name],
            share=percent(counts[name] / total) if total else "–",
            link=items_link(comparison.candidate, comparison.suite.name, show=name),
        )
        for name in TRANSITIONS
        if counts[name] or name != "unscored"
    )


def _bar(counts: Counter[str]) -> Markup:
    order = ("both_right", "gained", "lost", "both_wrong", "unscored")
    parts = [charts.Part(counts[name], name, TRANSITION_WORDS[name]) for name in order]
    return charts.stacked(parts, ", ".join(f"{part.name}: {part.items}" for part in parts))


def _causes(findings: Sequence[Finding]) -> tuple[Cause, ...]:
    most = max((max(f.base_count, f.tuned_count) for f in findings), default=1)
    return tuple(
        Cause(
            label=f.title,
            words=plain(f.title),
            base=f.base_count,
            tuned=f.tuned_count,
            link=cause_link(f),
            base_link=cause_link(f, "base"),
            tuned_link=cause_link(f, "tuned"),
            left=_counted(
                (f.left, cause_link(f, "base-alone")),
                (f.mended, cause_link(f, "base", "gained")),
                "right now",
            ),
            entered=_counted(
                (f.entered, cause_link(f, "tuned-alone")),
                (f.broken, cause_link(f, "tuned", "lost")),
                "right before",
            ),
            change=precise(f.delta or 0.0),
            extent=extent(f),
            is_clear=not (f.ci_low or 0.0) <= 0.0 <= (f.ci_high or 0.0),
            chart=charts.twin(f.base_count, f.tuned_count, most, f.text),
        )
        for f in findings
    )


def _counted(all_: tuple[int, str], some: tuple[int, str], what: str) -> tuple[Counted, ...]:
    """Word a number of items, and how many of them are of some kind; empty where there is none."""
    if not all_[0]:
        return ()
    counted = [Counted(f"{all_[0]:,}", all_[1])]
    if some[0]:
        share = "all" if some[0] == all_[0] else f"{some[0]:,}"
        counted.append(Counted(f"{share} {what}", some[1]))
    return tuple(counted)


def _examples(comparison: Comparison) -> tuple[LostItem, ...]:
    shown = diverse_losses(comparison, EXAMPLES)
    return tuple(_example(pair) for pair in shown if pair.base.item.prompt != LEFT_OUT)


def _example(pair: Pair) -> LostItem:
    verdict, item = pair.tuned.verdict, pair.base.item
    turn = asked_and_said((pair.base, pair.tuned))
    asked = clip(visible(turn[0]) if turn else question(item), 600)
    prompt = clip(visible(item.prompt), 6000)
    return LostItem(
        id=item_id(item.key),
        question=asked,
        prompt="" if turn or " ".join(prompt.split()) == asked else prompt,
        target=clip(visible(target_text(item)), 600),
        base=clip(visible(shown_text(pair.base)), 600),
        tuned=clip(visible(shown_text(pair.tuned)), 600),
        labels=", ".join(plain(label) for label in verdict.labels),
        explanation=clip(visible(verdict.explanation), 300),
        base_thought=clip(visible(thought_text(pair.base)), 2000),
        tuned_thought=clip(visible(thought_text(pair.tuned)), 2000),
    )
