"""Prompts as a prefix trie, and the trie as units of work: each distinct token once.

Pure Python, no torch: what is shared is decided here, how it is computed elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SMALL = 128
"""Tokens up to which subtrees are computed as one unit under a tree mask.

In a larger subtree whose stem is long, or outweighed by its branches, the stem is computed first
and its keys and values are kept for the branches, so that attention costs little more than that of
single sequences and masks stay small.
"""


@dataclass(slots=True)
class Node:
    """A run of tokens without a branch; ``start`` is the position of its first token."""

    start: int
    tokens: tuple[int, ...]
    parent: int
    children: list[int] = field(default_factory=list)
    below: int = 0

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
    def size(self) -> int:
        """The number of distinct tokens."""
        return self.nodes[0].below


@dataclass(frozen=True, slots=True)
class Unit:
    """Nodes that are computed together; ``past`` is the kept unit whose tokens come before.

    ``nodes`` are in depth-first order. A ``kept`` unit is a single node whose keys and values its
    branches need.
    """

    nodes: tuple[int, ...]
    past: int | None
    kept: bool
    size: int


def shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many leading tokens two sequences share.

    >>> shared((1, 2, 3), (1, 2, 4, 5))
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


def build(sequences: Sequence[tuple[int, ...]]) -> Trie:
    """Build the trie of some token sequences.

    >>> trie = build([(1, 2, 3), (1, 2, 4), (1, 2)])
    >>> [node.tokens for node in trie.nodes], trie.size
    ([(), (1, 2), (3,), (4,)], 4)
    """
    nodes = [Node(0, (), -1)]
    leaf = [0] * len(sequences)
    stack: list[int] = [0]
    previous: tuple[int, ...] = ()
    for index in sorted(range(len(sequences)), key=sequences.__getitem__):
        sequence = sequences[index]
        depth = shared(previous, sequence)
        dropped = 0
        while nodes[stack[-1]].end > depth:
            dropped = stack.pop()
        if nodes[stack[-1]].end < depth:
            stack.append(_split(nodes, dropped, depth))
        if len(sequence) > depth:
            nodes[stack[-1]].children.append(len(nodes))
            nodes.append(Node(depth, sequence[depth:], stack[-1]))
            stack.append(len(nodes) - 1)
        leaf[index], previous = stack[-1], sequence
    for node in _children_first(nodes):
        parent = nodes[node].parent
        if parent >= 0:
            nodes[parent].below += nodes[node].below + len(nodes[node].tokens)
    return Trie(tuple(nodes), tuple(leaf))


def _split(nodes: list[Node], lower: int, depth: int) -> int:
    """Cut a node in two at a position; the new upper half takes its place under the parent."""
    node = nodes[lower]
    cut = depth - node.start
    upper = Node(node.start, node.tokens[:cut], node.parent, [lower])
    siblings = nodes[node.parent].children
    siblings[siblings.index(lower)] = len(nodes)
    nodes.append(upper)
    node.start, node.tokens, node.parent = depth, node.tokens[cut:], len(nodes) - 1
    return len(nodes) - 1


def _children_first(nodes: Sequence[Node]) -> Iterator[int]:
    order, stack = [], [0]
    while stack:
        order.append(stack.pop())
        stack.extend(nodes[order[-1]].children)
    return reversed(order)


def units(trie: Trie, *, small: int = SMALL) -> list[Unit]:
    """Cut a trie into units, parents before children; every node is in exactly one."""
    found: list[Unit] = []
    stack: list[tuple[int, int | None]] = [(0, None)]
    while stack:
        index, past = stack.pop()
        if index:
            length = len(trie.nodes[index].tokens)
            found.append(Unit((index,), past, True, length))
            past = len(found) - 1
        together: list[int] = []
        for child in trie.nodes[index].children:
            if _is_stem(trie.nodes[child], small):
                stack.append((child, past))
                continue
            if together and _sizes(trie, [*together, child]) > small:
                found.append(_unit(trie, together, past))
                together = []
            together.append(child)
        if together:
            found.append(_unit(trie, together, past))
    return found


def _is_stem(node: Node, small: int) -> bool:
    """Tell whether a node is computed first and kept, rather than together with its branches."""
    length = len(node.tokens)
    heavy = node.below > length or length > 2 * small
    return bool(node.below) and heavy and node.below + length > small


def _sizes(trie: Trie, roots: Sequence[int]) -> int:
    return sum(len(trie.nodes[root].tokens) + trie.nodes[root].below for root in roots)


def _unit(trie: Trie, roots: Sequence[int], past: int | None) -> Unit:
    """Put whole subtrees that follow one stem into a unit; they do not see each other."""
    nodes = tuple(node for root in roots for node in _descend(trie, root))
    return Unit(nodes, past, False, _sizes(trie, roots))


def _descend(trie: Trie, index: int) -> tuple[int, ...]:
    order, stack = [], [index]
    while stack:
        order.append(stack.pop())
        stack.extend(reversed(trie.nodes[order[-1]].children))
    return tuple(order)


def chunks(sequences: Sequence[tuple[int, ...]], *, tokens: int) -> Iterator[list[int]]:
    """Group sequences into tries of about so many distinct tokens, neighbours together.

    Yields indices into ``sequences``. A single longer sequence makes a chunk of its own.
    """
    chunk: list[int] = []
    size = 0
    previous: tuple[int, ...] = ()
    for index in sorted(range(len(sequences)), key=sequences.__getitem__):
        sequence = sequences[index]
        fresh = len(sequence) - shared(previous, sequence)
        if chunk and size + fresh > tokens:
            yield chunk
            chunk, size, fresh = [], 0, len(sequence)
        chunk.append(index)
        size, previous = size + fresh, sequence
    if chunk:
        yield chunk
