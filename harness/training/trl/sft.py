"""TRL's `SFTTrainer` with less waste on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from trl import SFTTrainer

from harness.training.rows.encode import IGNORED


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
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            total = total * self.accelerator.num_processes  # gradients are averaged over them
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
