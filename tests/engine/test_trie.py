"""Sharing prefixes, without any model."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harness.engine.prefix.trie import (
    build_trie,
    common_prefix_length,
    plan_units,
    token_chunks,
)

SEQUENCES = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=12).map(tuple), min_size=1, max_size=30
)


@given(SEQUENCES)
def test_every_sequence_can_be_read_off_its_path(sequences: list[tuple[int, ...]]) -> None:
    """Following a leaf up to the root spells the sequence that ends there."""
    trie = build_trie(sequences)
    for number, sequence in enumerate(sequences):
        path = [trie.nodes[node] for node in trie.path(trie.leaf[number])][::-1]
        assert sum((node.tokens for node in path), ()) == sequence
        assert all(left.end == right.start for left, right in pairwise(path))


@given(SEQUENCES)
def test_a_trie_holds_each_distinct_prefix_once(sequences: list[tuple[int, ...]]) -> None:
    """Its size is the number of different non-empty prefixes."""
    prefixes = {sequence[:n] for sequence in sequences for n in range(1, len(sequence) + 1)}
    assert build_trie(sequences).num_tokens == len(prefixes)


@given(SEQUENCES, st.integers(0, 20))
def test_units_cover_every_node_once_and_parents_first(
    sequences: list[tuple[int, ...]], limit: int
) -> None:
    """Whatever fits a tree mask, each node is in one unit, after the unit it builds on."""
    trie = build_trie(sequences)
    units = plan_units(trie, tree_mask_tokens=limit)
    assert sorted(node for unit in units for node in unit.nodes) == list(range(1, len(trie.nodes)))
    for number, unit in enumerate(units):
        assert unit.num_tokens == sum(len(trie.nodes[node].tokens) for node in unit.nodes)
        if unit.prefix is not None:
            before = units[unit.prefix]
            assert unit.prefix < number
            assert before.cached
            assert trie.nodes[unit.nodes[0]].parent == before.nodes[0]


@given(SEQUENCES, st.integers(0, 20), st.data())
def test_what_is_read_again_is_a_cached_unit_by_itself(
    sequences: list[tuple[int, ...]], limit: int, data: st.DataObject
) -> None:
    """However little follows a prefix, rows that decode after it find its keys in one place."""
    trie = build_trie(sequences)
    node = data.draw(st.sampled_from(trie.leaf))
    read_again = set(trie.path(node))
    units = plan_units(trie, read_again=read_again, tree_mask_tokens=limit)
    assert sorted(node for unit in units for node in unit.nodes) == list(range(1, len(trie.nodes)))
    assert read_again <= {unit.nodes[0] for unit in units if unit.cached and len(unit.nodes) == 1}


@given(SEQUENCES, st.integers(1, 40))
def test_chunks_split_the_sequences_without_loss(
    sequences: list[tuple[int, ...]], tokens: int
) -> None:
    """Each sequence is in one chunk, and a chunk of several stays within its tokens."""
    cut = list(token_chunks(sequences, max_tokens=tokens))
    assert sorted(index for chunk in cut for index in chunk) == list(range(len(sequences)))
    for chunk in cut:
        if len(chunk) > 1:
            assert build_trie([sequences[index] for index in chunk]).num_tokens <= tokens


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
def test_common_prefix_length_counts_leading_tokens(first: list[int], second: list[int]) -> None:
    """The count is the length of the longest common prefix."""
    count = common_prefix_length(first, second)
    assert first[:count] == second[:count]
    assert count in (len(first), len(second)) or first[count] != second[count]
