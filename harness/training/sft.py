"""TRL's `SFTTrainer` with less waste on a CPU, and what is watched while it runs."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback
from trl import SFTTrainer

from harness.errors import DivergedError
from harness.records import LossPoint
from harness.training.encode import IGNORED


class CompletionTrainer(SFTTrainer):
    """Computes logits only where something is learnt, also where TRL would not.

    TRL scores learnt positions alone where Triton runs, but every position on a CPU, prompts and
    padding included. The loss is the same.
    """

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the mean negative log-likelihood of the learnt tokens, in nats."""
        usual = self.args.loss_type == "nll" and not self.args.label_smoothing_factor
        if return_outputs or not usual or self.model.device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        inputs = dict(inputs, use_cache=False)
        labels = inputs.pop("labels")[:, 1:]
        learnt = labels != IGNORED
        with self._output_only(learnt):
            logits = model(**inputs).logits
        if logits.shape[:2] != (1, learnt.sum()):  # the head takes its states from elsewhere
            logits = logits[:, -learnt.shape[1] - 1 : -1][learnt][None]
        total = torch.nn.functional.cross_entropy(
            logits[0].float(), labels[learnt], reduction="sum"
        )
        count = learnt.sum() if num_items_in_batch is None else num_items_in_batch
        return total / torch.as_tensor(count).clamp(min=1)

    @contextmanager
    def _output_only(self, learnt: torch.Tensor) -> Iterator[None]:
        """Let the backbone hand only the hidden states that predict learnt tokens to the head."""
        width = learnt.shape[1] + 1

        def keep(_module: Any, _inputs: Any, output: Any) -> Any:
            if not hasattr(output, "last_hidden_state"):
                return output
            hidden = output.last_hidden_state[:, -width:-1]  # virtual tokens may stand before
            output.last_hidden_state = hidden[learnt][None]
            return output

        model = self.accelerator.unwrap_model(self.model)
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        hook = base.base_model.register_forward_hook(keep)
        try:
            yield
        finally:
            hook.remove()


class Watch(TrainerCallback):
    """Reports each point of the loss curve, saves checkpoints by the clock, stops on divergence.

    Checkpoints are ``least_seconds`` apart, or more where they are slow to write: at most one
    fiftieth of the time goes into them.
    """

    def __init__(
        self, on_progress: Callable[[LossPoint, int], None] | None, least_seconds: float
    ) -> None:
        self._on_progress = on_progress
        self._least_seconds = least_seconds
        self._asked = time.monotonic()
        self._next = self._asked + least_seconds

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

    def _tell(self, state: Any) -> None:
        points = curve(state.log_history)
        if self._on_progress is not None and points:
            self._on_progress(points[-1], state.max_steps)

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint when the last one is old enough."""
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
        )
        for entry in history
        if "loss" in entry
    )
