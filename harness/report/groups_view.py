"""Groups of items for people: which moved apart from the rest, how each moved, what was lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup

from harness.analysis import named
from harness.display_text import clip, visible
from harness.records import Comparison, Finding
from harness.report import charts
from harness.report.item_browser import item_id, question
from harness.report.item_links import items_link
from harness.report.wording import percent, precise

SHOWN_SLICES = 14
"""Groups that are shown at once: those that lost most, and those that gained most."""


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
class ApartRow:
    """A group whose change is not that of the rest, and how sure that is."""

    name: str
    link: str
    moved: str
    items: int
    change: str
    elsewhere: str
    tone: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThemeRow:
    """What some lost items have in common; ``typical`` is the id of one of them."""

    terms: str
    link: str
    words: str
    question: str
    typical: str


class SmallGroup(NamedTuple):
    """A group too small for an interval: how many are right before and now, each with its link."""

    name: str
    link: str
    base: tuple[int, str]
    tuned: tuple[int, str]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsView:
    """All groups of one comparison.

    ``small_slices`` have no interval, those that lost most first. ``slices`` lost or gained most of
    the others, ``more_slices`` are between.
    """

    slices: tuple[Slice, ...]
    more_slices: tuple[Slice, ...]
    small_slices: tuple[SmallGroup, ...]
    apart: tuple[ApartRow, ...]
    themes: tuple[ThemeRow, ...]
    scale: Markup


def groups_view(comparison: Comparison, findings: Sequence[Finding]) -> GroupsView:
    """Put a comparison's findings on groups into tables."""
    found = [finding for finding in findings if finding.kind == "slice"]
    groups = [finding for finding in found if finding.delta is not None]
    ends = _extremes(groups)
    axis = _slice_axis(groups)
    return GroupsView(
        slices=tuple(_slice(f, comparison, axis) for f in ends),
        more_slices=tuple(_slice(f, comparison, axis) for f in groups if f not in ends),
        small_slices=tuple(
            SmallGroup(
                name=visible(f.title),
                link=group_link(f),
                base=(f.base_count, group_link(f, show="right-before")),
                tuned=(f.tuned_count, group_link(f, show="right-now")),
                total=f.total,
            )
            for f in found
            if f.delta is None
        ),
        apart=tuple(_apart(f, comparison) for f in findings if f.kind == "stands_out"),
        themes=_themes([f for f in findings if f.kind == "theme"], comparison),
        scale=charts.scale(axis),
    )


def _extremes(findings: list[Finding]) -> list[Finding]:
    """Keep both ends of a long list that runs from the largest loss to the largest gain."""
    if len(findings) <= SHOWN_SLICES:
        return findings
    half = SHOWN_SLICES // 2
    return findings[:half] + findings[-half:]


def _slice_axis(findings: Sequence[Finding]) -> charts.Axis:
    ends = [end for f in findings for end in (f.ci_low, f.ci_high)]
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
        extent=extent(finding),
        verdict=verdict,
        chart=chart,
        link=group_link(finding),
    )


def group_link(finding: Finding, show: str = "scored") -> str:
    """Return the address of a group's items in the item browser, of one transition if asked.

    Figures of a group are of its items with a score.
    """
    groups = zip(("slice", "and"), map(named, finding.conditions), strict=False)
    return items_link(finding.candidate, finding.suite, show=show, **dict(groups))


def _apart(finding: Finding, comparison: Comparison) -> ApartRow:
    here, there, p = finding.delta or 0.0, finding.elsewhere or 0.0, finding.p or 0.0
    is_worse = comparison.suite.gain(here - there) < 0
    alpha = comparison.decision.alpha if comparison.decision else 0.05
    relation = "worse than the rest" if is_worse else "better than the rest"
    tone = "open" if p > alpha else "bad" if is_worse else "good"
    return ApartRow(
        name=visible(finding.title),
        link=group_link(finding),
        moved=group_link(finding, "lost" if is_worse else "gained"),
        items=finding.total,
        change=precise(here),
        elsewhere=precise(there),
        tone=tone,
        words=f"{relation}, confirmed ({_p(p)})" if p <= alpha else f"not confirmed ({_p(p)})",
    )


def _p(value: float) -> str:
    return f"p {value:.2g}" if value >= 0.001 else "p below 0.001"


def _themes(findings: Sequence[Finding], comparison: Comparison) -> tuple[ThemeRow, ...]:
    items = {pair.base.item.key: pair.base.item for pair in comparison.pairs}
    return tuple(
        ThemeRow(
            terms=visible(finding.title),
            link=group_link(finding),
            words=finding.text,
            question=clip(question(items[finding.keys[0]]), 200),
            typical="#"
            + urlencode({"item": item_id(finding.keys[0]), "candidate": finding.candidate}),
        )
        for finding in findings
    )


def extent(finding: Finding) -> str:
    """Return the interval of a finding in points; empty where it has none."""
    if finding.ci_low is None or finding.ci_high is None:
        return ""
    return f"{precise(finding.ci_low)} to {precise(finding.ci_high)}"
