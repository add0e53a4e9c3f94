"""Token sequences as radix trees, one for each arm, and the trees as units of prefill work.

Sequences that begin alike share nodes, so each distinct token is computed once (the idea of
RadixAttention in SGLang, Zheng et al. 2024, here for a batch that is known in advance):

1. `token_chunks` groups sequences into trees of bounded size, neighbours together.
2. `build_trie` sorts a chunk's sequences and inserts each after its longest common prefix with the
   one before it. Keys and values are an arm's own, so sequences of two arms share no node.
3. `plan_units` cuts the tree into units of one attention call each: small subtrees under a tree
   attention mask, long or heavy shared prefixes on their own, with their KV cached.

Pure Python, no torch.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

TREE_MASK_TOKENS = 128
"""Tokens up to which subtrees are computed as one unit under a tree mask.

In a larger subtree whose shared prefix is long, or outweighed by its branches, the prefix is
computed first and its KV cached for the branches, so that attention costs little more than that of
single sequences and masks stay small.
"""


@dataclass(slots=True)
class Node:
    """A run of tokens without a branch.

    ``start`` is the position of its first token in every sequence through it, ``arm`` the number of
    the arm that reads it, ``subtree_tokens`` the number of tokens below it.
    """

    start: int
    tokens: tuple[int, ...]
    parent: int
    arm: int = 0
    children: list[int] = field(default_factory=list)
    subtree_tokens: int = 0

    @property
    def end(self) -> int:
        """The position after its last token."""
        return self.start + len(self.tokens)


@dataclass(frozen=True, slots=True)
class Trie:
    """``nodes[0]`` is the empty root; ``leaf[i]`` is the node where sequence ``i`` ends."""

    nodes: tuple[Node, ...]
    leaf: tuple[int, ...]

    def path(self, node: int) -> Iterator[int]:
        """Yield a node and its ancestors, the root left out, deepest first."""
        while node:
            yield node
            node = self.nodes[node].parent

    @property
    def num_tokens(self) -> int:
        """The number of distinct tokens."""
        return self.nodes[0].subtree_tokens


class TrieToken(NamedTuple):
    """One token of a trie: the node it is in and its offset there."""

    node: int
    offset: int


@dataclass(frozen=True, slots=True)
class PrefillUnit:
    """Nodes of one arm that are computed in one attention call, in depth-first order.

    ``prefix`` is the index of the cached unit that they follow (None: the start of the context). A
    ``cached`` unit is a single node whose KV the units after it attend to.
    """

    nodes: tuple[int, ...]
    prefix: int | None
    cached: bool
    num_tokens: int


def common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many leading tokens two sequences share.

    >>> common_prefix_length((1, 2, 3), (1, 2, 4, 5))
    2
    """
    limit = min(len(first), len(second))
    if first[:limit] == second[:limit]:
        return limit
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[:middle] == second[:middle] else (low, middle - 1)
    return low


def build_trie(sequences: Sequence[tuple[int, ...]], arms: Sequence[int] = ()) -> Trie:
    """Build the radix trees of some token sequences, one for each arm, under a common root.

    Args:
        sequences: Token ids.
        arms: The number of the arm that reads each of them; all are one arm's unless given.

    >>> trie = build_trie([(1, 2, 3), (1, 2, 4), (1, 2)])
    >>> [node.tokens for node in trie.nodes], trie.num_tokens
    ([(), (1, 2), (3,), (4,)], 4)
    >>> build_trie([(1, 2), (1, 2)], arms=[0, 1]).num_tokens
    4
    """
    nodes = [Node(0, (), -1)]
    owner = arms or [0] * len(sequences)
    leaf = [0] * len(sequences)
    stack: list[int] = [0]  # the path to the leaf of the previous sequence
    previous: tuple[int, tuple[int, ...]] = (0, ())
    for arm, sequence, index in sorted(zip(owner, sequences, range(len(sequences)), strict=True)):
        depth = common_prefix_length(previous[1], sequence) if arm == previous[0] else 0
        # 1. Go up to where the two sequences part.
        popped = 0
        while nodes[stack[-1]].end > depth:
            popped = stack.pop()
        # 2. If that is within a node, split it.
        if nodes[stack[-1]].end < depth:
            stack.append(_split(nodes, popped, depth))
        # 3. Insert the rest of the sequence as a new leaf.
        if len(sequence) > depth:
            nodes[stack[-1]].children.append(len(nodes))
            nodes.append(Node(depth, sequence[depth:], stack[-1], arm))
            stack.append(len(nodes) - 1)
        leaf[index], previous = stack[-1], (arm, sequence)
    for node in reversed(_depth_first(nodes, 0)):
        parent = nodes[node].parent
        if parent >= 0:
            nodes[parent].subtree_tokens += nodes[node].subtree_tokens + len(nodes[node].tokens)
    return Trie(tuple(nodes), tuple(leaf))


