"""Data cards of tokenized rows: token counts, row lengths, and some rows with their loss mask."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.training.rows.encode import EncodedRow, TextSpan, text_spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BINS = 8
"""Bars of a histogram of lengths."""


@dataclass(slots=True, kw_only=True)
class DataCard:
    """Counts over a stream of tokenized rows; only the rows that are shown stay in memory.

    ``tokens`` is what is read in one epoch, ``learnt`` what the loss is on, ``lengths`` maps a row
    length in tokens to its number of rows. ``shown`` rows are drawn at random (reservoir sampling)
    and stored with their number.
    """

    shown: int = 0
    seed: int = 0
    rows: int = 0
    tokens: int = 0
    learnt: int = 0
    lengths: Counter[int] = field(default_factory=Counter)
    drawn: list[tuple[int, EncodedRow]] = field(default_factory=list)

    def count(self, rows: Iterable[EncodedRow]) -> "DataCard":
        """Count rows; return the card itself."""
        draw = random.Random(self.seed)
        for row in rows:
            self.lengths[row.length] += 1
            self.tokens += len(row.input_ids)
            self.learnt += row.learnt
            place = self.rows if self.rows < self.shown else draw.randint(0, self.rows)
            if place < self.shown:
                self.drawn[place : place + 1] = [(self.rows, row)]
            self.rows += 1
        return self

    @property
    def longest(self) -> int:
        """Length of the longest row in tokens."""
        return max(self.lengths, default=0)

    def longer_than(self, length: int) -> int:
        """Return the number of rows with more tokens than that."""
        return sum(rows for found, rows in self.lengths.items() if found > length)

    def histogram(self) -> tuple[tuple[int, int], ...]:
        """Return (longest row of the bin in tokens, rows in it) of at most `BINS` equal bins."""
        width = max(1, -(-self.longest // BINS))
        binned: Counter[int] = Counter()
        for length, rows in self.lengths.items():
            binned[-(-length // width) * width] += rows
        return tuple((end, binned[end]) for end in range(width, self.longest + width, width))

    def pictures(
        self, tokenizer: "PreTrainedTokenizerBase"
    ) -> list[tuple[str, tuple[TextSpan, ...]]]:
        """Return the drawn rows in order: their origin, and their text with its loss mask."""
        drawn = sorted(self.drawn, key=lambda entry: entry[0])
        return [(row.origin, text_spans(row, tokenizer)) for _, row in drawn]
