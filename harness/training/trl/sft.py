"""TRL's `SFTTrainer`, with logits at completion tokens only also on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from trl import SFTTrainer

from harness.training.rows.encode import IGNORED


class BackboneOutput(Protocol):
    """What the layers below the output head return."""

    last_hidden_state: torch.Tensor  # (B, T, D)


class CompletionTrainer(SFTTrainer):
    """Computes logits at positions with loss only.

    TRL does so where Triton runs, but computes them at every position on a CPU, prompts and padding
    included. The loss is the same.
    """

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: "torch.Tensor | int | None" = None,
    ) -> torch.Tensor:
        """Return the mean negative log-likelihood of tokens with loss, in nats."""
        usual = self.args.loss_type == "nll" and not self.args.label_smoothing_factor
        if return_outputs or not usual or self.model.device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]  # (B, T - 1)
        learnt = labels != IGNORED
        inputs = {name: value for name, value in inputs.items() if name != "labels"}
        with self._output_only(learnt):
            logits = model(**inputs, use_cache=False).logits  # (1, learnt, V), else (B, T, V)
        if logits.shape[:2] != (1, learnt.sum()):  # the head takes its states from elsewhere
            logits = logits[:, -learnt.shape[1] - 1 : -1][learnt][None]
        total = torch.nn.functional.cross_entropy(
            logits[0].float(), labels[learnt], reduction="sum"
        )
        count = learnt.sum() if num_items_in_batch is None else num_items_in_batch
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            total = total * self.accelerator.num_processes  # gradients are averaged over them
        return total / torch.as_tensor(count).clamp(min=1)

    @contextmanager
    def _output_only(self, learnt: torch.Tensor) -> Iterator[None]:
        """Pass only the hidden states that predict tokens with loss to the output head."""
        width = learnt.shape[1] + 1

        def keep(_module: object, _inputs: object, output: BackboneOutput) -> BackboneOutput:
            if not hasattr(output, "last_hidden_state"):
                return output
            hidden = output.last_hidden_state[:, -width:-1]  # virtual tokens may come first
            output.last_hidden_state = hidden[learnt][None]
            return output

        model = self.accelerator.unwrap_model(self.model)
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        hook = base.base_model.register_forward_hook(keep)
        try:
            yield
        finally:
            hook.remove()
