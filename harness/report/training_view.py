"""How the candidates were trained, for people: loss curve, trials of a sweep, suites scored."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.analysis.training_signs import training_signs
from harness.records import Arm, SuitePoint, Trial
from harness.report import charts


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSuite:
    """The score of one suite over the steps of a training."""

    chart: Markup
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial of a sweep as a row of a table."""

    number: str
    choice: str
    loss: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingView:
    """One candidate's training in words and charts; ``chart`` is empty without a loss curve."""

    name: str
    words: str
    note: str
    settings: tuple[tuple[str, str], ...]
    chart: Markup
    caption: str
    watched: tuple[WatchedSuite, ...]
    trials: tuple[TrialRow, ...]
    signs: tuple[str, ...]


def training(arm: Arm) -> TrainingView:
    """Put one candidate's training into words and charts."""
    facts = [arm.method or "adapter trained elsewhere"]
    if arm.trainable:
        facts.append(f"{arm.trainable:,} trained parameters")
    if arm.seconds is not None:
        facts.append(f"{arm.seconds:,.0f} s")
    chart, caption = _loss(arm)
    return TrainingView(
        name=arm.name,
        words=" · ".join(facts),
        note=arm.note,
        settings=tuple(sorted((str(name), str(value)) for name, value in arm.settings.items())),
        chart=chart,
        caption=caption,
        watched=_watched(arm),
        trials=tuple(_trial(trial, arm.trials) for trial in arm.trials),
        signs=training_signs(arm),
    )


def _loss(arm: Arm) -> tuple[Markup, str]:
    if not arm.loss:
        return Markup(""), ""
    first, last = arm.loss[0], arm.loss[-1]
    objective = arm.settings.get("objective")
    unit = f"Loss ({str(objective).upper()})" if objective else "Loss per token (nats)"
    caption = f"{unit} over {last.step:,} steps: {first.loss:.2f} → {last.loss:.2f}"
    if any(point.eval_loss is not None for point in arm.loss):
        caption += "; dashed: on held-out rows"
    return charts.curve(arm.loss, f"Training of {arm.name}. {caption}"), caption


def _watched(arm: Arm) -> tuple[WatchedSuite, ...]:
    """Draw the score of each suite that was scored during training."""
    shown = []
    for suite in sorted({point.suite for point in arm.watched}):
        points = [point for point in arm.watched if point.suite == suite]
        caption = _watched_caption(suite, points) + _its_use(arm, suite)
        chart = charts.scores([(point.step, point.score) for point in points], caption)
        shown.append(WatchedSuite(chart=chart, caption=caption))
    return tuple(shown)


def _watched_caption(suite: str, points: Sequence[SuitePoint]) -> str:
    first, last, least = points[0], points[-1], min(points, key=lambda point: point.score)
    words = f"{suite} on a small slice while training: {first.score:.0%} → {last.score:.0%}"
    if least.score < min(first.score, last.score):
        words += f", {least.score:.0%} at step {least.step:,}"
    return words


def _its_use(arm: Arm, suite: str) -> str:
    """Say what a suite's scores while training decided."""
    if suite not in arm.kept_by:
        return "; it decides nothing"
    if suite == arm.kept_by[0]:
        return f"; the best checkpoint by it, step {arm.kept_step:,}, is kept; it judges nothing"
    return f"; step {arm.kept_step:,}, which is kept, is within its limit; it judges nothing"


def _trial(trial: Trial, trials: Sequence[Trial]) -> TrialRow:
    ended = [t for t in trials if t.state == "finished" and t.losses]
    best = min(ended, key=lambda t: min(t.losses), default=None)
    return TrialRow(
        number=str(trial.number + 1),
        choice=", ".join(
            f"{place.partition('.')[2]} {_short(value)}" for place, value in trial.choice.items()
        ),
        loss=f"{min(trial.losses):.3f}" if trial.losses else "",
        state="kept" if trial is best else trial.state,
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
