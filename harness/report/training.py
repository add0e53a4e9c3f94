"""How the candidates were trained, for people: loss, what a sweep tried, suites on the way."""

from collections.abc import Sequence
from typing import Any

from harness.records import Arm, SuitePoint, Trial
from harness.report import charts


def training(arm: Arm) -> dict[str, Any]:
    """Put one candidate's training into words and pictures."""
    facts = [arm.method or "adapter trained elsewhere"]
    if arm.trainable:
        facts.append(f"{arm.trainable:,} trained parameters")
    if arm.seconds is not None:
        facts.append(f"{arm.seconds:,.0f} s")
    caption = chart = ""
    if arm.loss:
        first, last = arm.loss[0], arm.loss[-1]
        objective = arm.settings.get("objective")
        unit = f"Loss ({str(objective).upper()})" if objective else "Loss per token (nats)"
        caption = f"{unit} over {last.step:,} steps: {first.loss:.2f} → {last.loss:.2f}"
        if any(point.eval_loss is not None for point in arm.loss):
            caption += "; dashed: on held-out rows"
        chart = charts.curve(arm.loss, f"Training of {arm.name}. {caption}")
    return {
        "name": arm.name,
        "words": " · ".join(facts),
        "note": arm.note,
        "settings": sorted((str(name), str(value)) for name, value in arm.settings.items()),
        "chart": chart,
        "caption": caption,
        "watched": _watched(arm),
        "trials": [_trial(trial, arm.trials) for trial in arm.trials],
    }


def _watched(arm: Arm) -> list[dict[str, Any]]:
    """Draw the score of each suite that was looked at while training."""
    shown = []
    for suite in sorted({point.suite for point in arm.watched}):
        points = [point for point in arm.watched if point.suite == suite]
        caption = _on_the_way(suite, points)
        chart = charts.scores([(point.step, point.score) for point in points], caption)
        shown.append({"chart": chart, "caption": caption})
    return shown


def _on_the_way(suite: str, points: Sequence[SuitePoint]) -> str:
    first, last, least = points[0], points[-1], min(points, key=lambda point: point.score)
    words = f"{suite} on a small slice while training: {first.score:.0%} → {last.score:.0%}"
    if least.score < min(first.score, last.score):
        words += f", {least.score:.0%} at step {least.step:,}"
    return words + "; it decides nothing"


def _trial(trial: Trial, trials: Sequence[Trial]) -> dict[str, str]:
    ended = [t for t in trials if t.state == "finished" and t.losses]
    best = min(ended, key=lambda t: min(t.losses), default=None)
    return {
        "number": str(trial.number + 1),
        "choice": ", ".join(
            f"{place.partition('.')[2]} {_short(value)}" for place, value in trial.choice.items()
        ),
        "loss": f"{min(trial.losses):.3f}" if trial.losses else "",
        "state": "kept" if trial is best else trial.state,
    }


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
