"""Packed tree attention: one row without padding, each token attends to its own ancestors.

All tokens of a batch stand in one row ``(1, N)``, so that the matrix products see only real tokens.
Within a unit of the trie a tree attention mask lets a token see its prefix and itself, as SpecInfer
(Miao et al. 2024) and Medusa (Cai et al. 2024) verify trees of drafted tokens; what came before the
unit is read from a `CachedPrefix`.

`_packed_attention` is registered with transformers' extension point for attention functions. It is
handed an `AttentionPlan`: a `PackedRow` during prefill, a `decode.DecodeBatch` while decoding.
Called without one it is transformers' SDPA attention, so that ordinary calls of the model stay
ordinary.

Shapes: N tokens of a row, Q of one unit, P of a cached prefix (K = P + Q), H query heads, KV
key-value heads (G = H / KV query heads share one), D head size, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from harness.engine.prefix.trie import PrefillUnit, Trie

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "harness_packed"
"""The attention implementation's name within transformers."""

_HARMLESS = {"position_ids", "use_cache", "is_causal", "output_attentions", "cache_position"}
"""Arguments of an attention function that change nothing here."""


class UnsupportedAttentionError(Exception):
    """The model's attention does something that packing does not reproduce."""


class AttentionPlan(Protocol):
    """Who attends to whom in one packed row; ``max_context`` is its longest context in tokens."""

    max_context: int

    @property
    def arms(self) -> Sequence[int]:
        """The number of the arm that reads each token of the row."""
        ...

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Map ``(H, N, D)`` queries to ``(H, N, D)`` outputs; keys and values ``(KV, N, D)``."""


@dataclass(frozen=True, slots=True)
class CachedPrefix:
    """The KV cache of a shared prefix: per layer ``(KV, P, D)``, those of ``parent`` included."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    parent: "CachedPrefix | None" = None

    @property
    def length(self) -> int:
        """The number of tokens of the prefix."""
        return int(self.keys[0].shape[1])

    @property
    def own_tokens(self) -> int:
        """The number of tokens that ``parent`` does not have."""
        return self.length - (self.parent.length if self.parent else 0)


def _packed_attention(
    module: torch.nn.Module,
    query: Tensor,  # (1, H, N, D)
    key: Tensor,  # (1, KV, N, D)
    value: Tensor,  # (1, KV, N, D)
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    harness_plan: AttentionPlan | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    if harness_plan is None:
        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask,
            scaling=scaling, sliding_window=sliding_window, **kwargs,
        )  # fmt: skip
        return out, None
    kwargs.pop("dropout", None)
    if sliding_window is not None and harness_plan.max_context > sliding_window:
        raise UnsupportedAttentionError(f"sliding window of {sliding_window} tokens")
    for name, given in kwargs.items():
        if given is not None and name not in _HARMLESS and not isinstance(given, bool):
            raise UnsupportedAttentionError(f"attention with {name}")
    scale = scaling or query.shape[-1] ** -0.5
    out = harness_plan.attend(module.layer_idx, query[0], key[0], value[0], scale)  # (H, N, D)
    return out.transpose(0, 1).unsqueeze(0).contiguous(), None  # (1, N, H, D)


