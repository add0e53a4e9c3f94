"""What lost items have in common in their words: themes, with their top terms and typical items.

Terms are words of the questions that are more frequent among lost items than among items that were
right and stayed right. Where scikit-learn is installed (lm-eval brings it), lost items are grouped
by k-means over these terms' TF-IDF; else by the strongest term that they share.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import NamedTuple

from harness.analysis.transitions import asked_text, target_text
from harness.records import Comparison, Finding, Item, Pair

LEAST_LOST = 8
"""Lost items below which each can be read."""

LEAST_SHARING = 5
"""Items that make a theme."""

MOST_THEMES = 5
MOST_TERMS = 4
_VOCABULARY = 200
_MOST_KEPT = 2_000
"""Kept items that lost ones are held against; of more, evenly spaced ones."""

BY_COUNTS = "grouped by the words that they share"
BY_KMEANS = "grouped by k-means over their words (scikit-learn)"

_WORD = re.compile(r"[^\W\d_]{3,}|\d+")


class Theme(NamedTuple):
    """Lost items that share words: their top terms, and the items, the most typical one first."""

    terms: tuple[str, ...]
    pairs: tuple[Pair, ...]


def themes(comparison: Comparison, *, learned: bool | None = None) -> tuple[Finding, ...]:
    """Group the lost items of a comparison by what they are about.

    Args:
        comparison: Base against one candidate on one suite.
        learned: Whether to use scikit-learn; by default where it is installed.

    Returns:
        One finding per theme, the largest first; none where lost items share no words that kept
        items lack, nor where no item was kept. ``keys`` are its items, the most typical first.
    """
    lost = [pair for pair in comparison.pairs if pair.transition == "lost"]
    kept = [pair for pair in comparison.pairs if pair.transition == "both_right"]
    if len(lost) < LEAST_LOST or not kept:
        return ()
    wanted = comparison.suite.judge not in ("tools", "refusal")  # their words say nothing
    words = [_words(pair.base.item, wanted=wanted) for pair in lost]
    seen = kept[:: 1 + len(kept) // _MOST_KEPT]
    others = [_words(pair.base.item, wanted=wanted) for pair in seen]
    strength = _strength(words, others)
    if not strength:
        return ()
    use_sklearn = find_spec("sklearn") is not None if learned is None else learned
    groups = (_by_kmeans if use_sklearn else _by_counts)(words, strength)
    found = [
        _theme([lost[i] for i in group], [words[i] for i in group], strength) for group in groups
    ]
    found = [theme for theme in found if len(theme.pairs) >= LEAST_SHARING and theme.terms]
    found.sort(key=lambda theme: (-len(theme.pairs), theme.terms))
    how = BY_KMEANS if use_sklearn else BY_COUNTS
    return tuple(_finding(comparison, theme, len(lost), how) for theme in found[:MOST_THEMES])


def _words(item: Item, *, wanted: bool) -> frozenset[str]:
    """Return the words of what is asked, and of the answer that is wanted."""
    asked = asked_text(item)
    text = item.prompt if asked is None else asked
    target = target_text(item) if wanted else ""
    return frozenset(_WORD.findall(f"{text} {target}".lower()))


def _strength(
    words: Sequence[frozenset[str]], others: Sequence[frozenset[str]]
) -> dict[str, float]:
    """Return G-squared of every term that is over-represented among the lost items."""
    mine, theirs = (Counter(word for one in group for word in one) for group in (words, others))
    found = {}
    for word, count in mine.items():
        if count >= LEAST_SHARING and count / len(words) > theirs[word] / len(others):
            table = (count, len(words) - count, theirs[word], len(others) - theirs[word])
            found[word] = _g_squared(*table)
    strong = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))[:_VOCABULARY]
    least = 2 * math.log(max(len(found), 1) / 0.05)  # above chi-square's quantile at 0.05 / words
    return {word: value for word, value in strong if value >= least}


def _g_squared(a: int, b: int, c: int, d: int) -> float:
    """Return the likelihood-ratio statistic of a table of two rows and two columns."""
    total = a + b + c + d
    expected = (
        (a, (a + b) * (a + c)), (b, (a + b) * (b + d)), (c, (c + d) * (a + c)),
        (d, (c + d) * (b + d)),
    )  # fmt: skip
    return 2 * sum(n * math.log(n * total / product) for n, product in expected if n)


def _by_counts(words: Sequence[frozenset[str]], strength: Mapping[str, float]) -> list[list[int]]:
    """Give each item to its strongest term: a group per term."""
    groups: dict[str, list[int]] = {}
    for place, one in enumerate(words):
        shared = [word for word in strength if word in one]  # strongest first
        if shared:
            groups.setdefault(shared[0], []).append(place)
    return list(groups.values())


def _by_kmeans(words: Sequence[frozenset[str]], strength: Mapping[str, float]) -> list[list[int]]:
    """Cluster the items that have any of the terms, by the terms' TF-IDF."""
    import numpy as np
    from sklearn.cluster import KMeans

    terms = list(strength)
    table = np.array([[float(term in one) for term in terms] for one in words])
    having = np.flatnonzero(table.any(axis=1))
    rows = table[having] * np.log(1 + len(words) / (1 + table.sum(axis=0)))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    count = min(MOST_THEMES, len(np.unique(rows, axis=0)), max(1, len(having) // LEAST_SHARING))
    labels = KMeans(n_clusters=count, n_init=4, random_state=0).fit_predict(rows)
    return [having[labels == label].tolist() for label in range(count)]


def _theme(
    pairs: Sequence[Pair], words: Sequence[frozenset[str]], strength: Mapping[str, float]
) -> Theme:
    counts = Counter(word for one in words for word in one if word in strength)
    common = [word for word in counts if counts[word] >= max(2, len(pairs) / 3)]
    terms = sorted(common, key=lambda word: (-counts[word], -strength[word], word))[:MOST_TERMS]
    shared = [sum(term in one for term in terms) for one in words]
    order = sorted(range(len(pairs)), key=lambda i: (-shared[i], len(words[i]), i))
    return Theme(tuple(terms), tuple(pairs[i] for i in order))


def _finding(comparison: Comparison, theme: Theme, lost: int, how: str) -> Finding:
    terms = ", ".join(theme.terms)
    return Finding(
        kind="theme",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title=terms,
        text=f"{len(theme.pairs)} of {lost} lost items; {how}",
        base_count=len(theme.pairs),
        total=lost,
        keys=tuple(pair.base.item.key for pair in theme.pairs),
        conditions=((f"lost by {comparison.candidate}", terms),),
    )
