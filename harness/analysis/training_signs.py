"""What a training log itself says: that it overfitted, or that a suite fell on the way."""

from collections.abc import Sequence

from harness.records import Arm, LossPoint, SuitePoint

RISE = 0.03
"""Share of its lowest value by which the loss on held-out rows has to rise."""

FALL = 0.10
"""Drop of a watched suite's score that is worth a sentence: a slice is small."""


def training_signs(arm: Arm) -> tuple[str, ...]:
    """Return a sentence for each sign that a candidate overfitted or forgot while it learnt."""
    found = [_overfitted(arm.loss)]
    found += [
        _forgot(suite, [point for point in arm.watched if point.suite == suite])
        for suite in sorted({point.suite for point in arm.watched})
    ]
    return tuple(sentence for sentence in found if sentence)


def _overfitted(loss: Sequence[LossPoint]) -> str:
    """Compare the lowest loss on held-out rows with the last, and the training loss at both."""
    held = [(point.step, point.eval_loss) for point in loss if point.eval_loss is not None]
    if len(held) < 2:
        return ""
    step, least = min(held, key=lambda entry: (entry[1], entry[0]))
    last_step, last = held[-1]
    then, now = (_train_loss(loss, at) for at in (step, last_step))
    if last - least < RISE * max(least, 0.1) or now >= then:
        return ""
    return (
        f"It overfitted: after step {step:,} the loss on held-out rows rose from {least:.2f} to "
        f"{last:.2f} while the loss on training rows fell from {then:.2f} to {now:.2f}; "
        "stop there, or lower the learning rate"
    )


def _train_loss(loss: Sequence[LossPoint], step: int) -> float:
    """Return the mean of the last few losses up to a step: a single batch is noise."""
    last = [point.loss for point in loss if point.step <= step][-5:] or [loss[0].loss]
    return sum(last) / len(last)


def _forgot(suite: str, points: Sequence[SuitePoint]) -> str:
    first, last = points[0], points[-1]
    if first.score - last.score < FALL or len(points) < 2:
        return ""
    below = next(p.step for p in points if first.score - p.score >= FALL)
    return (
        f"It forgot: {suite} fell from {first.score:.0%} to {last.score:.0%} on the slice watched "
        f"while training, first at step {below:,}"
    )