AttentionInterface.register(NAME, _packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


@dataclass(slots=True, eq=False)
class PackedRow:
    """Prefill units side by side in one row.

    Per unit, ``spans`` has its start and stop in the row, ``masks`` its additive attention mask
    ``(Q, K)`` (None: plain causal, without a prefix) and ``prefixes`` what is cached before it.
    ``node_starts`` says where in the row each node of the trie begins, ``arms`` whose each token
    is. With ``capture_kv`` the row's keys and values are captured per layer.
    """

    input_ids: Tensor  # (1, N)
    position_ids: Tensor  # (1, N)
    spans: list[tuple[int, int]]
    masks: list[Tensor | None]
    prefixes: list[CachedPrefix | None]
    max_context: int
    node_starts: dict[int, int]
    arms: Sequence[int]
    capture_kv: bool = False
    keys: dict[int, Tensor] = field(default_factory=dict)  # layer -> (KV, N, D)
    values: dict[int, Tensor] = field(default_factory=dict)  # layer -> (KV, N, D)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attend unit by unit; query heads that share a key-value head see it without copies."""
        if self.capture_kv:
            self.keys[layer], self.values[layer] = key, value
        heads, tokens, _ = query.shape
        query = query.unflatten(0, (len(key), -1))  # (KV, G, N, D)
        group = query.shape[1]
        out = value.new_empty(tokens, *query.shape[:2], value.shape[-1])  # (N, KV, G, D)
        for (start, stop), mask, prefix in zip(self.spans, self.masks, self.prefixes, strict=True):
            # 1. The unit's own keys and values, after those of its prefix: (KV, K, D).
            keys, values = key[:, start:stop], value[:, start:stop]
            if prefix is not None:
                keys = torch.cat((prefix.keys[layer], keys), dim=1)
                values = torch.cat((prefix.values[layer], values), dim=1)
            # 2. Attention under the unit's tree mask.
            unit_out = scaled_dot_product_attention(
                query[:, :, start:stop],  # (KV, G, Q, D)
                keys.unsqueeze(1).expand(-1, group, -1, -1),  # (KV, G, K, D)
                values.unsqueeze(1).expand(-1, group, -1, -1),  # (KV, G, K, D)
                attn_mask=mask,
                is_causal=mask is None,
                scale=scale,
            )  # (KV, G, Q, D)
            # 3. Back into the row.
            out[start:stop] = unit_out.permute(2, 0, 1, 3)
        return out.view(tokens, heads, -1).transpose(0, 1)  # (H, N, D)

    def cached_prefix(self, slot: int) -> CachedPrefix:
        """Return the KV of the unit in a slot together with all that came before it."""
        start, stop = self.spans[slot]
        parent = self.prefixes[slot]
        layers = sorted(self.keys)
        keys = [self.keys[layer][:, start:stop] for layer in layers]
        values = [self.values[layer][:, start:stop] for layer in layers]
        if parent is None:
            keys, values = [key.clone() for key in keys], [value.clone() for value in values]
        else:
            keys = [torch.cat(pair, dim=1) for pair in zip(parent.keys, keys, strict=True)]
            values = [torch.cat(pair, dim=1) for pair in zip(parent.values, values, strict=True)]
        return CachedPrefix(tuple(keys), tuple(values), parent)


def pack_units(
    trie: Trie,
    units: Sequence[PrefillUnit],
    prefixes: Sequence[CachedPrefix | None],
    *,
    like: Tensor,
    position_offset: int,
    capture_kv: bool,
) -> PackedRow:
    """Lay units out in one row.

    Args:
        trie: What the units are cut from.
        units: In the order that they take in the row.
        prefixes: What is cached before each of them.
        like: Has the device and dtype of the masks.
        position_offset: The position of a context's first token.
        capture_kv: Keep the row's keys and values.
    """
    ids: list[int] = []
    positions: list[int] = []
    arms: list[int] = []
    spans, masks, node_starts = [], [], {}
    for unit, prefix in zip(units, prefixes, strict=True):
        start = len(ids)
        for index in unit.nodes:
            node = trie.nodes[index]
            node_starts[index] = len(ids)
            ids.extend(node.tokens)
            arms.extend([node.arm] * len(node.tokens))
            positions.extend(range(position_offset + node.start, position_offset + node.end))
        spans.append((start, len(ids)))
        masks.append(_tree_mask(trie, unit, prefix.length if prefix else 0, like))
    return PackedRow(
        input_ids=torch.tensor(ids, device=like.device)[None],
        position_ids=torch.tensor(positions, device=like.device)[None],
        spans=spans,
        masks=masks,
        prefixes=list(prefixes),
        max_context=max(positions) + 1,
        node_starts=node_starts,
        arms=arms,
        capture_kv=capture_kv,
    )


def _tree_mask(trie: Trie, unit: PrefillUnit, prefix_tokens: int, like: Tensor) -> Tensor | None:
    """Return a unit's additive mask ``(Q, K)``: a token sees the prefix, its ancestors, itself."""
    if len(unit.nodes) == 1 and not prefix_tokens:
        return None
    allowed = torch.zeros(unit.num_tokens, prefix_tokens + unit.num_tokens, dtype=torch.bool)
    allowed[:, :prefix_tokens] = True
    columns: dict[int, slice] = {}
    offset = 0
    for index in unit.nodes:
        length = len(trie.nodes[index].tokens)
        rows = slice(offset, offset + length)
        columns[index] = slice(prefix_tokens + offset, prefix_tokens + offset + length)
        for ancestor in trie.path(trie.nodes[index].parent):
            if ancestor not in columns:  # it is part of the cached prefix
                break
            allowed[rows, columns[ancestor]] = True
        allowed[rows, columns[index]] = torch.ones(length, length).tril().bool()
        offset += length
    mask = torch.zeros(allowed.shape, dtype=like.dtype)
    return mask.masked_fill_(~allowed, torch.finfo(like.dtype).min).to(like.device)


def forward(
    model: "PreTrainedModel",
    input_ids: Tensor,  # (1, N)
    position_ids: Tensor,  # (1, N)
    plan: AttentionPlan,
    logit_indices: Tensor,  # (L,)
) -> Tensor:
    """Return the logits ``(L, V)`` at some indices of a packed row.

    The four-dimensional dummy mask tells transformers to build none of its own.
    """
    with torch.no_grad():
        out = model(
            input_ids=input_ids,
            position_ids=position_ids,
            attention_mask=input_ids.new_ones(1, 1, 1, 1),
            use_cache=False,
            logits_to_keep=logit_indices,
            harness_plan=plan,
        )
    return out.logits[0]


def prefill_embeddings(model: "PreTrainedModel", embeddings: Tensor) -> CachedPrefix:
    """Return the KV that embeddings ``(1, P, width)``, such as virtual tokens, leave behind."""
    length = embeddings.shape[1]
    positions = torch.arange(length, device=embeddings.device)[None]  # (1, P)
    row = PackedRow(
        input_ids=positions, position_ids=positions, spans=[(0, length)], masks=[None],
        prefixes=[None], max_context=length, node_starts={}, arms=[0] * length, capture_kv=True,
    )  # fmt: skip
    with torch.no_grad():
        model(
            inputs_embeds=embeddings,
            position_ids=positions,
            attention_mask=positions.new_ones(1, 1, 1, 1),
            use_cache=False,
            logits_to_keep=positions.new_zeros(1),
            harness_plan=row,
        )
    return row.cached_prefix(0)
