"""Generation: prefill contexts and drafts as one trie, verify the drafts, then decode row by row.

Speculative decoding (Leviathan et al. 2023) with given drafts instead of a draft model: a draft is
a guess of the whole answer, such as another arm's. It is read together with its context in one
prefill; as much of it as greedy decoding would have produced is accepted, the rest is decoded. So
the output is that of step-by-step decoding, up to ties within numerical noise, which are counted.

Decoding is continuous batching: finished rows leave at once, and rows whose contexts were prefilled
in the meantime take their slots.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.engine.decoding.sampling import (
    NextToken,
    SamplingParams,
    greedy_tokens,
    sample_token,
)
from harness.engine.decoding.stopping import GeneratedText
from harness.engine.prefix.attention import CachedPrefix, PackedRow
from harness.engine.prefix.decode import DecodeBatch, DecodeRow
from harness.engine.prefix.drafts import DraftRecord
from harness.engine.prefix.prefill import (
    OutOfMemoryError,
    PrefillBatch,
    Runner,
    prefill,
)
from harness.engine.prefix.trie import (
    Node,
    PrefillUnit,
    Trie,
    TrieToken,
    build_trie,
    plan_units,
    token_chunks,
)
from harness.models.hardware import is_out_of_memory
from harness.records import Response

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TIE = 1e-4
"""Two best logits that are closer than this may come out in either order."""

MIN_SHARED_TOKENS = 32
"""Tokens from which rows read a shared prefix together instead of having a copy each."""

READ_AHEAD_TOKENS = 4096
"""Distinct tokens that are prefilled at a time, whose keys wait until their rows join the batch."""

ArmSequence = tuple[int, tuple[int, ...]]
"""The number of an arm, and token ids that it reads: keys and values depend on both."""

_MIN_ROWS = 8
"""Rows that are decoded together however long they may become."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One generation: its context, how tokens are chosen, and drafts of the answer as token ids.

    ``arm`` is the number of the arm that answers, ``suite`` what it answers.
    """

    context: tuple[int, ...]
    params: SamplingParams
    drafts: tuple[tuple[int, ...], ...] = ()
    arm: int = 0
    suite: str = ""

    @property
    def reader(self) -> tuple[int, str]:
        """Whom drafts are guesses for: sources that are right for one may be wrong for another."""
        return self.arm, self.suite

    @property
    def sequences(self) -> list[ArmSequence]:
        """What is prefilled: the context alone, and followed by each draft."""
        return [(self.arm, self.context), *((self.arm, self.context + d) for d in self.drafts)]


@dataclass(slots=True)
class Generator:
    """Generates with a runner.

    ``ties`` counts tokens chosen between two nearly equal logits, ``drafted_tokens`` those accepted
    from drafts, ``decoded_tokens`` those decoded; ``record`` says which drafts are worth reading.
    """

    runner: Runner
    tokenizer: "PreTrainedTokenizerBase"
    eos_token_ids: frozenset[int]
    ties: int = 0
    drafted_tokens: int = 0
    decoded_tokens: int = 0
    record: DraftRecord = field(default_factory=DraftRecord)
    _finished: list[tuple[int, Response]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[list[tuple[int, Response]]]:
        """Yield ``(index, response)`` in batches, as rows finish."""
        prefilled = self._prefill_chunks(prompts)
        batch = DecodeBatch()
        waiting: list[DecodeRow] = []
        more = True
        while more or waiting or batch.rows:
            # 1. Prefill chunks as long as more rows fit.
            while more and self._fits([*batch.rows, *waiting], extra_rows=1):
                rows = next(prefilled, None)
                more = rows is not None
                waiting.extend(rows or ())
            # 2. Refill the batch from the rows that wait.
            joining = 0
            while joining < len(waiting) and self._fits([*batch.rows, *waiting[: joining + 1]]):
                joining += 1
            if joining:
                batch.add(waiting[:joining])
                del waiting[:joining]
            # 3. Decode one token of every row; preempted rows wait again.
            if batch.rows:
                waiting = self._decode_step(batch) + waiting
            # 4. Hand out what is finished.
            if self._finished:
                yield self._finished
                self._finished = []

    def _fits(self, rows: Sequence[DecodeRow], *, extra_rows: int = 0) -> bool:
        """Tell whether rows, and some more like them, can be decoded together."""
        count = len(rows) + extra_rows
        tokens = count * max((row.reserved_tokens for row in rows), default=0)
        return count <= self.runner.max_rows and (
            count <= _MIN_ROWS or tokens <= self.runner.kv_cache_tokens
        )

    def _decode_step(self, batch: DecodeBatch) -> list[DecodeRow]:
        """Decode one token of every row; return rows that were preempted for lack of memory."""
        # 1. One forward pass over the last token of every row.
        try:
            tokens, positions = batch.begin_step()  # (1, R), (1, R)
            every = torch.arange(len(batch.rows), device=tokens.device)
            logits = self.runner.forward(tokens, positions, batch, every)  # (R, V)
        except Exception as error:
            if not is_out_of_memory(error) or len(batch.rows) == 1:
                raise
            self.runner.max_rows = len(batch.rows) // 2
            return batch.preempt(self.runner.max_rows)
        # 2. Choose and append the next tokens.
        batch.end_step(self._choose(logits, batch.rows))
        self.decoded_tokens += len(batch.rows)
        # 3. Rows that ended leave.
        ended = {slot for slot, row in enumerate(batch.rows) if row.text.finish}
        for slot in sorted(ended):
            self._finish(batch.rows[slot].index, batch.rows[slot].text)
        batch.remove(ended)
        return []

    def _choose(self, logits: Tensor, rows: Sequence[DecodeRow]) -> list[NextToken]:
        """Choose the next token of each row from logits ``(R, V)``."""
        chosen = greedy_tokens(logits)
        for slot, row in enumerate(rows):
            if row.params.do_sample:
                token = sample_token(logits[slot], row.params, row.context, len(row.text.ids))
                chosen[slot] = NextToken(token, math.inf)
        self.ties += sum(gap < TIE for _, gap in chosen)
        return chosen

    def _finish(self, index: int, text: GeneratedText) -> None:
        gap = None if math.isinf(text.gap) else text.gap
        response = Response(text=text.text, finish=text.finish, tokens=len(text.ids), gap=gap)
        self._finished.append((index, response))

    def _prefill_chunks(self, prompts: Sequence[Prompt]) -> Iterator[list[DecodeRow]]:
        """Yield, chunk by chunk, the rows that are left to decode after their prefill.

        A few that have drafts come first, to learn whose drafts are right.
        """
        first = self.record.trial([(prompt.reader, prompt.drafts) for prompt in prompts])
        others = sorted({*range(len(prompts))} - {*first})
        runner = self.runner
        ahead = max(runner.batch_tokens, min(READ_AHEAD_TOKENS, runner.kv_cache_tokens // 2))
        max_tokens = min(runner.prefill_chunk_tokens, ahead)
        for part in (first, others):
            contexts, arms = [prompts[i].context for i in part], [prompts[i].arm for i in part]
            for chunk in token_chunks(contexts, arms, max_tokens=max_tokens):
                yield self._prefill({part[place]: prompts[part[place]] for place in chunk})

    def _prefill(self, prompts: Mapping[int, Prompt]) -> list[DecodeRow]:
        """Prefill contexts and drafts, verify the drafts, return the rows left to decode."""
        # 1. Prefill.
        prompts = {
            index: replace(p, drafts=self.record.worth_reading(p.reader, p.drafts))
            for index, p in prompts.items()
        }
        read = PrefilledTrie.of(list(prompts.values()))
        lost = read.prefill(self.runner, list(prompts.values()))
        rows = []
        for index, prompt in prompts.items():
            if read.leaf((prompt.arm, prompt.context)) in lost:
                self._finished.append((index, Response(unscored="out of memory")))
                continue
            # 2. Verify the drafts, which may finish the answer.
            text, last = self._verify_drafts(read, prompt)
            if text.finish:
                self._finish(index, text)
                continue
            # 3. A row continues after the last token that was read.
            position = read.trie.nodes[last.node].start + last.offset + 1
            prefix, keys, values = read.split_kv(last.node, position)
            rows.append(
                DecodeRow(
                    index=index,
                    text=text,
                    params=prompt.params,
                    last_token=text.ids[-1],
                    position=self.runner.position_offset + position,
                    prefix=prefix,
                    keys=keys,
                    values=values,
                    context=prompt.context,
                    arm=prompt.arm,
                )
            )
        return rows

    def _verify_drafts(
        self, read: "PrefilledTrie", prompt: Prompt
    ) -> tuple[GeneratedText, TrieToken]:
        """Accept what the drafts got right, and one token more.

        Returns:
            The text so far, and the last token that was read for it.
        """
        text = GeneratedText(self.tokenizer, self.eos_token_ids, prompt.params)
        last = read.last_token((prompt.arm, prompt.context))
        following: TrieToken | None = last
        while following is not None:
            # 1. The token that the model chooses here.
            last = following
            token, gap = read.greedy[last]
            if prompt.params.do_sample:
                logits = read.logits[last]  # (V,)
                token = sample_token(logits, prompt.params, prompt.context, len(text.ids))
                gap = math.inf
            self.ties += gap < TIE
            text.push(token, gap)
            # 2. Continue as long as a draft has that very token.
            following = None if text.finish else read.child(last, token)
        self.drafted_tokens += len(text.ids) - (text.finish is None)
        self.record.note(prompt.reader, prompt.drafts, text.ids)
        return text, last


@dataclass(slots=True)
class PrefilledTrie:
    """Contexts and drafts that were prefilled: the next token at each place, and where its KV is.

    Attributes:
        trie: Of all sequences.
        units: As they are prefilled.
        sequence_index: The place of each sequence in ``trie.leaf``.
        greedy: The most likely next token after each token that matters.
        logits: The logits ``(V,)`` there, where a prompt is sampled.
        packed: Per node, the row that computed it and the slot of its unit there.
        copies: By the identity of a short prefix, its own keys and values.
    """

    trie: Trie
    units: list[PrefillUnit]
    sequence_index: dict[ArmSequence, int]
    greedy: dict[TrieToken, NextToken] = field(default_factory=dict)
    logits: dict[TrieToken, Tensor] = field(default_factory=dict)
    packed: dict[int, tuple[PackedRow, int]] = field(default_factory=dict)
    copies: dict[int, tuple[list[Tensor], list[Tensor]]] = field(default_factory=dict)

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> "PrefilledTrie":
        """Lay out the trie of some prompts, with nothing read yet."""
        sequences = list(dict.fromkeys(s for prompt in prompts for s in prompt.sequences))
        trie = build_trie([tokens for _, tokens in sequences], [arm for arm, _ in sequences])
        index = {sequence: place for place, sequence in enumerate(sequences)}
        ends = [trie.leaf[index[prompt.arm, prompt.context]] for prompt in prompts]
        rows = Counter(node for end in ends for node in trie.path(end))
        shared = [node for node, count in rows.items() if count > 1 and _is_long(trie.nodes[node])]
        read_again = {above for node in shared for above in trie.path(node)}
        return cls(trie, plan_units(trie, read_again=read_again), index)

    def leaf(self, sequence: ArmSequence) -> int:
        """Return the node in which a sequence ends."""
        return self.trie.leaf[self.sequence_index[sequence]]

    def last_token(self, sequence: ArmSequence) -> TrieToken:
        """Return the last token of a sequence."""
        node = self.leaf(sequence)
        return TrieToken(node, len(sequence[1]) - 1 - self.trie.nodes[node].start)

    def prefill(self, runner: Runner, prompts: Sequence[Prompt]) -> set[int]:
        """Run the trie and note next tokens; return nodes that could not be computed."""
        # 1. Logits are wanted at the last token of a context and at every token of its drafts.
        wanted: dict[int, set[int]] = {}
        for prompt in prompts:
            first = len(prompt.context) - 1
            for sequence in prompt.sequences:
                for index in self.trie.path(self.leaf(sequence)):
                    node = self.trie.nodes[index]
                    if node.end <= first:
                        break
                    offsets = range(max(node.start, first) - node.start, node.end - node.start)
                    wanted.setdefault(index, set()).update(offsets)
        # 2. Prefill, keeping the KV.
        keep_logits = any(prompt.params.do_sample for prompt in prompts)
        ordered = {node: sorted(offsets) for node, offsets in wanted.items()}
        lost: set[int] = set()
        for batch in prefill(runner, self.trie, self.units, ordered, capture_kv=True):
            if isinstance(batch, OutOfMemoryError):
                lost.update(node for unit in batch.units for node in self.units[unit].nodes)
            else:
                self._note(batch, keep_logits=keep_logits)
        return lost

    def _note(self, batch: PrefillBatch, *, keep_logits: bool) -> None:
        for slot, unit in enumerate(batch.units):
            for node in self.units[unit].nodes:
                self.packed[node] = (batch.row, slot)
        if batch.tokens:
            self.greedy.update(zip(batch.tokens, greedy_tokens(batch.logits), strict=True))
            if keep_logits:
                self.logits.update(zip(batch.tokens, batch.logits, strict=True))

    def child(self, place: TrieToken, token: int) -> TrieToken | None:
        """Return where a token follows another, if it was read as part of a draft."""
        nodes = self.trie.nodes
        node = nodes[place.node]
        following = None
        if place.offset + 1 < len(node.tokens):
            if node.tokens[place.offset + 1] == token:
                following = TrieToken(place.node, place.offset + 1)
        else:
            children = (child for child in node.children if nodes[child].tokens[0] == token)
            following = next((TrieToken(child, 0) for child in children), None)
        return following if following in self.greedy else None

    def split_kv(
        self, node: int, end: int
    ) -> tuple[CachedPrefix | None, list[list[Tensor]], list[list[Tensor]]]:
        """Return the shared prefix of a node and the keys and values from there up to ``end``.

        Keys and values are per layer a list of pieces ``(KV, n, D)``.
        """
        # 1. What the node's unit computed along its path, deepest first.
        row, slot = self.packed[node]
        spans = []
        for index in self.trie.path(node):
            node_row, node_slot = self.packed[index]
            if node_row is not row or node_slot != slot:
                break
            start = row.node_starts[index]
            length = min(end, self.trie.nodes[index].end) - self.trie.nodes[index].start
            spans.append(slice(start, start + length))
        spans.reverse()
        keys, values = (
            [[per_layer[layer][:, span] for span in spans] for layer in sorted(per_layer)]
            for per_layer in (row.keys, row.values)
        )
        # 2. Prefixes that are too short to be worth a group of their own.
        prefix = row.prefixes[slot]
        while prefix is not None and prefix.own_tokens < MIN_SHARED_TOKENS:
            for layers, copy in zip((keys, values), self._own_kv(prefix), strict=True):
                for pieces, piece in zip(layers, copy, strict=True):
                    pieces.insert(0, piece)
            prefix = prefix.parent
        return prefix, keys, values

    def _own_kv(self, prefix: CachedPrefix) -> tuple[list[Tensor], list[Tensor]]:
        """Return a short prefix's own keys and values, one copy for all rows that follow it."""
        if id(prefix) not in self.copies:
            start = prefix.length - prefix.own_tokens
            self.copies[id(prefix)] = (
                [layer[:, start:].clone() for layer in prefix.keys],
                [layer[:, start:].clone() for layer in prefix.values],
            )
        return self.copies[id(prefix)]


def _is_long(node: Node) -> bool:
    """Tell whether rows gain by reading a node's KV together."""
    return len(node.tokens) >= MIN_SHARED_TOKENS
