"""What is watched while a training runs: its loss, its speed, its checkpoints, and suites."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerCallback

from harness.errors import DivergedError
from harness.records import LossPoint, SuitePoint

SUITE = "suite/"
"""How a suite's score is called in the trainer's log."""

LOOKS = 10
"""How often suites are scored while training, not counting the untuned base."""


class Watch(TrainerCallback):
    """Reports each point of the loss curve, saves checkpoints by the clock, stops on divergence.

    Checkpoints are ``least_seconds`` apart, or more where they are slow to write: at most one
    fiftieth of the time goes into them. ``tokens`` are those of one epoch; ``score`` gets the
    model and returns suite name -> mean score.
    """

    def __init__(
        self,
        on_progress: Callable[[LossPoint, int], None] | None,
        least_seconds: float,
        tokens: int,
        score: Callable[[Any], Mapping[str, float]] | None = None,
    ) -> None:
        self._on_progress = on_progress
        self._least_seconds = least_seconds
        self._tokens = tokens
        self._score = score
        self._asked = time.monotonic()
        self._next = self._asked + least_seconds
        self._begun = (self._asked, 0.0)
        self._aside = 0.0
        self.log: Callable[[dict[str, float]], None] = lambda _: None

    def on_train_begin(
        self, _args: Any, state: Any, _control: Any, model: Any = None, **_: Any
    ) -> None:
        """Start the clock, and score the untuned base unless an earlier run did."""
        if state.global_step == 0:
            self._look(model)
        self._begun = (time.monotonic(), state.epoch or 0.0)
        self._aside = 0.0

    def on_log(
        self, args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Report one point of the curve.

        Raises:
            DivergedError: If the loss is no number any more.
        """
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        _refuse_divergence(loss, args, state)
        begun, epoch = self._begun
        seconds = max(time.monotonic() - begun - self._aside, 1e-3)
        speed = (state.epoch - epoch) * self._tokens / seconds
        state.log_history[-1]["tokens_per_second"] = round(speed, 1)
        self._tell(state)

    def on_evaluate(
        self,
        args: Any,
        state: Any,
        _control: Any,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Report the last point again, with its validation loss.

        Raises:
            DivergedError: If that loss is no number.
        """
        _refuse_divergence((metrics or {}).get("eval_loss", 0.0), args, state)
        self._tell(state)

    def _look(self, model: Any) -> None:
        if self._score is not None:
            started = time.monotonic()
            self.log({f"{SUITE}{name}": score for name, score in self._score(model).items()})
            self._aside += time.monotonic() - started

    def _tell(self, state: Any) -> None:
        points = curve(state.log_history)
        if self._on_progress is not None and points:
            self._on_progress(points[-1], state.max_steps)

    def on_step_end(
        self, _args: Any, state: Any, control: Any, model: Any = None, **_: Any
    ) -> None:
        """Score the suites now and then; ask for a checkpoint when the last one is old enough."""
        every = max(1, math.ceil(state.max_steps / LOOKS))
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            due = control.should_log
            self._look(model)
            control.should_log = due  # logging the scores counts as the step's log
        self._asked = time.monotonic()
        if self._asked >= self._next:
            control.should_save = True

    def on_save(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Start the clock again once a checkpoint is written."""
        now = time.monotonic()
        self._next = now + max(self._least_seconds, 50 * (now - self._asked))


def _refuse_divergence(loss: float, args: Any, state: Any) -> None:
    if not math.isfinite(loss):
        raise DivergedError(
            f"training diverged: the loss is {loss} at step {state.global_step} of "
            f"{state.max_steps}; lower 'learning_rate' (now {args.learning_rate:g}) or raise "
            "'warmup_steps'"
        )


def curve(history: list[dict[str, Any]]) -> tuple[LossPoint, ...]:
    """Return the loss curve in a trainer's log; validation losses join the last point before."""
    evaluated: dict[int, float] = {}
    last = 0
    for entry in history:
        if "loss" in entry:
            last = entry["step"]
        elif "eval_loss" in entry:
            evaluated[last] = entry["eval_loss"]
    return tuple(
        LossPoint(
            step=entry["step"],
            loss=float(entry["loss"]),
            learning_rate=entry.get("learning_rate"),
            eval_loss=evaluated.get(entry["step"]),
            tokens_per_second=entry.get("tokens_per_second"),
        )
        for entry in history
        if "loss" in entry
    )


def suite_points(history: list[dict[str, Any]]) -> tuple[SuitePoint, ...]:
    """Return the suites' scores in a trainer's log."""
    return tuple(
        SuitePoint(step=entry["step"], suite=name.removeprefix(SUITE), score=float(value))
        for entry in history
        for name, value in entry.items()
        if name.startswith(SUITE)
    )
