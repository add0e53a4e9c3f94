"""Decode many rows a token at a time: shared prefixes are read once, finished rows leave at once.

Each row has its own keys and values in a buffer and points to the prefix that it shares with other
rows; attention over both parts is merged through their log-sum-exp (as in Hydragen, Juravsky et
al. 2024), so that neither memory nor time grows with rows times prefix.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.engine.decoding.stopping import Text
from harness.engine.prefix.attention import Past

_STEP = 32
_FORESEEN = 256
"""New tokens that a row is given room for; few answers are longer."""


@dataclass(slots=True, eq=False)
class Row:
    """One request while it is generated.

    ``keys`` and ``values`` (per layer some ``[kv_heads, n, d]`` pieces, not copied before the row
    is decoded) follow those of ``prefix``; ``token`` is the last one, not yet read by the model.
    ``room`` is how many own keys it will need at most, very long answers aside.
    """

    index: int
    text: Text
    settings: dict[str, Any]
    token: int
    position: int
    prefix: Past | None
    keys: list[list[Tensor]]
    values: list[list[Tensor]]
    context: tuple[int, ...] = ()
    room: int = field(init=False)

    def __post_init__(self) -> None:
        left = self.text.limit - len(self.text.ids)
        self.room = self.own + min(left, _FORESEEN)

    @property
    def own(self) -> int:
        """How many tokens stand in the row's own keys, until it is decoded."""
        return sum(piece.shape[1] for piece in self.keys[0])