def _split(nodes: list[Node], lower: int, depth: int) -> int:
    """Cut a node in two at a position; the new upper half takes its place under the parent."""
    node = nodes[lower]
    cut = depth - node.start
    upper = Node(node.start, node.tokens[:cut], node.parent, node.arm, [lower])
    siblings = nodes[node.parent].children
    siblings[siblings.index(lower)] = len(nodes)
    nodes.append(upper)
    node.start, node.tokens, node.parent = depth, node.tokens[cut:], len(nodes) - 1
    return len(nodes) - 1


def _depth_first(nodes: Sequence[Node], root: int) -> list[int]:
    """Return a node and all nodes below it, parents before children."""
    order, stack = [], [root]
    while stack:
        order.append(stack.pop())
        stack.extend(reversed(nodes[order[-1]].children))
    return order


def plan_units(
    trie: Trie, *, read_again: Collection[int] = (), tree_mask_tokens: int = TREE_MASK_TOKENS
) -> list[PrefillUnit]:
    """Cut a trie into units, parents before children; every node is in exactly one.

    Args:
        trie: What is cut.
        read_again: Nodes whose KV several rows will read while they are decoded, and the nodes
            above them: a unit each, however few tokens follow.
        tree_mask_tokens: See `TREE_MASK_TOKENS`.
    """
    units: list[PrefillUnit] = []
    stack: list[tuple[int, int | None]] = [(0, None)]  # (node, the unit of its prefix)
    while stack:
        index, prefix = stack.pop()
        # 1. A shared prefix is a unit of its own, and what follows attends to its cached KV.
        if index:
            units.append(PrefillUnit((index,), prefix, True, len(trie.nodes[index].tokens)))
            prefix = len(units) - 1
        # 2. Small subtrees of an arm that follow it are put together up to the limit.
        roots: list[int] = []
        for child in trie.nodes[index].children:
            if child in read_again or _is_shared_prefix(trie.nodes[child], tree_mask_tokens):
                stack.append((child, prefix))
                continue
            full = _num_tokens(trie, [*roots, child]) > tree_mask_tokens
            if roots and (full or trie.nodes[child].arm != trie.nodes[roots[0]].arm):
                units.append(_tree_unit(trie, roots, prefix))
                roots = []
            roots.append(child)
        if roots:
            units.append(_tree_unit(trie, roots, prefix))
    return units


def _is_shared_prefix(node: Node, tree_mask_tokens: int) -> bool:
    """Tell whether a node is computed first and cached, rather than together with its branches."""
    length, below = len(node.tokens), node.subtree_tokens
    heavy = below > length or length > 2 * tree_mask_tokens
    return bool(below) and heavy and below + length > tree_mask_tokens


def _num_tokens(trie: Trie, roots: Sequence[int]) -> int:
    return sum(len(trie.nodes[root].tokens) + trie.nodes[root].subtree_tokens for root in roots)


def _tree_unit(trie: Trie, roots: Sequence[int], prefix: int | None) -> PrefillUnit:
    """Put whole subtrees that follow one prefix into a unit; they do not attend to each other."""
    nodes = tuple(node for root in roots for node in _depth_first(trie.nodes, root))
    return PrefillUnit(nodes, prefix, False, _num_tokens(trie, roots))


def token_chunks(
    sequences: Sequence[tuple[int, ...]], arms: Sequence[int] = (), *, max_tokens: int
) -> Iterator[list[int]]:
    """Group sequences into tries of about so many distinct tokens, neighbours together.

    Yields indices into ``sequences``. A single longer sequence makes a chunk of its own. What
    several arms read is in one chunk, and its tokens count for each of them.
    """
    chunk: list[int] = []
    num_tokens = 0
    previous: dict[int, tuple[int, ...]] = {}
    owner = arms or [0] * len(sequences)
    for sequence, arm, index in sorted(zip(sequences, owner, range(len(sequences)), strict=True)):
        new_tokens = len(sequence) - common_prefix_length(previous.get(arm, ()), sequence)
        if chunk and num_tokens + new_tokens > max_tokens:
            yield chunk
            chunk, num_tokens, new_tokens, previous = [], 0, len(sequence), {}
        chunk.append(index)
        num_tokens, previous[arm] = num_tokens + new_tokens, sequence
    if chunk:
        yield chunk
