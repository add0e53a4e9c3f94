"""Prompt-learning adapters as keys and values that come before every prompt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from harness.engine.prefix import attention
from harness.engine.prefix.attention import CachedPrefix
from harness.engine.prefix.prefill import Runner

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import Cache


def virtual_prefix(adapted: "PeftModel", runner: Runner) -> CachedPrefix:
    """Return the keys and values of a prompt-learning adapter's virtual tokens.

    Prefix tuning learns them directly; prompt tuning and P-tuning learn embeddings, which go
    through the base once.

    Args:
        adapted: The PEFT model around the base.
        runner: The base with packed attention.
    """
    with torch.no_grad():
        prompt = adapted.get_prompt(batch_size=1)
        if not isinstance(prompt, torch.Tensor):
            return _of_cache(prompt, runner)
        return attention.prefill_embeddings(runner.model, prompt.to(runner.like.dtype))


def _of_cache(cache: "Cache | Sequence[Sequence[torch.Tensor]]", runner: Runner) -> CachedPrefix:
    """Read transformers' cache object, or the older tuple of key and value per layer."""
    if hasattr(cache, "layers"):
        pairs = [(layer.keys, layer.values) for layer in cache.layers]
    else:
        pairs = [(entry[0], entry[1]) for entry in cache]
    keys = tuple(key[0].to(runner.like) for key, _ in pairs)
    values = tuple(value[0].to(runner.like) for _, value in pairs)
    return CachedPrefix(keys, values)
