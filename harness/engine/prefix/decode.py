"""Decode steps for many rows: own KV in one buffer, shared prefixes read once per step.

Each row has its own keys and values in a buffer and points to the prefix that it shares with other
rows. A step attends to the two parts apart and merges them by their log-sum-exp:

    out = (e^lse_own * out_own + e^lse_prefix * out_prefix) / (e^lse_own + e^lse_prefix)
        = lerp(out_own, out_prefix, sigmoid(lse_prefix - lse_own))

which is exact attention over both (split-KV as in Flash-Decoding, Dao et al. 2023; for shared
prefixes Hydragen, Juravsky et al. 2024, and cascade attention in FlashInfer). So neither memory nor
time grows with rows times prefix.

A step may read guessed tokens after a row's last one (`drafts.repeated`): those that turn out right
save a step each. The model reads N tokens then, side by side; attention is computed for as many of
each row as the longest guess makes, since it is the keys that take time there.

Shapes: R rows of the batch, N tokens that a step reads, M at most of a row, W width of the buffers
in tokens, P of a shared prefix, H query heads, KV key-value heads (G = H / KV query heads share
one), D head size.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.engine.decoding.sampling import NextToken, SamplingParams
from harness.engine.decoding.stopping import GeneratedText
from harness.engine.prefix.attention import CachedPrefix
from harness.engine.prefix.drafts import repeated, searchable

_GROW_TOKENS = 32
"""The buffers' width is a multiple of this."""

_RESERVED_NEW_TOKENS = 256
"""New tokens for which a row reserves KV cache; few answers are longer."""

_MAX_TRUSTED = 15
"""Guessed tokens that are trusted at most."""


