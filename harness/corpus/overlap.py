"""Contamination: test items that occur in training texts, verbatim, in part, or nearly.

An item that was trained on measures memorization. The 13-gram rule is that of the GPT-3 paper
(Brown et al. 2020, appendix C), with words as in `word_split`; as there, stretches that many texts
share (instructions, schemas, templates) are no sign of a copy.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.corpus.word_split import words

SHORTEST = 8
"""Items of fewer words count only when they equal a whole training text: they occur by chance."""

COMMON = 10
"""A stretch that stands in more items than this is the suite's own wording, and no copy."""

NEAR = 0.8
"""Share of an item's own three-word stretches that one training text must have."""

_SHINGLE = 3
_LEAST = 8
"""Three-word stretches of its own that an item needs for that share to mean something."""

_CHUNK = 4000
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_Ids = npt.NDArray[np.uint64]
Kind = Literal["exact", "ngram", "near"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """One item that shares words with one training text.

    ``kind`` is ``exact`` when the whole item occurs there (``words`` of it, in order), ``ngram``
    when at least ``n`` words in a row do, else ``near``: most of its three-word stretches do.
    ``item`` and ``text`` are positions in what was compared, ``shared`` the first stretch in common
    (the item's words where it is near).
    """

    kind: Kind
    item: int
    text: int
    shared: str


def overlap(
    texts: Sequence[str], items: Sequence[str], *, n: int = 13, near: float | None = NEAR
) -> tuple[Overlap, ...]:
    """List the items that occur in training texts, by item, each with the first text it is in.

    Args:
        texts: Training texts.
        items: Test items as text: question, gold answer, or both.
        n: Words in a row that count as a partial copy.
        near: Share of common three-word stretches that counts as a near copy; None looks for none.

    Returns:
        At most one entry an item, the strongest: exact before n-gram before near.
    """
    vocabulary: dict[str, int] = {}
    item_ids = [_numbered(item, vocabulary) for item in items]
    text_ids = [_numbered(text, vocabulary) for text in texts]
    found: dict[int, Overlap] = {}
    whole = {tuple(ids): number for number, ids in reversed(list(enumerate(text_ids))) if ids}
    for number, ids in enumerate(item_ids):
        if tuple(ids) in whole:
            found[number] = Overlap(
                kind="exact", item=number, text=whole[tuple(ids)], shared=items[number]
            )
    names = list(vocabulary)
    hits = [*_whole(item_ids, text_ids), *_parts(item_ids, text_ids, n)]
    if near is not None:
        hits += _near(item_ids, text_ids, near)
    for kind, item, text, ids in hits:
        if item not in found:
            shared = " ".join(names[i] for i in ids)
            found[item] = Overlap(kind=kind, item=item, text=text, shared=shared)
    return tuple(found[number] for number in sorted(found))


_Hit = tuple[Kind, int, int, list[int]]


def _whole(items: list[list[int]], texts: list[list[int]]) -> list[_Hit]:
    """Find items that stand whole inside a text, by their first few words."""
    starts: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, ids in enumerate(items):
        if len(ids) >= SHORTEST:
            starts[tuple(ids[:SHORTEST])].append(number)
    return [
        ("exact", item, text, items[item])
        for item, text, place, _ in _matches(starts, texts, SHORTEST)
        if texts[text][place : place + len(items[item])] == items[item]
    ]


def _parts(items: list[list[int]], texts: list[list[int]], n: int) -> list[_Hit]:
    own = _own_stretches(items, n)
    return [("ngram", item, text, ids) for item, text, _, ids in _matches(own, texts, n)]


def _own_stretches(items: list[list[int]], n: int) -> dict[tuple[int, ...], list[int]]:
    """Return the stretches of n words that stand in few items: stretch -> those items.

    Items that say the same count once, so that a copied item does not hide itself.
    """
    same: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, ids in enumerate(items):
        same[tuple(ids)].append(number)
    grams: dict[tuple[int, ...], list[int]] = defaultdict(list)
    like = {numbers[0]: numbers for numbers in same.values()}
    for first in like:
        ids = items[first]
        for gram in {tuple(ids[start : start + n]) for start in range(len(ids) - n + 1)}:
            grams[gram].append(first)
    return {
        gram: [number for first in firsts for number in like[first]]
        for gram, firsts in grams.items()
        if len(firsts) <= COMMON
    }


def _matches(
    grams: dict[tuple[int, ...], list[int]], texts: list[list[int]], n: int
) -> list[tuple[int, int, int, list[int]]]:
    """Return (item, text, place in the text, words) of every n-gram of an item in a text."""
    if not grams:
        return []
    lengths = np.array([len(ids) for ids in texts])
    ends = np.cumsum(lengths)
    joined = np.array([i for ids in texts for i in ids], dtype=np.uint64)
    wanted = _hashes(np.array(list(grams), dtype=np.uint64).ravel(), n)[::n]
    matches = []
    for place in np.flatnonzero(np.isin(_hashes(joined, n), wanted)):
        text = int(np.searchsorted(ends, place, side="right"))
        within = int(place - (ends[text] - lengths[text]))
        gram = tuple(texts[text][within : within + n])
        matches += [(item, text, within, list(gram)) for item in grams.get(gram, ())]
    return matches


def _near(items: list[list[int]], texts: list[list[int]], share: float) -> list[_Hit]:
    """Find items most of whose own three-word stretches stand in one text."""
    own = _own_stretches(items, _SHINGLE)
    counts = np.zeros(len(items), dtype=np.int64)
    pairs = [(place, item) for place, numbers in enumerate(own.values()) for item in numbers]
    for _, item in pairs:
        counts[item] += 1
    pairs = [(place, item) for place, item in pairs if counts[item] >= _LEAST]
    if not pairs:
        return []
    hashes = _hashes(np.array(list(own), dtype=np.uint64).ravel(), _SHINGLE)[::_SHINGLE]
    table = np.array(sorted((int(hashes[place]), item) for place, item in pairs), dtype=np.uint64)
    best: dict[int, int] = {}
    for start in range(0, len(texts), _CHUNK):
        for text, item in _sharing(texts[start : start + _CHUNK], table, counts, share):
            best.setdefault(item, start + text)
    return [("near", item, text, items[item]) for item, text in sorted(best.items())]


def _sharing(
    texts: list[list[int]], table: _Ids, counts: npt.NDArray[np.int64], share: float
) -> list[tuple[int, int]]:
    """Return the (text, item) pairs with at least a share of the item's stretches in common.

    ``table`` has a line (hash of a stretch, item) for each stretch of an item, sorted.
    """
    owner = np.repeat(np.arange(len(texts)), [len(ids) for ids in texts])
    joined = np.array([i for ids in texts for i in ids], dtype=np.uint64)
    found = _hashes(joined, _SHINGLE)
    inside = owner[: len(found)] == owner[_SHINGLE - 1 :]
    places = np.flatnonzero(inside & np.isin(found, table[:, 0]))
    if not len(places):
        return []
    seen = np.unique(np.stack([owner[places].astype(np.uint64), found[places]]), axis=1)
    low = np.searchsorted(table[:, 0], seen[1], side="left")
    many = np.searchsorted(table[:, 0], seen[1], side="right") - low
    lines = np.repeat(low - np.cumsum(many) + many, many) + np.arange(many.sum())
    code = np.repeat(seen[0], many) * np.uint64(len(counts)) + table[lines, 1]
    pairs, common = np.unique(code, return_counts=True)
    text, item = np.divmod(pairs, np.uint64(len(counts)))
    enough = common >= share * counts[item.astype(np.int64)]
    return list(zip(text[enough].tolist(), item[enough].tolist(), strict=True))


def _hashes(ids: _Ids, n: int) -> _Ids:
    """Return a hash of every n consecutive ids (collisions are sorted out by the caller)."""
    if len(ids) < n:
        return np.empty(0, dtype=np.uint64)
    total = np.zeros(len(ids) - n + 1, dtype=np.uint64)
    for offset in range(n):
        total = total * _FACTOR + ids[offset : len(ids) - n + 1 + offset] + np.uint64(1)
    return total


def _numbered(text: str, vocabulary: dict[str, int]) -> list[int]:
    return [vocabulary.setdefault(word, len(vocabulary)) for word in words(text)]
