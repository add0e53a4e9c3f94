"""Prefill of a whole trie: shared prefixes first, then what follows them, in batches that fit.

The loop is a depth-first walk over the units of `trie.plan_units`. A unit is ready once its prefix
is cached; a prefix is freed as soon as its last unit has run, so that few are held at a time,
however large the trie. When memory runs out the batch is halved and tried again.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.engine.prefix import attention
from harness.engine.prefix.attention import AttentionPlan, CachedPrefix, PackedRow
from harness.engine.prefix.trie import PrefillUnit, Trie, TrieToken
from harness.models.hardware import is_out_of_memory, release_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger("harness.engine")

LOGIT_BYTES = 256 * 2**20
"""How much one batch's float32 logits may take."""


@dataclass(slots=True)
class Runner:
    """A model with one arm active, or several that share it, and how much it is given at once.

    Attributes:
        model: The arm's model, with packed attention.
        like: A tensor with the model's device and dtype.
        vocab_size: Width of the logits.
        batch_tokens: Tokens per forward pass; halved for good when memory runs out.
        kv_cache_tokens: Tokens that the rows of a decode batch may hold in caches of their own;
            half as many are prefilled ahead for them.
        prefill_chunk_tokens: Distinct tokens that make one trie at most.
        max_rows: Rows that are decoded together at most; halved for good when memory runs out.
        virtual_prefix: The KV of an adapter's virtual tokens, which come before every context.
        tell_arms: Is told the number of each token's arm before a pass that several arms share.
    """

    model: "PreTrainedModel"
    like: Tensor
    vocab_size: int
    batch_tokens: int
    kv_cache_tokens: int
    prefill_chunk_tokens: int = 2**17
    max_rows: int = 256
    virtual_prefix: CachedPrefix | None = None
    tell_arms: Callable[[Sequence[int]], None] | None = None

    def forward(
        self,
        input_ids: Tensor,  # (1, N)
        position_ids: Tensor,  # (1, N)
        plan: AttentionPlan,
        logit_indices: Tensor,  # (L,)
    ) -> Tensor:
        """Return the logits ``(L, V)`` at some indices of a packed row."""
        if self.tell_arms is not None:
            self.tell_arms(plan.arms)
        return attention.forward(self.model, input_ids, position_ids, plan, logit_indices)

    def halve(self, tokens: int, rows: int) -> bool:
        """Do half as much at once as was too much; False where that was one row alone.

        Args:
            tokens: Of everything that was to be done, new ones counted in.
            rows: How many there were.
        """
        self.batch_tokens = max(1, min(self.batch_tokens, tokens) // 2)
        self.kv_cache_tokens = max(1, min(self.kv_cache_tokens, tokens) // 2)
        self.prefill_chunk_tokens = max(1, min(self.prefill_chunk_tokens, tokens) // 2)
        known = min(self.max_rows, rows)
        self.max_rows = max(1, known // 2)
        return known > 1 or self.prefill_chunk_tokens > 1

    @property
    def position_offset(self) -> int:
        """The position of a context's first token: after the virtual tokens, if there are any."""
        return self.virtual_prefix.length if self.virtual_prefix else 0

    @property
    def max_logits(self) -> int:
        """How many tokens of one batch may go through the output head."""
        return max(256, LOGIT_BYTES // (4 * self.vocab_size))


@dataclass(frozen=True, slots=True)
class PrefillBatch:
    """One finished forward pass over some units; ``logits[i]`` follow ``tokens[i]``."""

    units: list[int]
    row: PackedRow
    tokens: list[TrieToken]
    logits: Tensor  # (len(tokens), V)


class OutOfMemoryError(Exception):
    """Memory ran out although a single unit was computed alone; ``units`` could not be."""

    def __init__(self, units: list[int]) -> None:
        super().__init__("out of memory")
        self.units = units


def prefill(
    runner: Runner,
    trie: Trie,
    units: Sequence[PrefillUnit],
    wanted: Mapping[int, Sequence[int]],
    *,
    capture_kv: bool = False,
) -> Iterator[PrefillBatch | OutOfMemoryError]:
    """Run every unit of a trie once and yield the logits at the wanted offsets of each node.

    With ``capture_kv`` the keys and values of every unit stay in its batch's row. Units that cannot
    be computed for lack of memory are yielded as an `OutOfMemoryError`, with all that follow them.
    """
    followers: dict[int | None, list[int]] = defaultdict(list)
    for index, unit in enumerate(units):
        followers[unit.prefix].append(index)
    pending = {prefix: len(indices) for prefix, indices in followers.items()}
    cached: dict[int, CachedPrefix] = {}
    ready = followers[None][::-1]  # a stack: the next unit is its last
    while ready:
        # 1. Take as many ready units as fit one forward pass.
        indices = _pop_batch(runner, units, ready, wanted)
        # 2. Run them; when memory runs out, retry with half, or give up on a unit alone.
        try:
            batch = _run_batch(runner, trie, units, indices, cached, wanted, capture_kv)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            batch = None
        if batch is None:
            release_memory()
            if len(indices) > 1:
                runner.batch_tokens = max(1, sum(units[i].num_tokens for i in indices) // 2)
                log.warning("out of memory: retrying with %d tokens per batch", runner.batch_tokens)
                ready += indices[::-1]
                continue
            yield OutOfMemoryError(_with_followers(indices[0], followers))
        for slot, index in enumerate(indices):
            # 3. Cache a shared prefix, which makes the units after it ready.
            if batch is not None and units[index].cached:
                cached[index] = batch.row.cached_prefix(slot)
                ready += followers[index][::-1]
            # 4. Free the prefix of a unit if it was the last to need it.
            prefix = units[index].prefix
            pending[prefix] -= 1
            if prefix is not None and not pending[prefix]:
                del cached[prefix]
        if batch is not None:
            yield batch


def _with_followers(unit: int, followers: Mapping[int | None, Sequence[int]]) -> list[int]:
    """Return a unit and all that come after it."""
    units = [unit]
    for index in units:
        units += followers.get(index, ())
    return units


def _pop_batch(
    runner: Runner,
    units: Sequence[PrefillUnit],
    ready: list[int],
    wanted: Mapping[int, Sequence[int]],
) -> list[int]:
    """Pop as many units as fit one forward pass, at least one."""
    tokens = logits = count = 0
    for index in reversed(ready):
        tokens += units[index].num_tokens
        logits += sum(len(wanted.get(node, ())) for node in units[index].nodes)
        if count and (tokens > runner.batch_tokens or logits > runner.max_logits):
            break
        count += 1
    batch = ready[-count:][::-1]
    del ready[-count:]
    return batch


def _run_batch(
    runner: Runner,
    trie: Trie,
    units: Sequence[PrefillUnit],
    indices: list[int],
    cached: Mapping[int, CachedPrefix],
    wanted: Mapping[int, Sequence[int]],
    capture_kv: bool,
) -> PrefillBatch:
    """Run the units with some indices in one row, those of an arm side by side."""
    indices.sort(key=lambda index: trie.nodes[units[index].nodes[0]].arm)
    chosen = [units[index] for index in indices]
    row = attention.pack_units(
        trie,
        chosen,
        [runner.virtual_prefix if u.prefix is None else cached[u.prefix] for u in chosen],
        like=runner.like,
        position_offset=runner.position_offset,
        capture_kv=capture_kv or any(unit.cached for unit in chosen),
    )
    tokens = [
        TrieToken(node, offset)
        for unit in chosen
        for node in unit.nodes
        for offset in sorted(set(wanted.get(node, ())))
    ]
    logit_indices = torch.tensor(
        [row.node_starts[token.node] + token.offset for token in tokens],
        dtype=torch.long,
        device=runner.like.device,
    )
    logits = runner.forward(row.input_ids, row.position_ids, row, logit_indices)
    return PrefillBatch(indices, row, tokens, logits)
