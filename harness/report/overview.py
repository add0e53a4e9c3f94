"""The overview charts and tables: forest plot, scores, and gain against forgetting."""

from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from harness.records import BASE, ArmScore, Comparison, Decision, Finding, Result
from harness.report import charts
from harness.report.headline import Check, anchor, check
from harness.report.item_links import warning_links
from harness.report.wording import between, counted, precise, signed, suite_title, title_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One check as a line of the forest plot."""

    check: Check
    chart: Markup
    margin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """All checks on one scale, grouped by candidate."""

    groups: tuple[tuple[str, tuple[ForestRow, ...]], ...]
    scale: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """One suite's further measures, by arm: how many items, and names with values."""

    title: str
    cells: tuple[tuple[str, tuple[tuple[str, str], ...]] | None, ...]


def forest(result: Result) -> Forest | None:
    """Draw every decided check on one scale; None if there is none."""
    decided = [(c, c.decision) for c in result.comparisons if c.decision]
    if not decided:
        return None
    axis = charts.span(
        [end for c, d in decided for end in (d.ci_low, d.ci_high, c.suite.gain(-d.margin))]
    )
    groups = tuple(
        (name, tuple(_forest_row(c, d, axis) for c, d in decided if c.candidate == name))
        for name in dict.fromkeys(c.candidate for c, _ in decided)
    )
    return Forest(groups=groups, scale=charts.scale(axis))


def _forest_row(comparison: Comparison, decision: Decision, axis: charts.Axis) -> ForestRow:
    shown = check(comparison)
    limit = precise(comparison.suite.gain(-decision.margin))
    words = f"{shown.title}: {shown.change} points, {shown.extent}, margin {limit}"
    chart = charts.interval(
        axis,
        decision.delta,
        (decision.ci_low, decision.ci_high),
        css=shown.tone,
        margin=comparison.suite.gain(-decision.margin),
        words=words,
    )
    return ForestRow(check=shown, chart=chart, margin=limit)


def arms(result: Result) -> tuple[str, ...]:
    """Return the arms that have scores, the base first."""
    names = dict.fromkeys([arm.name for arm in result.arms] + [s.arm for s in result.scores])
    scored = {score.arm for score in result.scores}
    return tuple(sorted((n for n in names if n in scored), key=lambda name: name != BASE))


def measures(result: Result) -> tuple[Measures, ...]:
    """Tabulate every further measure of every arm on every suite."""
    found = {(score.suite, score.arm): score for score in result.scores}
    return tuple(
        Measures(
            title=suite_title(suite),
            cells=tuple(_measured(found.get((suite.name, arm))) for arm in arms(result)),
        )
        for suite in result.suites
    )


def _measured(score: ArmScore | None) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    if score is None:
        return None
    items = f"{score.n:,} items" + (f", {score.unscored:,} unscored" if score.unscored else "")
    return items, tuple((name, f"{value:.4g}") for name, value in sorted(score.metrics.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """One warning, and where it was seen."""

    title: str
    places: tuple["WarnedPlace", ...]


class WarnedPlace(NamedTuple):
    """Where a warning was seen: anchor and name of the comparison, what it counts, its items."""

    anchor: str
    name: str
    finding: Finding
    links: tuple[str, str]

    @property
    def counts(self) -> str:
        """What the warning counts, in words."""
        return counted(self.finding)


def warnings(result: Result) -> tuple[Warned, ...]:
    """Gather the warnings of all comparisons by what they warn of."""
    titles = {comparison.suite.name: title_of(comparison) for comparison in result.comparisons}
    found: dict[str, list[WarnedPlace]] = {}
    for finding in result.findings:
        if finding.kind == "warning":
            place = f"{finding.candidate} on {titles.get(finding.suite, finding.suite)}"
            where = anchor(finding.candidate, finding.suite)
            found.setdefault(finding.title, []).append(
                WarnedPlace(where, place, finding, warning_links(finding))
            )
    return tuple(Warned(title=title, places=tuple(places)) for title, places in found.items())


Extent = tuple[float, float, float]
"""A change and the ends of its interval, in score units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """A candidate's gain and its forgetting; ``is_best`` where no other is better on both."""

    name: str
    gain: Extent
    loss: Extent
    is_best: bool

    @property
    def words(self) -> tuple[str, str]:
        """Gain and largest drop in points, with their intervals."""
        gain, low, high = self.gain
        loss, least, most = self.loss
        return (
            f"{signed(gain)} ({between(low, high)})",
            f"{signed(-loss)} ({between(-most, -least)})",
        )


def tradeoffs(result: Result) -> tuple[Tradeoff, ...]:
    """Weigh gain against forgetting, for two candidates or more.

    Gain is the mean change over the target suites; without any, the mean over all suites of what
    was gained (a loss counts as nothing gained). Forgetting is the largest drop on any suite. The
    interval of a mean takes the suites as independent.
    """
    changes: dict[str, list[tuple[bool, Extent]]] = {}
    for comparison in result.comparisons:
        if decision := comparison.decision:
            gain = comparison.suite.gain
            low, high = sorted(map(gain, (decision.ci_low, decision.ci_high)))
            found = (comparison.suite.target, (gain(decision.delta), low, high))
            changes.setdefault(comparison.candidate, []).append(found)
    places = {name: (_gain(found), _loss(found)) for name, found in changes.items()}
    if len(places) < 2:
        return ()
    return tuple(
        Tradeoff(name=name, gain=gain, loss=loss, is_best=not _is_beaten(name, places))
        for name, (gain, loss) in places.items()
    )


def _gain(changes: list[tuple[bool, Extent]]) -> Extent:
    wanted = [extent for is_target, extent in changes if is_target]
    counted = wanted or [extent for _, extent in changes if extent[0] > 0.0]
    size = len(wanted) or len(changes)
    mean = sum(delta for delta, _, _ in counted) / size
    below = sum((delta - low) ** 2 for delta, low, _ in counted) ** 0.5 / size
    above = sum((high - delta) ** 2 for delta, _, high in counted) ** 0.5 / size
    return mean, mean - below, mean + above


def _loss(changes: list[tuple[bool, Extent]]) -> Extent:
    delta, low, high = min(extent for _, extent in changes)
    return max(0.0, -delta), max(0.0, -high), max(0.0, -low)


def _is_beaten(name: str, places: dict[str, tuple[Extent, Extent]]) -> bool:
    gain, loss = (extent[0] for extent in places[name])
    return any(
        other[0] >= gain and forgot[0] <= loss and (other[0], forgot[0]) != (gain, loss)
        for rival, (other, forgot) in places.items()
        if rival != name
    )


def pareto(found: tuple[Tradeoff, ...]) -> Markup:
    """Draw gain against forgetting."""
    words = "; ".join(f"{t.name}: gain {t.words[0]}, largest drop {t.words[1]}" for t in found)
    points = [
        charts.Cross(
            t.name, t.loss[0], t.gain[0], t.loss[1:], t.gain[1:], "good" if t.is_best else "even"
        )
        for t in found
    ]
    return charts.scatter(points, f"Gain against forgetting, in points. {words}")
