"""One forward pass over a packed row: no padding, each unit of the trie attends to what it may.

All tokens of a batch stand in one row ``[1, N]``, so that the matrix products see only real tokens.
The attention function below is registered with transformers' own extension point and is handed a
`Pack` (or, while decoding, a `decode.Rows`) that knows who attends to whom. Called
without one it is transformers' SDPA attention, so that ordinary calls of the model stay ordinary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from harness.engine.prefix.trie import Trie, Unit

NAME = "harness_packed"
"""The attention implementation's name within transformers."""

_PLAIN = {"position_ids", "use_cache", "is_causal", "output_attentions", "cache_position"}


class UnsupportedAttentionError(Exception):
    """The model's attention does something that packing does not reproduce."""


class Plan(Protocol):
    """Who attends to whom in one packed row."""

    longest: int

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Map ``[heads, N, d]`` queries to ``[heads, N, d]`` outputs."""


@dataclass(frozen=True, slots=True)
class Past:
    """Keys and values of a prefix that goes on from ``before``, per layer ``[kv_heads, P, d]``."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    before: "Past | None" = None

    @property
    def length(self) -> int:
        """The number of tokens of the prefix."""
        return int(self.keys[0].shape[1])

    @property
    def fresh(self) -> int:
        """The number of tokens that ``before`` does not have."""
        return self.length - (self.before.length if self.before else 0)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **kwargs: Any
) -> tuple[Tensor, None]:
    plan: Plan | None = kwargs.pop("harness_plan", None)
    if plan is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    scale = kwargs.pop("scaling", None) or query.shape[-1] ** -0.5
    window = kwargs.pop("sliding_window", None)
    kwargs.pop("dropout", None)
    if window is not None and plan.longest > window:
        raise UnsupportedAttentionError(f"sliding window of {window} tokens")
    for name, given in kwargs.items():
        if given is not None and name not in _PLAIN and not isinstance(given, bool):
            raise UnsupportedAttentionError(f"attention with {name}")
    out = plan.attend(module.layer_idx, query[0], key[0], value[0], scale)
    return out.transpose(0, 1).unsqueeze(0).contiguous(), None


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


@dataclass(slots=True)
class Pack:
    """Units in one row: ``spans`` are their places, ``masks`` what they may see.

    A mask is additive, ``[queries, past + own]`` in the model's dtype, or None for a plain causal
    run without a past. ``places`` says where in the row each node of the trie begins. With
    ``capture`` the row's keys and values are remembered per layer.
    """

    ids: Tensor
    positions: Tensor
    spans: list[tuple[int, int]]
    masks: list[Tensor | None]
    pasts: list[Past | None]
    longest: int
    places: dict[int, int]
    capture: bool = False
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attend unit by unit; heads that share a key see it as one, without copies of it."""
        if self.capture:
            self.keys[layer], self.values[layer] = key, value
        heads, count, _ = query.shape
        asked = query.unflatten(0, (len(key), -1))
        out = value.new_empty(count, *asked.shape[:2], value.shape[-1])
        for (start, stop), mask, past in zip(self.spans, self.masks, self.pasts, strict=True):
            keys, values = key[:, start:stop], value[:, start:stop]
            if past is not None:
                keys = torch.cat((past.keys[layer], keys), dim=1)
                values = torch.cat((past.values[layer], values), dim=1)
            found = scaled_dot_product_attention(
                asked[:, :, start:stop],
                keys.unsqueeze(1).expand(-1, asked.shape[1], -1, -1),
                values.unsqueeze(1).expand(-1, asked.shape[1], -1, -1),
                attn_mask=mask,
                is_causal=mask is None,
                scale=scale,
            )
            out[start:stop] = found.permute(2, 0, 1, 3)
        return out.view(count, heads, -1).transpose(0, 1)

    def past_of(self, unit: int) -> Past:
        """Return the keys and values of a kept unit together with all that came before it."""
        start, stop = self.spans[unit]
        before = self.pasts[unit]
        keys, values = (
            tuple(
                torch.cat((old[layer], rows[layer][:, start:stop]), dim=1)
                if old
                else rows[layer][:, start:stop].clone()
                for layer in sorted(rows)
            )
            for rows, old in (
                (self.keys, before and before.keys),
                (self.values, before and before.values),
            )
        )
        return Past(keys, values, before)


def pack(
    trie: Trie,
    chosen: Sequence[Unit],
    pasts: Sequence[Past | None],
    *,
    like: Tensor,
    offset: int,
    capture: bool,
) -> Pack:
    """Lay units out in one row.

    ``like`` gives device and dtype of the masks, ``offset`` the position of a prompt's first token.
    """
    ids: list[int] = []
    positions: list[int] = []
    spans, masks, places = [], [], {}
    for unit, past in zip(chosen, pasts, strict=True):
        start = len(ids)
        for index in unit.nodes:
            node = trie.nodes[index]
            places[index] = len(ids)
            ids.extend(node.tokens)
            positions.extend(range(offset + node.start, offset + node.end))
        spans.append((start, len(ids)))
        masks.append(_mask(trie, unit, past.length if past else 0, like))
    return Pack(
        ids=torch.tensor(ids, device=like.device)[None],
        positions=torch.tensor(positions, device=like.device)[None],
        spans=spans,
        masks=masks,
        pasts=list(pasts),
        longest=max(positions) + 1,
        places=places,
        capture=capture,
    )


def _mask(trie: Trie, unit: Unit, past: int, like: Tensor) -> Tensor | None:
    """Return what each token of a unit may see: the past, its ancestors, and itself."""
    if len(unit.nodes) == 1 and not past:
        return None
    allowed = torch.zeros(unit.size, past + unit.size, dtype=torch.bool)
    allowed[:, :past] = True
    place: dict[int, tuple[int, int]] = {}
    offset = 0
    for index in unit.nodes:
        length = len(trie.nodes[index].tokens)
        rows = slice(offset, offset + length)
        place[index] = (past + offset, past + offset + length)
        for ancestor in trie.path(trie.nodes[index].parent):
            if ancestor not in place:
                break
            allowed[rows, slice(*place[ancestor])] = True
        allowed[rows, slice(*place[index])] = torch.ones(length, length).tril().bool()
        offset += length
    mask = torch.zeros(allowed.shape, dtype=like.dtype)
    return mask.masked_fill_(~allowed, torch.finfo(like.dtype).min).to(like.device)


def forward(model: Any, ids: Tensor, positions: Tensor, plan: Plan, wanted: Tensor) -> Tensor:
    """Return the logits ``[len(wanted), vocabulary]`` at the wanted places of a packed row.

    The four-dimensional dummy mask tells transformers to build none of its own.
    """
    with torch.no_grad():
        out = model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=ids.new_ones(1, 1, 1, 1),
            use_cache=False,
            logits_to_keep=wanted,
            harness_plan=plan,
        )
    return out.logits[0]


def forward_embedded(model: Any, embeddings: Tensor, row: Pack) -> None:
    """Run embeddings ``[1, N, width]`` instead of tokens, for the keys and values they leave."""
    with torch.no_grad():
        model(
            inputs_embeds=embeddings,
            position_ids=row.positions,
            attention_mask=row.ids.new_ones(1, 1, 1, 1),
            use_cache=False,
            logits_to_keep=row.ids.new_zeros(1),
            harness_plan=row,
        )
