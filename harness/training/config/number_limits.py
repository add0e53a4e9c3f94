"""Between which numbers a setting means something: outside, a training teaches nothing silently."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import StudyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers that a setting may be: from ``low`` (or above it), and below ``below``.

    ``off`` is the number outside them by which the library means that it is not set.
    """

    low: float = 0
    above: bool = False
    below: float = math.inf
    off: float | None = None

    def hold(self, value: float) -> bool:
        """Tell whether a number is within."""
        enough = value > self.low if self.above else value >= self.low
        return (enough and value < self.below) or value == self.off

    def __str__(self) -> str:
        """Say which numbers these are."""
        least = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return least if self.below == math.inf else f"{least} and below {self.below:g}"


COUNT, POSITIVE, SHARE = Limits(low=1), Limits(above=True), Limits(below=1)

LIMITS: Mapping[str, Limits] = {
    "lora_alpha": POSITIVE,
    "lora_dropout": SHARE,
    "vera_dropout": SHARE,
    "module_dropout": SHARE,
    "encoder_dropout": SHARE,
    "num_virtual_tokens": COUNT,
    "encoder_hidden_size": COUNT,
    "learning_rate": POSITIVE,
    "max_steps": Limits(low=1, off=-1),
    "num_train_epochs": POSITIVE,
    "per_device_train_batch_size": COUNT,
    "per_device_eval_batch_size": COUNT,
    "gradient_accumulation_steps": COUNT,
    "max_length": COUNT,
    "warmup_steps": Limits(),
    "weight_decay": Limits(),
    "max_grad_norm": Limits(),
    "adam_beta1": SHARE,
    "adam_beta2": SHARE,
    "adam_epsilon": POSITIVE,
    "label_smoothing_factor": SHARE,
    "neftune_noise_alpha": Limits(),
    "eval_steps": POSITIVE,
    "save_steps": POSITIVE,
    "logging_steps": POSITIVE,
    "beta": Limits(),
}
"""PEFT's settings and TRL's arguments -> their limits."""


def check_limits(given: Mapping[str, object], where: str) -> None:
    """Refuse numbers with which nothing, or nothing but noise, would be learnt.

    Args:
        given: Settings or training arguments, checked for their types.
        where: The candidate, and what these are.

    Raises:
        StudyError: If one is outside its limits, or no finite number.
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if not math.isfinite(value):
            raise StudyError(f"{where} {name!r} must be a finite number: found {value!r}")
        limits = LIMITS.get(name)
        if limits is not None and not limits.hold(value):
            raise StudyError(f"{where} {name!r} must be {limits}: found {value!r}")
