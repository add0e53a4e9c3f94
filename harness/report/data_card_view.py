"""Data cards for people: training rows, cleaning, lengths, and test items among the rows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from harness.records import Result, TrainingData
from harness.report import charts

KINDS = {"exact": "whole", "ngram": "13 words in a row", "near": "nearly"}
"""How much of a test item stands in a training row, in words."""

EXAMPLES = 5
"""Test items in the training text that are shown; the data card in the run folder has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataView:
    """One data card in words.

    ``steps`` are (what cleaning did, to which step, rows), ``lengths`` (tokens, rows, bar),
    ``copies`` (suite, items, how), ``shown`` (suite, how, training row, words in common).
    """

    name: str
    words: str
    steps: tuple[tuple[str, str, int], ...]
    lengths: tuple[tuple[str, int, Markup], ...]
    overlap: str
    copies: tuple[tuple[str, int, str], ...]
    shown: tuple[tuple[str, str, str, str], ...]


def training_data(result: Result) -> tuple[DataView, ...]:
    """Put every data card of a run into words."""
    return tuple(_view(card, result) for card in result.data)


def _view(card: TrainingData, result: Result) -> DataView:
    titles = {suite.name: suite.heading for suite in result.suites}
    by_suite = Counter(copy.item[0] for copy in card.copies)
    kinds = {
        suite: Counter(KINDS[copy.kind] for copy in card.copies if copy.item[0] == suite)
        for suite in by_suite
    }
    most = max((rows for _, rows in card.lengths), default=0)
    return DataView(
        name=card.candidate,
        words=_words(card),
        steps=tuple(
            (done, step, rows)
            for done, steps in (
                ("changed", card.changed),
                ("dropped", card.dropped),
                ("pointed out", card.flagged),
            )
            for step, rows in steps.items()
            if rows
        ),
        lengths=tuple(
            (f"up to {end:,}", rows, charts.bar(rows, most, f"{rows:,} rows up to {end:,} tokens"))
            for end, rows in card.lengths
            if rows
        ),
        overlap=_overlap(card, by_suite),
        copies=tuple(
            (
                titles.get(suite, suite),
                items,
                ", ".join(f"{n} {k}" for k, n in kinds[suite].items()),
            )
            for suite, items in by_suite.items()
        ),
        shown=tuple(
            (titles.get(copy.item[0], copy.item[0]), KINDS[copy.kind], copy.origin, copy.shared)
            for copy in card.copies[:EXAMPLES]
        ),
    )


def _words(card: TrainingData) -> str:
    shape = f"{card.rows:,} rows of {card.source} ({card.shape})"
    if card.read != card.rows:
        shape = f"{card.rows:,} of {card.read:,} rows of {card.source} ({card.shape})"
    facts = [
        shape,
        f"{card.tokens:,} tokens, {card.learnt / max(card.tokens, 1):.0%} of them learnt",
    ]
    if card.too_long:
        facts.append(f"{card.too_long:,} rows above {card.max_length:,} tokens left out")
    if card.validation:
        facts.append(f"{card.validation:,} validation rows of their own")
    if card.ignored:
        facts.append(f"not learnt from: {ignored_columns(card.ignored)}")
    return "; ".join(facts)


def ignored_columns(ignored: Mapping[str, int]) -> str:
    """Name the columns that nothing is learnt from, with their rows."""
    return ", ".join(f"{name} ({rows:,} rows)" for name, rows in ignored.items())


def _overlap(card: TrainingData, by_suite: Counter[str]) -> str:
    if not card.copies:
        return "No test item was found in these rows: not whole, not 13 words of it, not nearly."
    fate = "left out of the verdict" if card.excluded else "listed only, the verdict counts them"
    return f"{sum(by_suite.values()):,} test items were found in these rows; they are {fate}."
