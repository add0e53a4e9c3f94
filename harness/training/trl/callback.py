"""Monitor a training: loss curve, tokens per second, checkpoints, divergence, suite scores."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from harness.errors import DivergedError
from harness.models.protocols import CausalLM
from harness.records import LossPoint, SuitePoint
from harness.training.config.job import Watch
from harness.training.distributed import of_first

SUITE = "suite/"
"""Prefix of a suite's score in the trainer's log."""

EVALUATIONS = 10
"""How often suites are evaluated during training, not counting the untuned base."""

LogEntry = Mapping[str, float]
"""One entry of a trainer's log history: ``step``, ``epoch``, ``loss``, ``eval_loss``, ..."""


class Monitor(TrainerCallback):
    """Reports the loss curve, saves checkpoints, evaluates suites, stops on divergence.

    Checkpoints are ``least_seconds`` apart, or more where they are slow to write: at most one
    fiftieth of the time goes into them. ``tokens`` are those of one epoch, ``since`` is the step at
    which this session began.
    """

    def __init__(
        self,
        on_progress: Callable[[LossPoint, int], None] | None,
        least_seconds: float,
        tokens: int,
        watch: Watch | None = None,
    ) -> None:
        self._on_progress = on_progress
        self._least_seconds = least_seconds
        self._tokens = tokens
        self._watch = watch
        self._step_ended = time.monotonic()
        self._next_save = self._step_ended + least_seconds
        self._begun = (self._step_ended, 0.0)
        self._evaluating = 0.0
        self.since = 0
        self.log: Callable[[dict[str, float]], None] = lambda _: None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        *,
        model: CausalLM,
        **_: object,
    ) -> None:
        """Start the clock, and evaluate the untuned base unless an earlier run did."""
        if state.global_step == 0:
            self._evaluate(model)
        elif state.best_global_step and state.best_model_checkpoint is None:
            moved = _checkpoint(args, state.best_global_step)  # with the run's folder
            state.best_model_checkpoint = moved if Path(moved).is_dir() else None
        self.since = state.global_step
        self._begun = (time.monotonic(), state.epoch or 0.0)
        self._evaluating = 0.0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        *,
        logs: LogEntry | None = None,
        **_: object,
    ) -> None:
        """Report one point of the curve.

        Raises:
            DivergedError: If the loss became NaN or infinite.
        """
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        _refuse_divergence(loss, args, state)
        begun, epoch = self._begun
        seconds = max(time.monotonic() - begun - self._evaluating, 1e-3)
        speed = (state.epoch - epoch) * self._tokens / seconds
        state.log_history[-1]["tokens_per_second"] = round(speed, 1)
        self._report(state)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        *,
        metrics: LogEntry | None = None,
        **_: object,
    ) -> None:
        """Report the last point again, with its validation loss.

        Raises:
            DivergedError: If that loss is NaN or infinite.
        """
        _refuse_divergence((metrics or {}).get("eval_loss", 0.0), args, state)
        self._report(state)

    def _evaluate(self, model: CausalLM) -> Mapping[str, float]:
        if self._watch is None:
            return {}
        started = time.monotonic()
        watch = self._watch
        scores = of_first(lambda: watch.score(model))
        self.log({f"{SUITE}{name}": score for name, score in scores.items()})
        self._evaluating += time.monotonic() - started
        return scores

    def _is_best(self, state: TrainerState, scores: Mapping[str, float]) -> bool:
        """Tell whether this checkpoint is better than those before, and within its limits."""
        rule = self._watch.keep if self._watch else None
        if rule is None or rule.broken(before_training(state.log_history), scores):
            return False
        return state.best_metric is None or rule.value(scores) > state.best_metric

    def _report(self, state: TrainerState) -> None:
        points = loss_curve(state.log_history)
        if self._on_progress is not None and points:
            self._on_progress(points[-1], state.max_steps)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: CausalLM,
        **_: object,
    ) -> None:
        """Evaluate the suites now and then; save a checkpoint when the last one is old enough.

        Where suites choose, the best one so far is saved at once, and protected by its name.
        """
        every = max(1, math.ceil(state.max_steps / EVALUATIONS))
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            due = control.should_log
            scores = self._evaluate(model)
            control.should_log = due  # logging the scores counts as the step's log
            if self._is_best(state, scores):
                assert self._watch is not None
                assert self._watch.keep is not None
                state.best_metric = self._watch.keep.value(scores)
                state.best_global_step = state.global_step
                state.best_model_checkpoint = _checkpoint(args, state.global_step)
                control.should_save = True
        self._step_ended = time.monotonic()
        if self._step_ended >= self._next_save:
            control.should_save = True

    def on_save(
        self,
        _args: TrainingArguments,
        _state: TrainerState,
        _control: TrainerControl,
        **_: object,
    ) -> None:
        """Restart the clock once a checkpoint is written."""
        now = time.monotonic()
        self._next_save = now + max(self._least_seconds, 50 * (now - self._step_ended))


def _checkpoint(args: TrainingArguments, step: int) -> str:
    return str(Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{step}")


def _refuse_divergence(loss: float, args: TrainingArguments, state: TrainerState) -> None:
    if not math.isfinite(loss):
        raise DivergedError(
            f"training diverged: the loss is {loss} at step {state.global_step} of "
            f"{state.max_steps}; lower 'learning_rate' (now {args.learning_rate:g}) or raise "
            "'warmup_steps'"
        )


def loss_curve(history: Sequence[LogEntry]) -> tuple[LossPoint, ...]:
    """Return the loss curve of a trainer's log, each validation loss with the point before it."""
    evaluated: dict[int, float] = {}
    last = 0
    for entry in history:
        if "loss" in entry:
            last = int(entry["step"])
        elif "eval_loss" in entry:
            evaluated[last] = entry["eval_loss"]
    return tuple(
        LossPoint(
            step=int(entry["step"]),
            loss=float(entry["loss"]),
            learning_rate=entry.get("learning_rate"),
            eval_loss=evaluated.get(int(entry["step"])),
            tokens_per_second=entry.get("tokens_per_second"),
        )
        for entry in history
        if "loss" in entry
    )


def suite_points(history: Sequence[LogEntry]) -> tuple[SuitePoint, ...]:
    """Return the suites' scores in a trainer's log."""
    return tuple(
        SuitePoint(step=int(entry["step"]), suite=name.removeprefix(SUITE), score=float(value))
        for entry in history
        for name, value in entry.items()
        if name.startswith(SUITE)
    )


def scores_by_step(history: Sequence[LogEntry]) -> dict[int, dict[str, float]]:
    """Return step -> the suites' scores then; step 0 is before training."""
    found: dict[int, dict[str, float]] = {}
    for point in suite_points(history):
        found.setdefault(point.step, {})[point.suite] = point.score
    return found


def before_training(history: Sequence[LogEntry]) -> dict[str, float]:
    """Return the suites' scores before the first step."""
    return scores_by_step(history).get(0, {})
