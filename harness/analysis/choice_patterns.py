"""Multiple choice beyond right and wrong: which letters are chosen, and how sure the arms are."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.analysis.confusion import labelled
from harness.analysis.intervals import scored
from harness.analysis.transitions import choices
from harness.records import Comparison, Item, ItemKey, Pair, Sample
from harness.stats.reliability import Reliability, bins_of, marginal_homogeneity, reliability

MIN_CHOICES = 20
"""Choices below which neither letters nor confidence say anything."""

SHIFTED = 0.001
"""p-value below which the letters that an arm chooses have moved."""

RIGHT = "right letter"
CHOSEN = ("letter chosen by the base", "letter chosen by the candidate")
SURE = ("confidence of the base", "confidence of the candidate")
"""Groups of items by what an arm chose, and by how sure it was."""


class Letter(NamedTuple):
    """One place of a choice: how often it is wanted, and how often each arm chose it."""

    name: str
    gold: int
    base: int
    tuned: int


class Letters(NamedTuple):
    """The letters of one comparison over ``total`` items, and the p-value of "nothing moved"."""

    letters: tuple[Letter, ...]
    total: int
    p: float

    @property
    def favoured(self) -> Letter | None:
        """The letter that the candidate takes to beyond the base and beyond what is wanted."""
        most = max(self.letters, key=lambda one: one.tuned - max(one.base, one.gold))
        excess = (most.tuned - max(most.base, most.gold)) / self.total
        return most if self.p < SHIFTED and excess >= 0.05 else None


class Sureness(NamedTuple):
    """Confidence against being right, and the mean margin over the best other choice, in nats."""

    reliability: Reliability
    margin: float
    confidence: float
    right: float


def letters(comparison: Comparison) -> Letters | None:
    """Count the letters of a choice suite; None below 20 choices, and where they are labels."""
    pairs = _both(comparison, _chosen)
    if not pairs or labelled(comparison):
        return None
    base, tuned = ([_chosen(s) or 0 for s in arm] for arm in _sides(pairs))
    golds = [_gold(pair.base) for pair in pairs]
    count = max(*base, *tuned, *(gold for gold in golds if gold is not None), 1) + 1
    counted = [Counter(places) for places in (golds, base, tuned)]
    found = tuple(
        Letter(_letter(place), *(counts[place] for counts in counted)) for place in range(count)
    )
    return Letters(found, len(pairs), marginal_homogeneity(base, tuned, count))


def sureness(comparison: Comparison) -> tuple[Sureness, Sureness] | None:
    """Return how sure base and candidate are of their choices; None without likelihoods."""
    pairs = _both(comparison, _confidence)
    if not pairs:
        return None
    base, tuned = (_sureness(samples) for samples in _sides(pairs))
    return base, tuned


def choice_groups(comparison: Comparison) -> Iterator[tuple[ItemKey, tuple[str, str]]]:
    """Yield what ``letters`` and ``sureness`` count an item under, as names and values."""
    for pair in [] if labelled(comparison) else _both(comparison, _chosen):
        key, gold = pair.base.item.key, _gold(pair.base)
        if gold is not None:
            yield key, (RIGHT, _letter(gold))
        for name, sample in zip(CHOSEN, (pair.base, pair.tuned), strict=True):
            yield key, (name, _letter(_chosen(sample) or 0))
    pairs = _both(comparison, _confidence)
    for name, samples in zip(SURE, _sides(pairs), strict=True):
        sure = [(_confidence(sample) or (0.0, 0.0))[0] for sample in samples]
        for pair, number in zip(pairs, bins_of(sure), strict=True):
            yield pair.base.item.key, (name, f"bin {number}")


def _both(comparison: Comparison, known: Callable[[Sample], object | None]) -> list[Pair]:
    """Return the scored pairs of which both answers have it; none where fewer than 20 do."""
    pairs = [
        pair
        for pair in scored(comparison)
        if known(pair.base) is not None and known(pair.tuned) is not None
    ]
    return pairs if len(pairs) >= MIN_CHOICES else []


def _sureness(samples: Sequence[Sample]) -> Sureness:
    sure = [_confidence(sample) or (0.0, 0.0) for sample in samples]
    right = [sample.verdict.outcome == "correct" for sample in samples]
    confidence, margins = ([values[i] for values in sure] for i in (0, 1))
    return Sureness(
        reliability(confidence, right),
        sum(margins) / len(margins),
        sum(confidence) / len(confidence),
        sum(right) / len(right),
    )


def _sides(pairs: Sequence[Pair]) -> tuple[list[Sample], list[Sample]]:
    return [pair.base for pair in pairs], [pair.tuned for pair in pairs]


def _chosen(sample: Sample) -> int | None:
    chosen = sample.verdict.details.get("chosen")
    return chosen if isinstance(chosen, int) and 0 <= chosen < 26 else None


def _gold(sample: Sample) -> int | None:
    """Return the place of the wanted choice, where the row says so in a form that is known."""
    if sample.verdict.outcome == "correct":
        return _chosen(sample)
    item = sample.item
    options = choices(item) or tuple(map(str, _listed(sample)))
    if item.target.isdecimal() and int(item.target) < max(len(options), 2):
        return int(item.target)
    if item.target in options:
        return options.index(item.target)
    return _labels(item).get(item.target)


def _listed(sample: Sample) -> Sequence[object]:
    listed = sample.verdict.details.get("choices")
    return listed if isinstance(listed, list | tuple) else ()


def _labels(item: Item) -> dict[str, int]:
    found = item.doc.get("choices")
    given = found.get("label") if isinstance(found, Mapping) else None
    names = given if isinstance(given, list | tuple) else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return {str(name): place for place, name in enumerate(names)}


def _letter(place: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place]


def _confidence(sample: Sample) -> tuple[float, float] | None:
    """Return the probability of the choice among all, and its margin in nats (below zero: none)."""
    chosen = _chosen(sample)
    found = [r.logprob for r in sample.responses if r.logprob is not None]
    if chosen is None or not chosen < len(found) or len(found) != len(sample.responses):
        return None
    if len(found) < 2 or not all(map(math.isfinite, found)):
        return None
    top = max(found)
    total = sum(math.exp(one - top) for one in found)
    others = max(one for place, one in enumerate(found) if place != chosen)
    return math.exp(found[chosen] - top) / total, found[chosen] - others
