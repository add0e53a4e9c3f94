"""Initialise a small Llama with induction heads, which training would learn too late.

Layer 0 has two previous-token heads: they write the previous token (head 0) and the one before it
(head 1) into reserved dimensions of the residual stream. Layer 1 has two induction heads: they
attend to an earlier position whose previous token is the present one (head 0), or whose two
previous tokens are the present two (head 1), and copy the token there. Olsson et al. 2022,
"In-context Learning and Induction Heads". No weight is frozen afterwards; the model is a stock
``LlamaForCausalLM``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

HIDDEN, HEADS, HEAD_DIM, LAYERS, FEED_FORWARD = 192, 4, 48, 4, 512
_TOKEN = 128  # residual dimensions of the token embedding
_MATCH = 32  # residual dimensions per previous-token head, and rotary dimensions of a match
_EMBEDDING_SCALE = 0.05
_PREVIOUS_SHARPNESS, _PREVIOUS_PAIRS = 6.0, 12
_MATCH_SCALE, _COPY_SCALE = 2.0, 0.25
_DAMPED, _NEAR_ZERO = 0.4, 0.1


def model_config(vocab_size: int, *, eos: int, pad: int) -> LlamaConfig:
    """Return the ``LlamaConfig`` of the built-in base."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD_DIM,
        max_position_embeddings=1024,
        rope_theta=10_000.0,
        attention_bias=True,
        tie_word_embeddings=True,
        initializer_range=0.02,
        bos_token_id=None,
        eos_token_id=eos,
        pad_token_id=pad,
    )


def build_model(vocab_size: int, *, eos: int, pad: int, seed: int) -> LlamaForCausalLM:
    """Return a float32 model of ``vocab_size`` tokens with the induction heads in place."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    model = LlamaForCausalLM(model_config(vocab_size, eos=eos, pad=pad)).float()
    with torch.no_grad():
        _place_embedding(model)
        project = torch.linalg.qr(torch.randn(_TOKEN, _MATCH))[0].T
        _place_previous_token_heads(model, project)
        _place_induction_heads(model, project)
        for number, layer in enumerate(model.model.layers):
            layer.mlp.down_proj.weight.mul_(_DAMPED)
            if number > 1:
                layer.self_attn.o_proj.weight.mul_(_DAMPED)
    return model


def _place_embedding(model: LlamaForCausalLM) -> None:
    weight = model.model.embed_tokens.weight
    weight.normal_(0.0, _EMBEDDING_SCALE)
    weight[:, _TOKEN:].mul_(_NEAR_ZERO)


def _rows(head: int) -> slice:
    return slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)


def _place_previous_token_heads(model: LlamaForCausalLM, project: torch.Tensor) -> None:
    """Layer 0: attend one and two positions back, by query and key biases under RoPE alone."""
    import torch

    attention = model.model.layers[0].self_attn
    half = HEAD_DIM // 2
    attention.o_proj.weight.mul_(_DAMPED)
    gain = _EMBEDDING_SCALE / math.sqrt(HIDDEN / _TOKEN)
    for head, (distance, target) in enumerate(((1, _TOKEN), (2, _TOKEN + _MATCH))):
        for weight in (attention.q_proj.weight, attention.k_proj.weight):
            weight[_rows(head)].mul_(_NEAR_ZERO)
        start = head * HEAD_DIM
        for pair in range(_PREVIOUS_PAIRS):
            angle = distance * 10_000.0 ** (-2 * pair / HEAD_DIM)
            attention.q_proj.bias[start + pair] = _PREVIOUS_SHARPNESS
            attention.k_proj.bias[start + pair] = _PREVIOUS_SHARPNESS * math.cos(angle)
            attention.k_proj.bias[start + pair + half] = _PREVIOUS_SHARPNESS * math.sin(angle)
        attention.v_proj.weight[_rows(head)] = 0
        attention.v_proj.weight[start : start + _MATCH, :_TOKEN] = project
        attention.o_proj.weight[:, _rows(head)] = 0
        attention.o_proj.weight[target : target + _MATCH, start : start + _MATCH] = (
            gain * torch.eye(_MATCH)
        )


def _place_induction_heads(model: LlamaForCausalLM, project: torch.Tensor) -> None:
    """Layer 1: the match is carried by the low-frequency rotary dimensions."""
    import torch

    attention = model.model.layers[1].self_attn
    half, low = HEAD_DIM // 2, HEAD_DIM // 2 - _MATCH // 2
    slots = [*range(low, half), *range(low + half, 2 * half)]
    copy = torch.linalg.qr(torch.randn(_TOKEN, 2 * HEAD_DIM))[0].T
    attention.o_proj.weight.mul_(_DAMPED)
    for head in (0, 1):
        start = head * HEAD_DIM
        query, key = attention.q_proj.weight, attention.k_proj.weight
        query[_rows(head)].mul_(_NEAR_ZERO)
        key[_rows(head)].mul_(_NEAR_ZERO)
        for number, slot in enumerate(slots):
            row = start + slot
            query[row], key[row] = 0, 0
            if head == 0 or number % 2 == 0:
                query[row, :_TOKEN] = _MATCH_SCALE * project[number]
                key[row, _TOKEN + number] = _MATCH_SCALE
            else:
                query[row, _TOKEN + number] = _MATCH_SCALE
                key[row, _TOKEN + _MATCH + number] = _MATCH_SCALE
        rows = copy[head * HEAD_DIM : (head + 1) * HEAD_DIM]
        attention.v_proj.weight[_rows(head)] = 0
        attention.v_proj.weight[_rows(head), :_TOKEN] = rows
        attention.o_proj.weight[:, _rows(head)] = 0
        attention.o_proj.weight[:_TOKEN, _rows(head)] = _COPY_SCALE * rows.T
