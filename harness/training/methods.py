"""The fine-tuning methods: one entry each, with the defaults and why they are so.

A study names a method and overrides settings by PEFT's names and training arguments by TRL's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to fine-tune.

    ``config`` is PEFT's configuration class (None: all weights are trained) and ``source`` the
    file of the peft package that declares it. ``settings`` and ``training`` are our defaults by
    PEFT's and TRL's names. ``virtual_tokens`` says that the method puts learnt tokens before each
    row, so that rows cannot share one sequence.
    """

    name: str
    summary: str
    config: str | None
    source: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    quantization: Literal["none", "4bit", "8bit"] = "none"
    virtual_tokens: bool = False


TRAINING: Mapping[str, Any] = MappingProxyType(
    {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 8,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,  # a share of all steps
        "weight_decay": 0.0,  # adapters start at zero change: decay would only pull back to base
        "max_grad_norm": 1.0,
    }
)
"""Training defaults of every method, by TRL's names."""

# All linear layers rather than attention only: QLoRA paper (Dettmers 2023), section 4.
_LORA = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear"}
_LORA_SOURCE = "tuners/lora/config.py"

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="lora",
            summary="low-rank updates of all linear layers: the usual choice",
            config="LoraConfig",
            source=_LORA_SOURCE,
            settings=_LORA,
            training={"learning_rate": 2e-4},
        ),
    )
}
"""Method name -> method."""
