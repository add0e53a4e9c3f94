"""Keys and values of dialogues between their turns: a later turn reads only what is new in it.

A row that ends leaves what it has read, its own answer included. The next turn of that dialogue
begins with the same tokens, so that only those after the common beginning are computed, attending
to what is kept. What was said is encoded anew for the next prompt; where its ids differ from those
that were generated, the common beginning ends there and the rest is read again. So nothing but time
depends on what is kept: what there is no room for is computed.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.engine.prefix.attention import CachedPrefix, PackedRow
from harness.engine.prefix.prefill import Runner
from harness.engine.prefix.prefilled import Prompt
from harness.engine.prefix.trie import common_prefix_length

LEAST_TOKENS = 16
"""Common tokens below which a prompt is read with the others, whose beginnings it may share."""


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """What a row has read: token ids, and their KV per layer ``(KV, n, D)`` after a shared prefix.

    ``prefix`` holds the KV of an adapter's virtual tokens as well, which have no ids.
    """

    ids: tuple[int, ...]
    prefix: CachedPrefix | None
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @property
    def shared(self) -> int:
        """How many tokens the prefix has."""
        return self.prefix.length if self.prefix else 0

    @property
    def own_tokens(self) -> int:
        """How many tokens have their KV here."""
        return int(self.keys[0].shape[1])

    def up_to(self, length: int) -> "KeptTurn":
        """Return the same without what follows so many tokens, those of the prefix included."""
        own = slice(0, length - self.shared)
        return KeptTurn(
            self.ids,
            self.prefix,
            tuple(layer[:, own] for layer in self.keys),
            tuple(layer[:, own] for layer in self.values),
        )

    def whole(self) -> CachedPrefix:
        """Return the KV of all tokens in one piece."""
        if self.prefix is None:
            return CachedPrefix(self.keys, self.values)
        pairs = (
            zip(self.prefix.keys, self.keys, strict=True),
            zip(self.prefix.values, self.values, strict=True),
        )
        keys, values = (tuple(torch.cat(pair, dim=1) for pair in both) for both in pairs)
        return CachedPrefix(keys, values)


@dataclass(slots=True)
class KeptTurns:
    """What is kept of dialogues, by arm and item, the latest last: so many ``tokens`` in all."""

    tokens: int = 0
    _kept: "OrderedDict[Hashable, KeptTurn]" = field(default_factory=OrderedDict)

    def put(self, dialogue: Hashable, turn: KeptTurn, *, most_tokens: int) -> None:
        """Keep a turn, and as many of those before it as there is room for."""
        self.take(dialogue)
        self._kept[dialogue] = turn
        self.tokens += turn.own_tokens
        while self.tokens > most_tokens:
            self.take(next(iter(self._kept)))

    def take(self, dialogue: Hashable) -> KeptTurn | None:
        """Give back what is kept of a dialogue, and keep it no longer."""
        found = self._kept.pop(dialogue, None)
        self.tokens -= found.own_tokens if found else 0
        return found

    def clear(self) -> None:
        """Keep nothing: memory is short."""
        self._kept.clear()
        self.tokens = 0

    def begun(self, prompt: Prompt, offset: int) -> KeptTurn | None:
        """Return what is kept of a prompt's beginning; None where that is little.

        Args:
            prompt: The next turn.
            offset: How many virtual tokens stand before every context.
        """
        found = self.take(prompt.dialogue) if prompt.dialogue is not None else None
        if found is None:
            return None
        # the last token is read in any case: what follows it is wanted
        common = min(common_prefix_length(found.ids, prompt.context), len(prompt.context) - 1)
        if common < LEAST_TOKENS or common + offset <= found.shared:
            return None
        return found.up_to(common + offset)


@dataclass(frozen=True, slots=True)
class Continued:
    """A prompt of which the beginning is kept: what follows the new tokens, and their KV."""

    index: int
    kept: KeptTurn
    logits: Tensor  # (V,)
    keys: list[list[Tensor]]
    values: list[list[Tensor]]


def read_on(
    runner: Runner, prompts: Sequence[Prompt], kept: dict[int, KeptTurn]
) -> list[Continued]:
    """Prefill what is new in some prompts, side by side in one packed row.

    Args:
        runner: The model.
        prompts: All prompts.
        kept: By the index of a prompt, what is kept of its beginning.
    """
    indices = sorted(kept, key=lambda index: prompts[index].arm)
    offset = runner.position_offset
    ids, positions, arms = list[int](), list[int](), list[int]()
    spans, masks = [], list[Tensor | None]()
    for index in indices:
        prompt, begun = prompts[index], kept[index].shared + kept[index].own_tokens
        new = prompt.context[begun - offset :]
        spans.append((len(ids), len(ids) + len(new)))
        ids.extend(new)
        positions.extend(range(begun, begun + len(new)))
        arms.extend([prompt.arm] * len(new))
        masks.append(_mask(begun, len(new), runner.like))
    row = PackedRow(
        input_ids=torch.tensor(ids, device=runner.like.device)[None],
        position_ids=torch.tensor(positions, device=runner.like.device)[None],
        spans=spans,
        masks=masks,
        prefixes=[kept[index].whole() for index in indices],
        max_context=max(positions) + 1,
        node_starts={},
        arms=arms,
        capture_kv=True,
    )
    last = torch.tensor([stop - 1 for _, stop in spans], device=runner.like.device)
    logits = runner.forward(row.input_ids, row.position_ids, row, last)  # (R, V)
    found = []
    for slot, index in enumerate(indices):
        start, stop = spans[slot]
        keys, values = (
            [
                [own, new[layer][:, start:stop]]
                for layer, own in zip(sorted(new), before, strict=True)
            ]
            for new, before in ((row.keys, kept[index].keys), (row.values, kept[index].values))
        )
        found.append(Continued(index, kept[index], logits[slot], keys, values))
    return found


def _mask(before: int, new: int, like: Tensor) -> Tensor:
    """Return the additive mask ``(new, before + new)`` of tokens after others that all may see."""
    blocked = torch.ones(new, before + new, dtype=torch.bool).triu(before + 1)
    mask = torch.zeros(blocked.shape, dtype=like.dtype)
    return mask.masked_fill_(blocked, torch.finfo(like.dtype).min).to(like.device)