@dataclass(slots=True)
class Rows:
    """The rows that are decoded together: a plan for `harness.engine.prefix.attention`'s attention.

    Per layer, ``keys`` are ``[rows, kv_heads, d, width]`` (so that a product with them reads memory
    in order) and ``values`` ``[rows, kv_heads, width, d]``, with room for more rows and tokens.
    """

    rows: list[Row] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    longest: int = 0
    _mask: Tensor | None = None
    _place: tuple[Tensor, Tensor] | None = None
    _groups: list[tuple[Past, slice | Tensor]] = field(default_factory=list)

    def add(self, rows: list[Row]) -> None:
        """Take rows in, copying their own keys and values into the buffers."""
        first = len(self.rows)
        self.rows.extend(rows)
        self.lengths.extend(row.own for row in rows)
        if not self.keys:
            self.keys = [k.new_zeros(0, len(k), k.shape[2], 0) for k, *_ in rows[0].keys]
            self.values = [v.new_zeros(0, len(v), 0, v.shape[2]) for v, *_ in rows[0].values]
        self._fit()
        for slot, row in enumerate(rows, start=first):
            length = self.lengths[slot]
            for buffer, pieces in zip(self.keys, row.keys, strict=True):
                buffer[slot, :, :, :length] = torch.cat(pieces, dim=1).transpose(1, 2)
            for buffer, pieces in zip(self.values, row.values, strict=True):
                torch.cat(pieces, dim=1, out=buffer[slot, :, :length])
            row.keys, row.values = [], []
        self._regroup()

    def _fit(self) -> None:
        """Make the buffers large enough for every row and one more token."""
        slots, _, width, _ = self.values[0].shape
        rows = max(0, len(self.rows) - slots)
        tokens = max(0, max(self.lengths) + 1 - width)
        if rows or tokens:
            tokens = (tokens + _STEP - 1) // _STEP * _STEP
            for layer in range(len(self.keys)):
                self.keys[layer] = pad(self.keys[layer], (0, tokens, 0, 0, 0, 0, 0, rows))
                self.values[layer] = pad(self.values[layer], (0, 0, 0, tokens, 0, 0, 0, rows))

    def drop(self, gone: set[int]) -> None:
        """Let rows go by their place; the last ones move into the gaps."""
        for place in sorted(gone, reverse=True):
            last = len(self.rows) - 1
            if place != last:
                for buffer in (*self.keys, *self.values):
                    buffer[place] = buffer[last]
                self.rows[place], self.lengths[place] = self.rows[last], self.lengths[last]
            self.rows.pop()
            self.lengths.pop()
        if gone:
            self._regroup()

    def park(self, keep: int) -> list[Row]:
        """Take all rows but the first few out again, with copies of their keys and values."""
        parked = []
        for place in range(keep, len(self.rows)):
            row, length = self.rows[place], self.lengths[place]
            row.keys = [[b[place, :, :, :length].transpose(1, 2).clone()] for b in self.keys]
            row.values = [[b[place, :, :length].clone()] for b in self.values]
            parked.append(row)
        del self.rows[keep:], self.lengths[keep:]
        self.keys, self.values = (
            [buffer[:keep].clone() for buffer in buffers] for buffers in (self.keys, self.values)
        )
        self._regroup()
        return parked

    def _regroup(self) -> None:
        members: dict[int, list[int]] = defaultdict(list)
        for place, row in enumerate(self.rows):
            if row.prefix is not None:
                members[id(row.prefix)].append(place)
        self._groups = []
        for places in members.values():
            prefix = self.rows[places[0]].prefix
            assert prefix is not None
            self._groups.append((prefix, _index(places, self.keys[0].device)))

    def begin(self) -> tuple[Tensor, Tensor]:
        """Prepare one step; return the tokens ``[1, rows]`` to read and their positions."""
        self._fit()
        device = self.keys[0].device
        at = torch.tensor(self.lengths, device=device)
        self._place = torch.arange(len(self.rows), device=device), at
        ahead = torch.arange(max(self.lengths) + 1, device=device) > at[:, None, None, None]
        self._mask = torch.zeros(ahead.shape, device=device).masked_fill_(ahead, -torch.inf)
        self.longest = max(row.position for row in self.rows) + 1
        tokens = torch.tensor([[row.token for row in self.rows]], device=device)
        positions = torch.tensor([[row.position for row in self.rows]], device=device)
        return tokens, positions

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Store the new keys, then attend to own and shared tokens; ``[heads, rows, d]``."""
        heads, count, size = query.shape
        assert self._mask is not None
        assert self._place is not None
        rows, at = self._place
        self.keys[layer][rows, :, :, at] = key.transpose(0, 1)
        self.values[layer][rows, :, at] = value.transpose(0, 1)
        width = self._mask.shape[-1]
        own_keys = self.keys[layer][:count, :, :, :width]
        own_values = self.values[layer][:count, :, :width]
        asked = (query.transpose(0, 1) * scale).reshape(count, len(key), -1, size)
        scores = (asked @ own_keys).float().add_(self._mask)
        if self._groups:
            out = self._merge(layer, asked, scores, own_values)
        else:
            out = scores.softmax(dim=-1).to(value.dtype) @ own_values
        return out.reshape(count, heads, -1).transpose(0, 1)

    def _merge(self, layer: int, asked: Tensor, scores: Tensor, own: Tensor) -> Tensor:
        """Weigh what own and shared tokens give by the sums of their exponentials."""
        out, norm = _average(scores, own)
        for prefix, places in self._groups:
            rows = asked[places].transpose(0, 1)
            flat = rows.flatten(1, 2)
            far, far_norm = _average(
                (flat @ prefix.keys[layer].transpose(1, 2)).float(), prefix.values[layer]
            )
            far = far.view(*rows.shape[:3], -1).transpose(0, 1)
            far_norm = far_norm.view(*rows.shape[:3], 1).transpose(0, 1)
            out[places] = out[places].lerp(far, (far_norm - norm[places]).sigmoid_())
        return out.to(own.dtype)

    def end(self, chosen: list[tuple[int, float]]) -> None:
        """Append the tokens chosen in a step, each with its distance to the second best."""
        for place, (row, (token, gap)) in enumerate(zip(self.rows, chosen, strict=True)):
            self.lengths[place] += 1
            row.position += 1
            row.token = token
            row.text.push(token, gap)


def _average(scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values' average under the scores' softmax, and the scores' log-sum-exp.

    The largest softmax weight is ``exp(top - logsumexp)``, which saves a second pass of `exp`.
    """
    weights = scores.softmax(dim=-1)
    norm = scores.amax(dim=-1, keepdim=True) - weights.amax(dim=-1, keepdim=True).log_()
    return (weights.to(values.dtype) @ values).float(), norm


def _index(places: list[int], device: torch.device) -> slice | Tensor:
    """Return rows as a slice where they are neighbours, which needs no copies."""
    if places[-1] - places[0] + 1 == len(places):
        return slice(places[0], places[-1] + 1)
    return torch.tensor(places, device=device)
