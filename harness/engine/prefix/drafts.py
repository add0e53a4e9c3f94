"""Which drafts of answers are read: those of sources whose guesses have been right.

A source is a place among the drafts of a prompt, such as the reference or the base's text, for one
arm and one suite. What it guesses wrong costs as much as a decoded token, so a few of its drafts
are read first, and the others only if enough of those tokens were right.

While an answer is decoded, what it repeats is a draft, too: `repeated`.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from harness.engine.prefix.trie import common_prefix_length

TRIAL = 8
"""Drafts of a source that are read before it is judged."""

MIN_RIGHT_SHARE = 0.2
"""Share of a source's tokens that must have been right for its drafts to be read."""

DraftIds = tuple[tuple[int, ...], ...]
"""Drafts of one answer as token ids, each at its source's place; empty where a source has none."""


@dataclass(slots=True)
class DraftRecord:
    """How often each source of each reader, which is an arm on a suite, was right so far."""

    _tried: Counter[tuple[Hashable, int]] = field(default_factory=Counter)
    _read: Counter[tuple[Hashable, int]] = field(default_factory=Counter)
    _right: Counter[tuple[Hashable, int]] = field(default_factory=Counter)

    def trial(self, prompts: Sequence[tuple[Hashable, DraftIds]]) -> list[int]:
        """Return the places of prompts, by reader and drafts, that are to be read first."""
        taken: Counter[Hashable] = Counter()
        chosen = []
        for index, (reader, drafts) in enumerate(prompts):
            if any(drafts) and taken[reader] < TRIAL:
                taken[reader] += 1
                chosen.append(index)
        return chosen

    def worth_reading(self, reader: Hashable, drafts: DraftIds) -> DraftIds:
        """Return drafts without those of sources that were rarely right."""
        return tuple(
            () if self._is_poor((reader, source)) else draft for source, draft in enumerate(drafts)
        )

    def note(self, reader: Hashable, drafts: DraftIds, answer: Sequence[int]) -> None:
        """Compare drafts that were read with as much of the answer as is known."""
        for source, draft in enumerate(drafts):
            if draft:
                self._tried[reader, source] += 1
                self._read[reader, source] += len(draft)
                self._right[reader, source] += common_prefix_length(draft, tuple(answer))

    def _is_poor(self, of: tuple[Hashable, int]) -> bool:
        return self._tried[of] >= TRIAL and self._right[of] < MIN_RIGHT_SHARE * self._read[of]


def searchable(ids: Iterable[int]) -> str:
    """Return token ids as characters: a search in text is fast."""
    return "".join(map(chr, ids))


def repeated(said: str, count: int) -> list[int]:
    """Guess the tokens that follow: those that followed the last two where they stood before.

    Prompt lookup (Saxena 2023): an answer copies names from its prompt, and a model that is lost
    repeats itself until the limit.

    Args:
        said: A prompt and its answer so far, as `searchable`.
        count: How many to guess.

    Returns:
        So many tokens; none where the last two are new.

    >>> [repeated(searchable(ids), 3) for ids in ((5, 6, 7, 8, 5, 6), (9, 4, 4, 4), (1, 2, 3))]
    [[7, 8, 5], [4, 4, 4], []]
    """
    place = said.rfind(said[-2:], 0, -1) if len(said) > 1 else -1
    if place < 0:
        return []
    period = said[place + 2 :]
    return [ord(period[n % len(period)]) for n in range(count)]
