"""Generation: contexts (and drafts) are read as one trie, then rows are decoded and refilled.

A draft is a guess of the answer, such as another arm's. It is read together with its context in one
pass; as much of it as greedy decoding would have produced is accepted, the rest is decoded. So the
output is that of step-by-step decoding, up to ties within numerical noise, which are counted.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.engine.decoding.sampling import draw
from harness.engine.decoding.stopping import Text, begin
from harness.engine.prefix import attention
from harness.engine.prefix.attention import Pack, Past
from harness.engine.prefix.decode import Row, Rows
from harness.engine.prefix.prefill import OutOfMemoryError, Runner, Swept, is_out_of_memory, sweep
from harness.engine.prefix.trie import Trie, Unit, build, chunks, units
from harness.records import Response

TIE = 1e-4
"""Two best logits that are closer than this may come out in either order."""

WORTH_SHARING = 32
"""Tokens from which rows read a shared prefix together instead of having a copy each."""

_FEW = 8
"""Rows that are decoded together however long they may become."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One generation: its context, its settings, and guesses of the answer as token ids."""

    context: tuple[int, ...]
    settings: dict[str, Any]
    drafts: tuple[tuple[int, ...], ...] = ()


@dataclass(slots=True)
class Generator:
    """Generates with a runner; ``ties`` counts tokens chosen between two nearly equal logits."""

    runner: Runner
    tokenizer: Any
    ends: frozenset[int]
    ties: int = 0
    drafted: int = 0
    decoded: int = 0
    _done: list[tuple[int, Response]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[list[tuple[int, Response]]]:
        """Yield ``(index, response)`` in batches, as rows finish."""
        waiting = self._prefilled(prompts)
        active = Rows()
        queue: list[Row] = []
        more = True
        while more or queue or active.rows:
            while more and self._fits([*active.rows, *queue], spare=1):
                fresh = next(waiting, None)
                more = fresh is not None
                queue.extend(fresh or ())
            joining = 0
            while joining < len(queue) and self._fits([*active.rows, *queue[: joining + 1]]):
                joining += 1
            if joining:
                active.add(queue[:joining])
                del queue[:joining]
            if active.rows:
                queue = self._step(active) + queue
            if self._done:
                yield self._done
                self._done = []

    def _fits(self, rows: Sequence[Row], *, spare: int = 0) -> bool:
        """Tell whether rows, and some more like them, can be decoded together."""
        count = len(rows) + spare
        needed = count * max((row.room for row in rows), default=0)
        return count <= self.runner.slots and (count <= _FEW or needed <= self.runner.room)

    def _step(self, active: Rows) -> list[Row]:
        """Decode one token of every active row; return rows that had to make room."""
        try:
            tokens, positions = active.begin()
            everything = torch.arange(len(active.rows), device=tokens.device)
            logits = attention.forward(self.runner.model, tokens, positions, active, everything)
        except Exception as error:
            if not is_out_of_memory(error) or len(active.rows) == 1:
                raise
            self.runner.slots = len(active.rows) // 2
            return active.park(self.runner.slots)
        active.end(self._choose(logits, active.rows))
        self.decoded += len(active.rows)
        gone = {place for place, row in enumerate(active.rows) if row.text.finish}
        self._done.extend(
            (row.index, _answer(row.text)) for row in (active.rows[place] for place in sorted(gone))
        )
        active.drop(gone)
        return []

    def _choose(self, logits: Tensor, rows: Sequence[Row]) -> list[tuple[int, float]]:
        best = _top(logits)
        for place, row in enumerate(rows):
            if row.settings.get("do_sample"):
                token = draw(logits[place], row.settings, row.context, len(row.text.ids))
                best[place] = token, math.inf
        self.ties += sum(gap < TIE for _, gap in best)
        return best

    def _prefilled(self, prompts: Sequence[Prompt]) -> Iterator[list[Row]]:
        """Yield, chunk by chunk, the rows that are left to decode after reading their prompts."""
        contexts = [prompt.context for prompt in prompts]
        tokens = min(self.runner.chunk, max(self.runner.budget, self.runner.room // 2))
        for chunk in chunks(contexts, tokens=tokens):
            yield self._prefill({index: prompts[index] for index in chunk})

    def _prefill(self, prompts: Mapping[int, Prompt]) -> list[Row]:
        sequences = list(
            dict.fromkeys(
                prompt.context + draft
                for prompt in prompts.values()
                for draft in ((), *prompt.drafts)
            )
        )
        read = Read(
            trie=(trie := build(sequences)),
            plan=units(trie),
            number={sequence: place for place, sequence in enumerate(sequences)},
        )
        lost = self._read(read, list(prompts.values()))
        rows = []
        for index, prompt in prompts.items():
            if read.trie.leaf[read.number[prompt.context]] in lost:
                self._done.append((index, Response(unscored="out of memory")))
            elif (row := self._start(read, index, prompt)) is not None:
                rows.append(row)
        return rows

    def _read(self, read: "Read", prompts: Sequence[Prompt]) -> set[int]:
        """Run a trie and note the best next token at the places that matter."""
        wanted: dict[int, set[int]] = {}
        for prompt in prompts:
            first = len(prompt.context) - 1
            for draft in ((), *prompt.drafts):
                leaf = read.trie.leaf[read.number[prompt.context + draft]]
                for index in read.trie.path(leaf):
                    node = read.trie.nodes[index]
                    if node.end <= first:
                        break
                    places = range(max(node.start, first) - node.start, node.end - node.start)
                    wanted.setdefault(index, set()).update(places)
        sampled = any(prompt.settings.get("do_sample") for prompt in prompts)
        asked = {node: sorted(offsets) for node, offsets in wanted.items()}
        lost: set[int] = set()
        for swept in sweep(self.runner, read.trie, asked, capture=True):
            if isinstance(swept, OutOfMemoryError):
                lost.update(node for unit in swept.units for node in read.plan[unit].nodes)
            else:
                read.note(swept, keep_logits=sampled)
        return lost

    def _start(self, read: "Read", index: int, prompt: Prompt) -> Row | None:
        """Accept what the drafts got right; None if that already finished the answer."""
        text = begin(self.tokenizer, self.ends, prompt.settings)
        position = len(prompt.context) - 1
        node = read.trie.leaf[read.number[prompt.context]]
        for candidate in read.trie.path(node):
            if read.trie.nodes[candidate].start <= position:
                node = candidate
                break
        place: tuple[int, int] | None = (node, position - read.trie.nodes[node].start)
        token = 0
        while place is not None:
            node, offset = place
            token, gap = read.best[place]
            if prompt.settings.get("do_sample"):
                token = draw(read.logits[place], prompt.settings, prompt.context, len(text.ids))
                gap = math.inf
            self.ties += gap < TIE
            text.push(token, gap)
            if text.finish:
                self.drafted += len(text.ids)
                self._done.append((index, _answer(text)))
                return None
            position = read.trie.nodes[node].start + offset + 1
            place = read.after(place, token)
        self.drafted += len(text.ids) - 1
        prefix, keys, values = read.own(node, position)
        return Row(
            index=index,
            text=text,
            settings=prompt.settings,
            token=token,
            position=self.runner.offset + position,
            prefix=prefix,
            keys=keys,
            values=values,
            context=prompt.context,
        )


@dataclass(slots=True)
class Read:
    """A trie that has been run: the best next token at its places, and where its keys are."""

    trie: Trie
    plan: list[Unit]
    number: dict[tuple[int, ...], int]
    best: dict[tuple[int, int], tuple[int, float]] = field(default_factory=dict)
    logits: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    where: dict[int, tuple[Pack, int]] = field(default_factory=dict)
    tails: dict[int, tuple[list[Tensor], list[Tensor]]] = field(default_factory=dict)

    def note(self, swept: Swept, *, keep_logits: bool) -> None:
        """Remember a finished pass."""
        for place, unit in enumerate(swept.units):
            for node in self.plan[unit].nodes:
                self.where[node] = (swept.pack, place)
        if swept.rows:
            self.best.update(zip(swept.rows, _top(swept.logits), strict=True))
            if keep_logits:
                self.logits.update(zip(swept.rows, swept.logits, strict=True))

    def after(self, place: tuple[int, int], token: int) -> tuple[int, int] | None:
        """Return the place of a token that follows another, if it was read as part of a draft."""
        index, offset = place
        node = self.trie.nodes[index]
        if offset + 1 < len(node.tokens):
            following = (index, offset + 1) if node.tokens[offset + 1] == token else None
        else:
            nodes = self.trie.nodes
            following = next(((c, 0) for c in node.children if nodes[c].tokens[0] == token), None)
        return following if following in self.best else None

    def own(self, node: int, end: int) -> tuple[Any, list[list[Tensor]], list[list[Tensor]]]:
        """Return the shared prefix of a place and the keys and values between it and ``end``."""
        pack, unit = self.where[node]
        pieces = []
        for index in self.trie.path(node):
            found, place = self.where[index]
            if found is not pack or place != unit:
                break
            start = pack.places[index]
            length = min(end, self.trie.nodes[index].end) - self.trie.nodes[index].start
            pieces.append(slice(start, start + length))
        pieces.reverse()
        keys, values = (
            [[rows[layer][:, piece] for piece in pieces] for layer in sorted(rows)]
            for rows in (pack.keys, pack.values)
        )
        past = pack.pasts[unit]
        while past is not None and past.fresh < WORTH_SHARING:
            for layers, tail in zip((keys, values), self._tail(past), strict=True):
                for parts, part in zip(layers, tail, strict=True):
                    parts.insert(0, part)
            past = past.before
        return past, keys, values

    def _tail(self, past: Past) -> tuple[list[Tensor], list[Tensor]]:
        """Return a short stem's own keys and values, one copy for all rows that follow it."""
        if id(past) not in self.tails:
            start = past.length - past.fresh
            self.tails[id(past)] = (
                [layer[:, start:].clone() for layer in past.keys],
                [layer[:, start:].clone() for layer in past.values],
            )
        return self.tails[id(past)]


def _answer(text: Text) -> Response:
    gap = None if math.isinf(text.gap) else text.gap
    return Response(text=text.text, finish=text.finish, tokens=len(text.ids), gap=gap)


def _top(logits: Tensor) -> list[tuple[int, float]]:
    """Return each row's best token and how far its logit is above the second best."""
    values, tokens = logits.float().topk(2, dim=-1)
    gaps = values[:, 0] - values[:, 1]
    return list(zip(tokens[:, 0].tolist(), gaps.tolist(), strict=True))
