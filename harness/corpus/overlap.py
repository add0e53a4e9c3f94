"""Which test items occur in the training text, whole or in part.

An item that was trained on measures memory. The 13-gram rule is that of the GPT-3 paper (Brown et
al. 2020, appendix C), with words as in `harness.corpus.words`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.corpus.words import words

SHORTEST = 5
"""Items of fewer words count only when they equal a whole training text: they occur by chance."""

_Ids = npt.NDArray[np.uint64]
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """One item that shares words with one training text.

    ``kind`` is ``exact`` when the whole item occurs there (``words`` of it, in order), else
    ``ngram``: at least ``n`` words in a row do. ``item`` and ``text`` are positions in what was
    compared, ``shared`` the first stretch in common.
    """

    kind: Literal["exact", "ngram"]
    item: int
    text: int
    shared: str


def overlap(texts: Sequence[str], items: Sequence[str], *, n: int = 13) -> tuple[Overlap, ...]:
    """List the items that occur in training texts, by item, each with the first text it is in.

    Args:
        texts: Training texts.
        items: Test items as text: question, gold answer, or both.
        n: Words in a row that count as a partial copy.

    Returns:
        At most one entry an item, the strongest: exact before n-gram.
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
    for kind, item, text, ids in (*_whole(item_ids, text_ids), *_parts(item_ids, text_ids, n)):
        if item not in found:
            shared = " ".join(names[i] for i in ids)
            found[item] = Overlap(kind=kind, item=item, text=text, shared=shared)
    return tuple(found[number] for number in sorted(found))


_Hit = tuple[Literal["exact", "ngram"], int, int, list[int]]


def _whole(items: list[list[int]], texts: list[list[int]]) -> list[_Hit]:
    """Find items that stand whole inside a text, by their first few words."""
    starts = [ids[:SHORTEST] if len(ids) >= SHORTEST else [] for ids in items]
    return [
        ("exact", item, text, items[item])
        for item, text, place, _ in _matches(starts, texts, SHORTEST)
        if texts[text][place : place + len(items[item])] == items[item]
    ]


def _parts(items: list[list[int]], texts: list[list[int]], n: int) -> list[_Hit]:
    return [("ngram", item, text, ids) for item, text, _, ids in _matches(items, texts, n)]


def _matches(
    items: list[list[int]], texts: list[list[int]], n: int
) -> list[tuple[int, int, int, list[int]]]:
    """Return (item, text, place in the text, words) of every n-gram of an item in a text."""
    grams: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, ids in enumerate(items):
        for start in range(len(ids) - n + 1):
            grams[tuple(ids[start : start + n])].append(number)
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
