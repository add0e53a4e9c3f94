"""The fine-tuning methods: one entry each, with its default hyperparameters and their sources.

A study names a method and overrides settings by PEFT's names and training arguments by TRL's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Settings = Mapping[str, object]
"""Settings by PEFT's names or training arguments by TRL's, as a study file can say them."""


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
    settings: Settings = field(default_factory=dict)
    training: Settings = field(default_factory=dict)
    quantization: Literal["none", "4bit", "8bit"] = "none"
    virtual_tokens: bool = False


TRAINING: Settings = MappingProxyType(
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
            training={"learning_rate": 2e-4},  # ten times full fine-tuning's, as is usual
        ),
        Method(
            name="qlora",
            summary="lora on a base held in 4 bits: a quarter of the memory, somewhat slower",
            config="LoraConfig",
            source=_LORA_SOURCE,
            settings=_LORA,
            training={"learning_rate": 2e-4},
            quantization="4bit",
        ),
        Method(
            name="dora",
            summary="lora with a learnt magnitude per column: closer to full, about half as fast",
            config="LoraConfig",
            source=_LORA_SOURCE,
            settings={**_LORA, "use_dora": True},
            training={"learning_rate": 2e-4},
        ),
        Method(
            name="rslora",
            summary="lora scaled by 1/sqrt(r), so that large ranks keep learning",
            config="LoraConfig",
            source=_LORA_SOURCE,
            settings={**_LORA, "r": 64, "lora_alpha": 16, "use_rslora": True},
            training={"learning_rate": 1e-4},
        ),
        Method(
            name="pissa",
            summary="lora that starts from the base's main directions: learns faster",
            config="LoraConfig",
            source=_LORA_SOURCE,
            settings={**_LORA, "init_lora_weights": "pissa_niter_16"},
            training={"learning_rate": 1e-4},
        ),
        Method(
            name="ia3",
            summary="learnt scales on keys, values and feed-forward: the fewest parameters",
            config="IA3Config",
            source="tuners/ia3/config.py",
            training={"learning_rate": 3e-3},  # Liu 2022, section 3.3
        ),
        Method(
            name="prompt_tuning",
            summary="learnt embeddings before every prompt; best on large bases",
            config="PromptTuningConfig",
            source="tuners/prompt_tuning/config.py",
            settings={"num_virtual_tokens": 20},
            training={"learning_rate": 3e-2},  # Lester 2021 takes 0.3 with Adafactor
            virtual_tokens=True,
        ),
        Method(
            name="p_tuning",
            summary="prompt tuning through a small learnt encoder, which trains more stably",
            config="PromptEncoderConfig",
            source="tuners/p_tuning/config.py",
            settings={"num_virtual_tokens": 20, "encoder_hidden_size": 128},
            training={"learning_rate": 3e-3},
            virtual_tokens=True,
        ),
        Method(
            name="prefix_tuning",
            summary="learnt keys and values before every layer's own",
            config="PrefixTuningConfig",
            source="tuners/prefix_tuning/config.py",
            settings={"num_virtual_tokens": 20},
            # The prefix lives in the cache, which recomputing activations would switch off.
            training={"learning_rate": 1e-2, "gradient_checkpointing": False},
            virtual_tokens=True,
        ),
        Method(
            name="vera",
            summary="lora with shared random matrices: only two learnt vectors a layer",
            config="VeraConfig",
            source="tuners/vera/config.py",
            settings={"r": 256, "target_modules": "all-linear"},
            training={"learning_rate": 4e-3},  # Kopiczko 2024, table 8
        ),
        Method(
            name="oft",
            summary="orthogonal rotations of the weights: keeps angles between neurons",
            config="OFTConfig",
            source="tuners/oft/config.py",
            settings={"oft_block_size": 32, "target_modules": "all-linear"},
            training={"learning_rate": 4e-4},
        ),
        Method(
            name="full",
            summary="all weights: the most capacity, the most memory, the most forgetting",
            config=None,
            training={"learning_rate": 2e-5},
        ),
    )
}
"""Method name -> method."""
