"""One section per comparison: what moved, why answers are wrong, which groups differ."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup

from harness.analysis import TRANSITIONS, answer_text, plain, target_text
from harness.analysis.diverse import diverse_losses
from harness.display_text import clip, visible
from harness.records import Comparison, Finding, Pair, Result
from harness.report import charts
from harness.report.headline import Check, check
from harness.report.item_browser import item_id
from harness.report.without_texts import LEFT_OUT
from harness.report.wording import TRANSITION_WORDS, early, percent, precise

EXAMPLES = 3
"""Lost items shown in full within a section; the item browser has all."""

SHOWN_CAUSES = 10
SHOWN_SLICES = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """How many items made one transition."""

    name: str
    words: str
    count: int
    share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One error label: how often before and after."""

    label: str
    words: str
    base: int
    tuned: int
    change: str
    extent: str
    is_clear: bool
    chart: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One group of items: how its score changed; ``link`` opens them in the item browser."""

    name: str
    items: int
    scores: str
    change: str
    extent: str
    verdict: str
    chart: Markup
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LostItem:
    """One item that was right before and is wrong now."""

    id: str
    prompt: str
    target: str
    base: str
    tuned: str
    labels: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonDetails:
    """Everything about one comparison that is not a single item.

    ``small_slices`` are too small for an interval: name, counts in words, link to the items.
    """

    check: Check
    moves: tuple[Move, ...]
    small_slices: tuple[tuple[str, str, str], ...]
    bar: Markup
    causes: tuple[Cause, ...]
    more_causes: int
    slices: tuple[Slice, ...]
    more_slices: int
    slice_scale: Markup
    warnings: tuple[Finding, ...]
    examples: tuple[LostItem, ...]
    method: str
    notes: tuple[str, ...]


def sections(result: Result) -> tuple[ComparisonDetails, ...]:
    """Build the section of every comparison."""
    return tuple(_section(comparison, result) for comparison in result.comparisons)


def transition_counts(comparison: Comparison) -> Counter[str]:
    """Count the transitions of one comparison."""
    return Counter(pair.transition for pair in comparison.pairs)


def _section(comparison: Comparison, result: Result) -> ComparisonDetails:
    mine = [
        finding
        for finding in result.findings
        if (finding.candidate, finding.suite) == (comparison.candidate, comparison.suite.name)
    ]
    causes = [finding for finding in mine if finding.kind == "cause"]
    found = [finding for finding in mine if finding.kind == "slice"]
    groups = [finding for finding in found if finding.delta is not None]
    small = [finding for finding in found if finding.delta is None]
    counts = transition_counts(comparison)
    axis = _slice_axis(groups)
    decision = comparison.decision
    return ComparisonDetails(
        check=check(comparison),
        moves=_moves(counts, len(comparison.pairs)),
        small_slices=tuple(
            (
                visible(f.title),
                f"{f.base_count} → {f.tuned_count} of {f.total} right",
                _slice_link(f),
            )
            for f in small
        ),
        bar=_bar(counts),
        causes=_causes(causes[:SHOWN_CAUSES]),
        more_causes=max(0, len(causes) - SHOWN_CAUSES),
        slices=tuple(_slice(finding, comparison, axis) for finding in _extremes(groups)),
        more_slices=max(0, len(groups) - SHOWN_SLICES),
        slice_scale=charts.scale(axis),
        warnings=tuple(finding for finding in mine if finding.kind == "warning"),
        examples=_examples(comparison),
        method=decision.method + early(comparison) if decision else "",
        notes=decision.notes if decision else (),
    )


def _moves(counts: Counter[str], total: int) -> tuple[Move, ...]:
    return tuple(
        Move(
            name=name,
            words=TRANSITION_WORDS[name],
            count=counts[name],
            share=percent(counts[name] / total) if total else "–",
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
            change=precise(f.delta or 0.0),
            extent=_extent(f),
            is_clear=not (f.ci_low or 0.0) <= 0.0 <= (f.ci_high or 0.0),
            chart=charts.twin(f.base_count, f.tuned_count, most, f.text),
        )
        for f in findings
    )


def _extremes(findings: list[Finding]) -> list[Finding]:
    """Keep both ends of a long list that runs from the largest loss to the largest gain."""
    if len(findings) <= SHOWN_SLICES:
        return findings
    half = SHOWN_SLICES // 2
    return findings[:half] + findings[-half:]


def _slice_axis(findings: Sequence[Finding]) -> charts.Axis:
    ends = [end for f in _extremes(list(findings)) for end in (f.ci_low, f.ci_high)]
    return charts.span([end for end in ends if end is not None])


def _slice(finding: Finding, comparison: Comparison, axis: charts.Axis) -> Slice:
    overall = comparison.decision.delta if comparison.decision else None
    low, high = finding.ci_low or 0.0, finding.ci_high or 0.0
    verdict, tone = "", "even"
    if overall is not None and not low <= overall <= high:
        is_better = comparison.suite.gain(low - overall) > 0
        verdict = "better than the rest" if is_better else "worse than the rest"
        tone = "good" if is_better else "bad"
    chart = charts.interval(
        axis, finding.delta or 0.0, (low, high), css=tone, margin=None, words=finding.text
    )
    shares = (finding.base_count / finding.total, finding.tuned_count / finding.total)
    return Slice(
        name=visible(finding.title),
        items=finding.total,
        scores=f"{percent(shares[0])} → {percent(shares[1])}",
        change=precise(finding.delta or 0.0),
        extent=_extent(finding),
        verdict=verdict,
        chart=chart,
        link=_slice_link(finding),
    )


def _slice_link(finding: Finding) -> str:
    """Return the address of a group's items in the item browser."""
    group = finding.title.replace(" = ", ": ", 1)
    wanted = {"candidate": finding.candidate, "suite": finding.suite, "slice": visible(group)}
    return "#" + urlencode(wanted)


def _extent(finding: Finding) -> str:
    if finding.ci_low is None or finding.ci_high is None:
        return ""
    return f"{precise(finding.ci_low)} to {precise(finding.ci_high)}"


def _examples(comparison: Comparison) -> tuple[LostItem, ...]:
    shown = diverse_losses(comparison, EXAMPLES)
    return tuple(_example(pair) for pair in shown if pair.base.item.prompt != LEFT_OUT)


def _example(pair: Pair) -> LostItem:
    verdict = pair.tuned.verdict
    return LostItem(
        id=item_id(pair.base.item.key),
        prompt=clip(visible(pair.base.item.prompt), 1200),
        target=clip(visible(target_text(pair.base.item)), 600),
        base=clip(visible(answer_text(pair.base)), 600),
        tuned=clip(visible(answer_text(pair.tuned)), 600),
        labels=", ".join(plain(label) for label in verdict.labels),
        explanation=clip(visible(verdict.explanation), 300),
    )
