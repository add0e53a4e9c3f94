"""Classification beyond right and wrong: which label is named for which, and F1 of each label."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from harness.analysis.intervals import scored
from harness.errors import ComparisonError
from harness.records import Comparison, Decision, ItemKey, Pair, Sample
from harness.stats import (
    decide_corpus,
    label_f1,
    label_statistics,
    macro_f1,
    shared_clusters,
)

MIN_LABELLED = 20
"""Items below which a matrix says nothing."""

NONE = "no label"
"""What an answer names that names none of the labels."""

NAMED_BY = ("named by the base", "named by the candidate")
Cell = tuple[str, str]
"""The right label of an item, and the one that an answer names, or `NONE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """One label: how many items it is right for, and F1 and recall of base and candidate."""

    name: str
    items: int
    f1: tuple[float, float]
    recall: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """The labels that two arms name for the same items.

    ``labels`` are those that are right for some item, ``others`` further ones that are named;
    ``macro`` is macro-F1 of base and candidate, ``decision`` its change with a paired interval
    (None where too few items are independent), ``total`` the number of items.
    """

    labels: tuple[LabelScore, ...]
    others: tuple[str, ...]
    base: Counter[Cell]
    tuned: Counter[Cell]
    macro: tuple[float, float]
    decision: Decision | None
    total: int

    @property
    def moved(self) -> list[Cell]:
        """The wrong cells whose count changed, the largest change first."""
        cells = {cell for cell in (*self.base, *self.tuned) if cell[0] != cell[1]}
        changed = [cell for cell in cells if self.base[cell] != self.tuned[cell]]
        return sorted(changed, key=lambda c: (-abs(self.tuned[c] - self.base[c]), c))


def confusion(comparison: Comparison) -> Confusion | None:
    """Count which label is named for which; None where items are not of a classification."""
    pairs = labelled(comparison)
    if len(pairs) < MIN_LABELLED:
        return None
    golds = [_gold(pair.base) for pair in pairs]
    labels = [label for label in _set(pairs) if label in set(golds)]
    said = [[_named(sample) for sample in arm] for arm in _sides(pairs)]
    arms = [label_statistics(golds, names, labels) for names in said]
    sums = [arm.sum(axis=0) for arm in arms]
    counts = [Counter(zip(golds, (n or NONE for n in names), strict=True)) for names in said]
    named = {name for names in said for name in names if name}
    f1 = [label_f1(each) for each in sums]
    right = Counter(golds)
    return Confusion(
        labels=tuple(
            LabelScore(
                name=label,
                items=right[label],
                f1=(float(f1[0][place]), float(f1[1][place])),
                recall=(
                    counts[0][label, label] / right[label],
                    counts[1][label, label] / right[label],
                ),
            )
            for place, label in enumerate(labels)
        ),
        others=tuple(label for label in _set(pairs) if label in named - set(labels)),
        base=counts[0],
        tuned=counts[1],
        macro=(float(macro_f1(sums[0])), float(macro_f1(sums[1]))),
        decision=_decided(comparison, pairs, *arms),
        total=len(pairs),
    )


def label_groups(comparison: Comparison) -> Iterator[tuple[ItemKey, tuple[str, str]]]:
    """Yield the cells of both matrices that an item is counted in, as names and values."""
    for pair in labelled(comparison):
        for name, sample in zip(NAMED_BY, (pair.base, pair.tuned), strict=True):
            yield pair.base.item.key, cell_group(name, (_gold(sample), _named(sample) or NONE))


def cell_group(named_by: str, cell: Cell) -> tuple[str, str]:
    """Return the group of items by which a cell is found."""
    return f"{cell[0]}, {named_by}", cell[1]


def labelled(comparison: Comparison) -> list[Pair]:
    """Return the scored pairs of a classification; none of any other suite."""
    if comparison.suite.judge not in (None, "classification"):
        return []
    pairs = scored(comparison)
    return list(pairs) if pairs and all(_gold(pair.base) for pair in pairs) else []


def _decided(
    comparison: Comparison, pairs: Sequence[Pair], base: ArrayLike, tuned: ArrayLike
) -> Decision | None:
    try:
        return decide_corpus(
            base,
            tuned,
            macro_f1,
            margin=comparison.suite.margin,
            alpha=comparison.decision.alpha if comparison.decision else 0.05,
            clusters=shared_clusters([pair.base.item.cluster for pair in pairs]),
            largest=1.0,
        )
    except ComparisonError:
        return None


def _set(pairs: Sequence[Pair]) -> list[str]:
    shown = (str(label) for pair in pairs for label in _labels(pair.base))
    return list(dict.fromkeys(shown))


def _labels(sample: Sample) -> Sequence[object]:
    given = sample.item.doc.get("labels")
    return given if isinstance(given, list | tuple) else ()


def _gold(sample: Sample) -> str:
    """Return the right label of an item, empty where its row is none of a classification."""
    label = sample.item.doc.get("label")
    return str(label) if label is not None and label in _labels(sample) else ""


def _named(sample: Sample) -> str | None:
    answer = sample.verdict.answer
    return answer if answer in _labels(sample) else None


def _sides(pairs: Sequence[Pair]) -> tuple[list[Sample], list[Sample]]:
    return [pair.base for pair in pairs], [pair.tuned for pair in pairs]