@dataclass(slots=True, eq=False)
class DecodeRow:
    """One request while it is generated.

    Attributes:
        index: Of the prompt.
        text: What has been generated.
        params: How tokens are chosen.
        last_token: The last token of ``text``, not yet read by the model.
        position: Of ``last_token``.
        prefix: The KV that other rows may share.
        keys: Per layer the pieces ``(KV, n, D)`` that follow the prefix, not copied before the row
            joins a batch; empty while it is in one.
        values: Likewise.
        context: Token ids of the prompt.
        arm: The number of the arm that answers.
        dialogue: Of which this is a turn that another follows, None elsewhere.
        said: The tokens of ``context`` and of ``text`` that were looked at, as `drafts.searchable`.
        guess: What is guessed to follow ``last_token``, since the answer repeats something.
        trusted: How many guessed tokens a step reads: twice as many as were right, none after one
            that was wrong, until a guess that is only looked at is right again.
        reserved_tokens: KV cache that the row needs at most, very long answers aside.
    """

    index: int
    text: GeneratedText
    params: SamplingParams
    last_token: int
    position: int
    prefix: CachedPrefix | None
    keys: list[list[Tensor]]
    values: list[list[Tensor]]
    context: tuple[int, ...] = ()
    arm: int = 0
    dialogue: Hashable | None = None
    said: str = ""
    guess: list[int] = field(default_factory=list)
    trusted: int = 0
    reserved_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        new_tokens = self.params.most_tokens - len(self.text.ids)
        self.reserved_tokens = self.own_tokens + min(new_tokens, _RESERVED_NEW_TOKENS)

    @property
    def own_tokens(self) -> int:
        """How many tokens stand in ``keys``."""
        return sum(piece.shape[1] for piece in self.keys[0])

    def own_pieces(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return its own keys and values before it joins a batch, per layer in one piece."""
        return (
            [torch.cat(pieces, dim=1) for pieces in self.keys],
            [torch.cat(pieces, dim=1) for pieces in self.values],
        )

    def look_ahead(self, most: int) -> list[int]:
        """Guess what follows; return the tokens that are worth reading, so many at most."""
        if not self.said:
            self.said = searchable(self.context)
        self.said += searchable(self.text.ids[len(self.said) - len(self.context) :])
        trusted = min(self.trusted, most)
        self.guess = repeated(self.said, max(1, trusted))
        left = self.params.most_tokens - len(self.text.ids) - 1
        return self.guess[: min(trusted, left)]

    def judge_guess(self, followed: list[int]) -> None:
        """Trust guesses more, or no longer, by the tokens that did follow."""
        right = bool(self.guess) and followed[: len(self.guess)] == self.guess
        self.trusted = min(max(1, 2 * self.trusted), _MAX_TRUSTED) if right else 0


@dataclass(slots=True)
class DecodeBatch:
    """The rows that are decoded together, each in a slot: the `AttentionPlan` of a decode step.

    Keys are ``(R, KV, D, W)`` per layer, so that a product with them reads memory in order, values
    ``(R, KV, W, D)``; both may have more slots than rows. ``lengths`` counts each row's own tokens,
    ``read`` those that a step reads of it, ``width`` is the most of these.
    """

    rows: list[DecodeRow] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    max_context: int = 0
    width: int = 1
    _mask: Tensor | None = None  # (R, 1, M, 1, W): -inf beyond the tokens that one may see
    _write_at: tuple[Tensor, Tensor] | None = None  # slots (N,) and the places in them (N,)
    _seats: Tensor | None = None  # (N,) of R * M; None where every row reads as many
    _groups: list[tuple[CachedPrefix, slice | Tensor]] = field(default_factory=list)

    @property
    def arms(self) -> list[int]:
        """The number of the arm of each token of a step."""
        pairs = zip(self.rows, self.read, strict=True)
        return [row.arm for row, count in pairs for _ in range(count)]

    def add(self, rows: list[DecodeRow]) -> None:
        """Take rows in, copying their own keys and values into the buffers."""
        first = len(self.rows)
        self.rows.extend(rows)
        self.lengths.extend(row.own_tokens for row in rows)
        if not self.keys:
            self.keys = [k.new_zeros(0, len(k), k.shape[2], 0) for k, *_ in rows[0].keys]
            self.values = [v.new_zeros(0, len(v), 0, v.shape[2]) for v, *_ in rows[0].values]
        self._grow()
        for slot, row in enumerate(rows, start=first):
            length = self.lengths[slot]
            for buffer, pieces in zip(self.keys, row.keys, strict=True):
                buffer[slot, :, :, :length] = torch.cat(pieces, dim=1).transpose(1, 2)
            for buffer, pieces in zip(self.values, row.values, strict=True):
                torch.cat(pieces, dim=1, out=buffer[slot, :, :length])
            row.keys, row.values = [], []
        self._group_by_prefix()

    def _grow(self) -> None:
        """Make the buffers large enough for every row and what a step reads of it."""
        slots, _, width, _ = self.values[0].shape
        new_slots = max(0, len(self.rows) - slots)
        new_tokens = max(0, max(self.lengths) + self.width - width)
        if new_slots or new_tokens:
            new_tokens = (new_tokens + _GROW_TOKENS - 1) // _GROW_TOKENS * _GROW_TOKENS
            for layer in range(len(self.keys)):
                self.keys[layer] = pad(self.keys[layer], (0, new_tokens, 0, 0, 0, 0, 0, new_slots))
                self.values[layer] = pad(
                    self.values[layer], (0, 0, 0, new_tokens, 0, 0, 0, new_slots)
                )

    def remove(self, slots: set[int]) -> None:
        """Swap-remove rows by slot: the last row moves into each gap."""
        for slot in sorted(slots, reverse=True):
            last = len(self.rows) - 1
            if slot != last:
                for buffer in (*self.keys, *self.values):
                    buffer[slot] = buffer[last]
                self.rows[slot], self.lengths[slot] = self.rows[last], self.lengths[last]
            self.rows.pop()
            self.lengths.pop()
        if slots:
            self._group_by_prefix()

    def own_kv(self, slot: int) -> tuple[list[Tensor], list[Tensor]]:
        """Return copies of a row's own keys and values, per layer ``(KV, n, D)``."""
        length = self.lengths[slot]
        keys = [b[slot, :, :, :length].transpose(1, 2).clone() for b in self.keys]
        return keys, [b[slot, :, :length].clone() for b in self.values]

    def preempt(self, keep: int) -> list[DecodeRow]:
        """Take all rows but the first few out again, with copies of their keys and values."""
        preempted = []
        for slot in range(keep, len(self.rows)):
            row, (keys, values) = self.rows[slot], self.own_kv(slot)
            row.keys, row.values = [[layer] for layer in keys], [[layer] for layer in values]
            preempted.append(row)
        del self.rows[keep:], self.lengths[keep:]
        self.keys, self.values = (
            [buffer[:keep].clone() for buffer in buffers] for buffers in (self.keys, self.values)
        )
        self._group_by_prefix()
        return preempted

    def _group_by_prefix(self) -> None:
        """Note which slots share which prefix."""
        members: dict[int, list[int]] = defaultdict(list)
        for slot, row in enumerate(self.rows):
            if row.prefix is not None:
                members[id(row.prefix)].append(slot)
        self._groups = []
        for slots in members.values():
            prefix = self.rows[slots[0]].prefix
            assert prefix is not None
            self._groups.append((prefix, _slot_index(slots, self.keys[0].device)))

    def begin_step(self, guesses: Sequence[Sequence[int]] = ()) -> tuple[Tensor, Tensor]:
        """Prepare one step; return the tokens to read and their positions, each ``(1, N)``.

        Args:
            guesses: By row, tokens to read after its last one.
        """
        guesses = guesses or [()] * len(self.rows)
        self.read = [1 + len(guess) for guess in guesses]
        self.width = max(self.read)
        self._grow()
        device = self.keys[0].device
        # 1. Where tokens stand, and what they see.
        lengths = torch.tensor(self.lengths, device=device)
        slots, seats, positions = list[int](), list[int](), list[int]()
        for slot, (row, count) in enumerate(zip(self.rows, self.read, strict=True)):
            slots += [slot] * count
            seats += range(slot * self.width, slot * self.width + count)
            positions += range(row.position, row.position + count)
        ends = lengths[:, None] + torch.arange(self.width, device=device)  # (R, M)
        columns = torch.arange(max(self.lengths) + self.width, device=device)
        beyond = columns > ends[:, None, :, None, None]  # (R, 1, M, 1, W)
        mask = self.keys[0].new_zeros(beyond.shape)
        self._mask = mask.masked_fill_(beyond, -torch.inf)
        # 2. Rows that read fewer tokens than the others leave seats empty.
        ends, self._seats = ends.flatten(), None
        if len(seats) < len(ends):
            self._seats = torch.tensor(seats, device=device)
            ends = ends[self._seats]
        self._write_at = torch.tensor(slots, device=device), ends
        self.max_context = max(positions) + 1
        tokens = [
            token
            for row, guess in zip(self.rows, guesses, strict=True)
            for token in (row.last_token, *guess)
        ]
        return torch.tensor([tokens], device=device), torch.tensor([positions], device=device)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Store the new keys and values, then attend to own and shared tokens."""
        heads, _, size = query.shape  # (H, N, D)
        count, kv_heads = len(self.rows), len(key)
        assert self._mask is not None
        assert self._write_at is not None
        # 1. Append the keys and values ``(KV, N, D)`` to each row's own.
        slots, ends = self._write_at
        self.keys[layer][slots, :, :, ends] = key.transpose(0, 1)
        self.values[layer][slots, :, ends] = value.transpose(0, 1)
        # 2. Scores against the row's own keys.
        columns = self._mask.shape[-1]
        own_keys = self.keys[layer][:count, :, :, :columns]  # (R, KV, D, W)
        own_values = self.values[layer][:count, :, :columns]  # (R, KV, W, D)
        query = query.transpose(0, 1) * scale  # (N, H, D)
        if self._seats is not None:
            seated = query.new_zeros(count * self.width, heads, size)
            query = seated.index_copy_(0, self._seats, query)
        query = query.reshape(count, self.width, kv_heads, -1, size)
        query = query.transpose(1, 2).flatten(2, 3)  # (R, KV, M * G, D)
        scores = query @ own_keys  # (R, KV, M * G, W)
        scores.unflatten(2, (self.width, -1)).add_(self._mask)
        # 3. Attention, over the shared prefixes as well where there are any.
        if self._groups:
            out = self._merge_prefixes(layer, query, scores, own_values)
        else:
            out = _softmax(scores).to(value.dtype) @ own_values  # (R, KV, M * G, D)
        out = out.unflatten(2, (self.width, -1)).transpose(1, 2)  # (R, M, KV, G, D)
        out = out.reshape(count * self.width, heads, -1)
        return (out if self._seats is None else out[self._seats]).transpose(0, 1)  # (H, N, D)

    def _merge_prefixes(
        self, layer: int, query: Tensor, scores: Tensor, own_values: Tensor
    ) -> Tensor:
        """Merge attention to own tokens with that to shared prefixes by their log-sum-exp."""
        out, lse = _softmax_average(scores, own_values)  # (R, KV, M * G, D), (R, KV, M * G, 1)
        for prefix, slots in self._groups:
            # 1. The queries of all rows that share the prefix, as one: r rows of the group.
            group_query = query[slots].transpose(0, 1)  # (KV, r, M * G, D)
            flat_query = group_query.flatten(1, 2)  # (KV, r * M * G, D)
            # 2. Attention to the prefix (KV, P, D), read once for all of them.
            prefix_out, prefix_lse = _softmax_average(
                flat_query @ prefix.keys[layer].transpose(1, 2), prefix.values[layer]
            )
            prefix_out = prefix_out.view(*group_query.shape[:3], -1).transpose(0, 1)
            prefix_lse = prefix_lse.view(*group_query.shape[:3], 1).transpose(0, 1)
            # 3. Weigh the two parts: (r, KV, M * G, D).
            out[slots] = out[slots].lerp(prefix_out, (prefix_lse - lse[slots]).sigmoid_())
        return out.to(own_values.dtype)

    def append(self, slot: int, chosen: NextToken) -> None:
        """Append a token to a row; the one before it is read, and its KV the row's own."""
        row = self.rows[slot]
        self.lengths[slot] += 1
        row.position += 1
        row.last_token = chosen.token
        row.text.push(chosen.token, chosen.gap)


def _softmax_average(scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values' average under the scores' softmax, and the scores' log-sum-exp.

    The largest softmax weight is ``exp(max - logsumexp)``, which saves a second pass of `exp`.

    Args:
        scores: ``(..., Q, K)``.
        values: ``(..., K, D)``.
    """
    weights = _softmax(scores)
    lse = scores.amax(dim=-1, keepdim=True) - weights.amax(dim=-1, keepdim=True).log_()
    return (weights.to(values.dtype) @ values).float(), lse


def _softmax(scores: Tensor) -> Tensor:
    """Return the softmax in float32; a GPU reads scores in bf16 for it without a copy."""
    return scores.softmax(dim=-1, dtype=torch.float32)


def _slot_index(slots: list[int], device: torch.device) -> slice | Tensor:
    """Return slots as a slice where they are neighbours, which needs no copies."""
    if slots[-1] - slots[0] + 1 == len(slots):
        return slice(slots[0], slots[-1] + 1)
    return torch.tensor(slots, device=device)
