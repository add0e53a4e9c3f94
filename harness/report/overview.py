"""The overview charts and tables: forest plot, scores, and gain against forgetting."""

from dataclasses import dataclass

from markupsafe import Markup

from harness.records import BASE, ArmScore, Comparison, Decision, Result
from harness.report import charts
from harness.report.headline import Check, anchor, check
from harness.report.wording import percent, precise, signed, suite_title, title_of


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
class ScoreCell:
    """The score of one arm on one suite, and what became of it against the base."""

    score: str
    extent: str
    items: str
    change: str
    tone: str
    others: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One suite, a cell per arm (None where the arm was not scored)."""

    title: str
    name: str
    metric: str
    cells: tuple[ScoreCell | None, ...]


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
    words = f"{shown.title}: {shown.change} points, {shown.extent}, margin {decision.margin:g}"
    chart = charts.interval(
        axis,
        decision.delta,
        (decision.ci_low, decision.ci_high),
        css=shown.tone,
        margin=comparison.suite.gain(-decision.margin),
        words=words,
    )
    limit = precise(comparison.suite.gain(-decision.margin))
    return ForestRow(check=shown, chart=chart, margin=limit)


def arms(result: Result) -> tuple[str, ...]:
    """Return the arms that have scores, the base first."""
    names = dict.fromkeys([arm.name for arm in result.arms] + [s.arm for s in result.scores])
    scored = {score.arm for score in result.scores}
    return tuple(sorted((n for n in names if n in scored), key=lambda name: name != BASE))


def scores(result: Result) -> tuple[ScoreRow, ...]:
    """Tabulate every arm on every suite."""
    found = {(score.suite, score.arm): score for score in result.scores}
    checks = {(c.suite.name, c.candidate): c for c in result.comparisons}
    return tuple(
        ScoreRow(
            title=suite_title(suite),
            name=suite.name,
            metric=suite.metric,
            cells=tuple(
                _cell(found.get((suite.name, arm)), checks.get((suite.name, arm)))
                for arm in arms(result)
            ),
        )
        for suite in result.suites
    )


def _cell(score: ArmScore | None, comparison: Comparison | None) -> ScoreCell | None:
    if score is None:
        return None
    extent = ""
    if score.ci_low is not None and score.ci_high is not None:
        extent = f"{percent(score.ci_low)} to {percent(score.ci_high)}"
    shown = check(comparison) if comparison else None
    items = f"{score.n:,} items" + (f", {score.unscored:,} unscored" if score.unscored else "")
    return ScoreCell(
        score=percent(score.mean),
        extent=extent,
        items=items,
        change=f"{shown.symbol} {shown.change}" if shown else "",
        tone=shown.tone if shown else "",
        others=tuple((name, f"{value:.4g}") for name, value in sorted(score.metrics.items())),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """One warning, and where it was seen: anchor, name of the comparison, and counts."""

    title: str
    places: tuple[tuple[str, str, str], ...]


def warnings(result: Result) -> tuple[Warned, ...]:
    """Gather the warnings of all comparisons by what they warn of."""
    titles = {comparison.suite.name: title_of(comparison) for comparison in result.comparisons}
    found: dict[str, list[tuple[str, str, str]]] = {}
    for finding in result.findings:
        if finding.kind == "warning":
            place = f"{finding.candidate} on {titles.get(finding.suite, finding.suite)}"
            counts = f"{finding.base_count:,} → {finding.tuned_count:,} of {finding.total:,}"
            found.setdefault(finding.title, []).append(
                (anchor(finding.candidate, finding.suite), place, counts)
            )
    return tuple(Warned(title=title, places=tuple(places)) for title, places in found.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """A candidate's gain and its forgetting; ``is_best`` where no other is better on both."""

    name: str
    gain: float
    loss: float
    is_best: bool

    @property
    def words(self) -> tuple[str, str]:
        """Gain and largest drop in points."""
        return signed(self.gain), signed(-self.loss)


def tradeoffs(result: Result) -> tuple[Tradeoff, ...]:
    """Weigh gain against forgetting, for two candidates or more.

    Gain is the mean over suites of what was gained (a loss counts as nothing gained); forgetting
    is the largest drop on any suite. Point estimates, for orientation.
    """
    deltas: dict[str, list[float]] = {}
    for comparison in result.comparisons:
        if comparison.decision:
            gain = comparison.suite.gain(comparison.decision.delta)
            deltas.setdefault(comparison.candidate, []).append(gain)
    places = {
        name: (sum(max(d, 0.0) for d in found) / len(found), max(0.0, -min(found)))
        for name, found in deltas.items()
    }
    if len(places) < 2:
        return ()
    return tuple(
        Tradeoff(name=name, gain=gain, loss=loss, is_best=not _is_beaten(name, places))
        for name, (gain, loss) in places.items()
    )


def _is_beaten(name: str, places: dict[str, tuple[float, float]]) -> bool:
    gain, loss = places[name]
    return any(
        other_gain >= gain and other_loss <= loss and (other_gain, other_loss) != (gain, loss)
        for other, (other_gain, other_loss) in places.items()
        if other != name
    )


def pareto(found: tuple[Tradeoff, ...]) -> Markup:
    """Draw gain against forgetting."""
    words = "; ".join(f"{t.name}: gain {t.words[0]}, largest drop {t.words[1]}" for t in found)
    points = [(t.name, t.loss, t.gain, "good" if t.is_best else "even") for t in found]
    return charts.scatter(points, f"Gain against forgetting, in points. {words}")
