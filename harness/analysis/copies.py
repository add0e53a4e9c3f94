"""Test items that occur in a candidate's training rows: left out, or warned of."""

from collections.abc import Iterable, Iterator, Sequence

from harness.records import Comparison, Finding, ItemKey, Pair, TrainingData


def without_copies(
    pairs: Iterable[Pair], candidate: str, cards: Sequence[TrainingData]
) -> tuple[Pair, ...]:
    """Leave out the pairs of items that a candidate was trained on, where its study says so."""
    copied = {
        ItemKey(*copy.item)
        for card in cards
        if card.candidate == candidate and card.excluded
        for copy in card.copies
    }
    return tuple(pair for pair in pairs if pair.base.item.key not in copied)


def copy_warnings(
    cards: Sequence[TrainingData], comparisons: Iterable[Comparison]
) -> Iterator[Finding]:
    """Warn of suites that count items which stand whole in a candidate's training rows."""
    known = {card.candidate: card for card in cards if not card.excluded}
    for comparison in comparisons:
        card = known.get(comparison.candidate)
        keys = [
            ItemKey(*copy.item)
            for copy in (card.copies if card else ())
            if copy.item[0] == comparison.suite.name and copy.kind == "exact"
        ]
        if keys:
            yield Finding(
                kind="warning",
                candidate=comparison.candidate,
                suite=comparison.suite.name,
                title="Test items in the training rows",
                text=f"{len(keys):,} items stand whole in the training rows: they measure memory; "
                "'data: {overlap: exclude}' leaves them out of the verdict",
                tuned_count=len(keys),
                total=comparison.items,
                keys=tuple(keys),
            )
