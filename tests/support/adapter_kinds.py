"""One adapter configuration of every kind that the engine switches."""

from typing import Any

from peft import (
    IA3Config,
    LoraConfig,
    OFTConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    VeraConfig,
)

TASK = {"task_type": "CAUSAL_LM"}


KINDS: dict[str, Any] = {
    "lora": LoraConfig(r=4, target_modules="all-linear", **TASK),
    "dora": LoraConfig(r=2, target_modules=["q_proj", "up_proj"], use_dora=True, **TASK),
    "rslora": LoraConfig(r=4, target_modules=["v_proj", "o_proj"], use_rslora=True, **TASK),
    "saved": LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"], **TASK),
    "pissa": LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights="pissa", **TASK),
    "ia3": IA3Config(**TASK),
    "vera": VeraConfig(r=4, target_modules=["q_proj", "k_proj"], **TASK),
    "oft": OFTConfig(target_modules=["q_proj"], oft_block_size=4, **TASK),
    "prompt": PromptTuningConfig(num_virtual_tokens=5, **TASK),
    "ptuning": PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=32, **TASK),
    "prefix": PrefixTuningConfig(num_virtual_tokens=6, **TASK),
}
