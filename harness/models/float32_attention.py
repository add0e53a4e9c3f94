"""Attention in float32 within a training in bfloat16, where a CPU computes it faster."""

from typing import TYPE_CHECKING

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHORT = 512
"""Tokens of the longest row up to which float32 is faster."""

NAME = "sdpa_float32"


def take_float32_attention(model: "PreTrainedModel") -> None:
    """Compute PyTorch's fused attention in float32 on a CPU without AMX.

    Its backward pass in bfloat16 takes 2.5 times as long as in float32 at 90 tokens, twice at 128,
    a fifth more at 256 and as long at 512 (PyTorch 2.13, processor time on one thread). Nothing is
    rounded that was not.
    """
    fused = model.config._attn_implementation == "sdpa"
    if fused and model.device.type == "cpu" and not torch.cpu._is_amx_tile_supported():
        AttentionInterface.register(NAME, _float32)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def _float32(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: object,
) -> tuple[torch.Tensor, None]:
    with torch.autocast("cpu", enabled=False):
        wide = (query.float(), key.float(), value.float())
        found, _ = sdpa_attention_forward(module, *wide, attention_mask, **options)
    return found.to(query.dtype), None
