"""Contexts and drafts of several prompts as one prefilled trie, and what decoding needs of it."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from harness.engine.decoding.sampling import NextToken, SamplingParams, greedy_tokens
from harness.engine.prefix.attention import CachedPrefix, PackedRow
from harness.engine.prefix.prefill import OutOfMemoryError, PrefillBatch, Runner, prefill
from harness.engine.prefix.trie import Node, PrefillUnit, Trie, TrieToken, build_trie, plan_units

MIN_SHARED_TOKENS = 32
"""Tokens from which rows read a shared prefix together instead of having a copy each."""

ArmSequence = tuple[int, tuple[int, ...]]
"""The number of an arm, and token ids that it reads: keys and values depend on both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One generation: its context, how tokens are chosen, and drafts of the answer as token ids.

    ``arm`` is the number of the arm that answers, ``suite`` what it answers. ``dialogue`` names the
    dialogue of which it is a turn, as one arm leads it; ``goes_on`` says that another follows.
    """

    context: tuple[int, ...]
    params: SamplingParams
    drafts: tuple[tuple[int, ...], ...] = ()
    arm: int = 0
    suite: str = ""
    dialogue: Hashable | None = None
    goes_on: bool = False

    @property
    def reader(self) -> tuple[int, str]:
        """Whom drafts are guesses for: sources that are right for one may be wrong for another."""
        return self.arm, self.suite

    @property
    def sequences(self) -> list[ArmSequence]:
        """What is prefilled: the context alone, and followed by each draft."""
        return [(self.arm, self.context), *((self.arm, self.context + d) for d in self.drafts)]


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
