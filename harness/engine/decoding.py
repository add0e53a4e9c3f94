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

from harness.engine.packed import Past
from harness.engine.stopping import Text

_STEP = 32


@dataclass(slots=True, eq=False)
class Row:
    """One request while it is generated.

    ``keys`` and ``values`` (per layer some ``[kv_heads, n, d]`` pieces, not copied before the row
    is decoded) follow those of ``prefix``; ``token`` is the last one, not yet read by the model.
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

    @property
    def own(self) -> int:
        """How many tokens stand in the row's own keys."""
        return sum(piece.shape[1] for piece in self.keys[0])


@dataclass(slots=True)
class Rows:
    """The rows that are decoded together: a plan for `harness.engine.packed`'s attention."""

    rows: list[Row] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    longest: int = 0
    _mask: Tensor | None = None
    _at: Tensor | None = None
    _groups: list[tuple[Past, Tensor]] = field(default_factory=list)

    def add(self, rows: list[Row]) -> None:
        """Take rows in, copying their own keys and values into the buffers."""
        first = len(self.rows)
        self.rows.extend(rows)
        self.lengths.extend(row.own for row in rows)
        self._fit(like=rows[0])
        for slot, row in enumerate(rows, start=first):
            for buffers, layers in ((self.keys, row.keys), (self.values, row.values)):
                for buffer, pieces in zip(buffers, layers, strict=True):
                    start = 0
                    for piece in pieces:
                        stop = start + piece.shape[1]
                        buffer[slot, :, start:stop] = piece
                        start = stop
            row.keys, row.values = [], []
        self._regroup()

    def _fit(self, *, like: Row) -> None:
        """Make the buffers large enough for every row and one more token."""
        slots, width = len(self.rows), max(self.lengths) + 1
        if self.keys and self.keys[0].shape[0] >= slots and self.keys[0].shape[2] >= width:
            return
        width = (width + _STEP - 1) // _STEP * _STEP
        if self.keys:
            slots, width = max(slots, len(self.keys[0])), max(width, self.keys[0].shape[2])
        for buffers, samples in ((self.keys, like.keys), (self.values, like.values)):
            for layer in range(max(len(buffers), len(samples))):
                old = buffers[layer] if layer < len(buffers) else None
                model = samples[layer][0] if old is None else old[0]
                new = model.new_zeros(slots, model.shape[0], width, model.shape[2])
                if old is None:
                    buffers.append(new)
                else:
                    new[: len(old), :, : old.shape[2]] = old
                    buffers[layer] = new

    def drop(self, gone: set[int]) -> None:
        """Let rows go by their place; the last ones move into the gaps."""
        for place in sorted(gone, reverse=True):
            last = len(self.rows) - 1
            if place != last:
                length = self.lengths[last]
                for buffer in (*self.keys, *self.values):
                    buffer[place, :, :length] = buffer[last, :, :length]
                self.rows[place], self.lengths[place] = self.rows[last], length
            self.rows.pop()
            self.lengths.pop()
        if gone:
            self._regroup()

    def park(self, keep: int) -> list[Row]:
        """Take all rows but the first few out again, with copies of their keys and values."""
        parked = []
        for place in range(keep, len(self.rows)):
            row, length = self.rows[place], self.lengths[place]
            row.keys = [[buffer[place, :, :length].clone()] for buffer in self.keys]
            row.values = [[buffer[place, :, :length].clone()] for buffer in self.values]
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
        device = self.keys[0].device
        self._groups = []
        for places in members.values():
            prefix = self.rows[places[0]].prefix
            if prefix is not None:
                self._groups.append((prefix, torch.tensor(places, device=device)))

    def begin(self) -> tuple[Tensor, Tensor]:
        """Prepare one step; return the tokens ``[1, rows]`` to read and their positions."""
        self._fit(like=self.rows[0])
        device = self.keys[0].device
        self._at = torch.tensor(self.lengths, device=device)
        width = max(self.lengths) + 1
        ahead = torch.arange(width, device=device)[None] > self._at[:, None]
        self._mask = torch.zeros(ahead.shape, device=device).masked_fill_(ahead, -torch.inf)
        self.longest = max(row.position for row in self.rows) + 1
        tokens = torch.tensor([[row.token for row in self.rows]], device=device)
        positions = torch.tensor([[row.position for row in self.rows]], device=device)
        return tokens, positions

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Store the new keys, then attend to own and shared tokens; ``[heads, rows, d]``."""
        heads, count, _ = query.shape
        kv_heads = key.shape[0]
        assert self._mask is not None
        width = self._mask.shape[1]
        slots = torch.arange(count, device=query.device)
        self.keys[layer][slots, :, self._at] = key.transpose(0, 1)
        self.values[layer][slots, :, self._at] = value.transpose(0, 1)
        asked = query.transpose(0, 1).reshape(count, kv_heads, heads // kv_heads, -1) * scale
        weights = (asked @ self.keys[layer][:count, :, :width].transpose(-1, -2)).float()
        weights += self._mask[:, None, None]
        own = self.values[layer][:count, :, :width]
        if not self._groups:
            out = weights.softmax(dim=-1).to(value.dtype) @ own
        else:
            out = self._merge(layer, asked, weights, own)
        return out.reshape(count, heads, -1).transpose(0, 1)

    def _merge(self, layer: int, asked: Tensor, weights: Tensor, own: Tensor) -> Tensor:
        top = weights.amax(dim=-1, keepdim=True)
        far: list[tuple[Tensor, Tensor, Past]] = []
        for prefix, places in self._groups:
            rows = asked[places].transpose(0, 1)
            flat = rows.reshape(rows.shape[0], -1, rows.shape[-1])
            score = (flat @ prefix.keys[layer].transpose(-1, -2)).float()
            score = score.reshape(*rows.shape[:3], -1).transpose(0, 1)
            top[places] = torch.maximum(top[places], score.amax(dim=-1, keepdim=True))
            far.append((places, score, prefix))
        weights = (weights - top).exp_()
        norm = weights.sum(dim=-1, keepdim=True)
        out = (weights.to(own.dtype) @ own).float()
        for places, score, prefix in far:
            share = (score - top[places]).exp_()
            norm[places] += share.sum(dim=-1, keepdim=True)
            flat = share.transpose(0, 1).reshape(share.shape[1], -1, share.shape[-1])
            part = (flat.to(own.dtype) @ prefix.values[layer]).float()
            shape = (share.shape[1], len(places), share.shape[2], -1)
            out[places] += part.reshape(shape).transpose(0, 1)
        return (out / norm).to(own.dtype)

    def end(self, chosen: list[tuple[int, float]]) -> None:
        """Append the tokens chosen in a step, each with its distance to the second best."""
        for place, (row, (token, gap)) in enumerate(zip(self.rows, chosen, strict=True)):
            self.lengths[place] += 1
            row.position += 1
            row.token = token
            row.text.push(token, gap)
