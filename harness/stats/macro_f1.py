"""Macro-F1 of answers that name labels: a metric of a whole corpus, for `decide_corpus`.

F1 of a label is ``2 tp / (said + gold)``; macro-F1 is the mean over the labels that occur among the
golds, each counting the same, however rare. (Opitz and Burst 2019, "Macro F1 and Macro F1": the
arithmetic mean of F1 values, not the F1 of mean precision and recall.)
"""

from collections.abc import Sequence

import numpy as np

from harness.errors import ComparisonError
from harness.stats.scores import Floats


def label_statistics(
    golds: Sequence[str], said: Sequence[str | None], labels: Sequence[str]
) -> Floats:
    """Return each item's sufficient statistics for `macro_f1`, shape (n, 3 k).

    Args:
        golds: The right label of each item.
        said: The label that an answer names, None where it names none.
        labels: The k labels that count: those among ``golds``.

    Returns:
        Ones where a label is named rightly, then where it is named, then where it is right.

    Raises:
        ComparisonError: If there is no item, or a gold is none of the labels.
    """
    places = {label: place for place, label in enumerate(labels)}
    unknown = [gold for gold in golds if gold not in places]
    if unknown or not golds:
        raise ComparisonError(
            "macro-F1 needs items whose right label is one of those that count: found "
            f"{unknown[0]!r}" if unknown else "macro-F1 needs items: found none"
        )  # fmt: skip
    found = np.zeros((len(golds), 3, len(labels)))
    for item, (gold, named) in enumerate(zip(golds, said, strict=True)):
        found[item, 2, places[gold]] = 1.0
        if named in places:
            found[item, 1, places[named]] = 1.0
            found[item, 0, places[named]] = float(named == gold)
    return found.reshape(len(golds), -1)


def label_f1(sums: Floats) -> Floats:
    """Return F1 of each label, shape (..., k): 0 where a label is neither named nor right."""
    tp, said, gold = np.split(sums, 3, axis=-1)
    return np.asarray(2.0 * tp / np.maximum(said + gold, 1.0), dtype=np.float64)


def macro_f1(sums: Floats) -> Floats:
    """Return macro-F1, shape (...), of sums of `label_statistics`, shape (..., 3 k)."""
    return np.asarray(label_f1(sums).mean(axis=-1), dtype=np.float64)


def macro_f1_of(golds: Sequence[str], said: Sequence[str | None]) -> float:
    """Return macro-F1 over the labels that occur among the golds.

    >>> macro_f1_of(["a", "a", "b"], ["a", "b", "b"])
    0.6666666666666666
    """
    labels = sorted(set(golds))
    return float(macro_f1(label_statistics(golds, said, labels).sum(axis=0)))
