"""Ratings beside the items that they are of: weights, judgements as bouts, scores, lengths."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from harness.analysis.transitions import answer_text
from harness.records import Comparison, ItemKey, Pair, RatedSet, Rating
from harness.stats.concordance import Concordance, concordance
from harness.stats.prediction_powered import (
    PoweredMean,
    ScoredStratum,
    prediction_powered_win_rate,
)
from harness.stats.preferences import Bout, LengthControlled, length_controlled
from harness.stats.win_rate import Stratum

LEVEL = 0.90
LENGTH = "length in characters"

JudgedItems = Mapping[ItemKey, tuple[Pair, list[Rating]]]
"""What was said of each item that the run has."""


def judged_items(
    ratings: Sequence[Rating], pairs: Mapping[ItemKey, Pair]
) -> dict[ItemKey, tuple[Pair, list[Rating]]]:
    """Return what was said of each item that the run has, "cannot judge" left out."""
    found: dict[ItemKey, tuple[Pair, list[Rating]]] = {}
    for rating in ratings:
        if rating.preference is not None and rating.item in pairs:
            found.setdefault(rating.item, (pairs[rating.item], []))[1].append(rating)
    return found


def weights_of(drawn: RatedSet, ratings: Sequence[Rating]) -> dict[ItemKey, float]:
    """Return of how many of the suite's items each rated item stands."""
    items: dict[str, set[ItemKey]] = defaultdict(set)
    for rating in ratings:
        if rating.preference is not None:
            items[rating.stratum].add(rating.item)
    return {
        item: drawn.strata.get(stratum, len(found)) / len(found)
        for stratum, found in items.items()
        for item in found
    }


def outcome_of(rating: Rating) -> float:
    """Return 1 where tuned was preferred, 0 where base was, 0.5 for a tie."""
    preference = rating.preference or 0
    return (1 + (preference > 0) - (preference < 0)) / 2


def bouts_of(ratings: Sequence[Rating], weights: Mapping[ItemKey, float]) -> list[Bout]:
    """Return judgements as bouts of the candidate against base; an item's raters share weight."""
    judged = [rating for rating in ratings if rating.preference is not None]
    times: dict[ItemKey, int] = defaultdict(int)
    for rating in judged:
        times[rating.item] += 1
    return [
        Bout(
            first=rating.candidate,
            second="base",
            outcome=outcome_of(rating),
            weight=weights[rating.item] / times[rating.item],
            item=(rating.candidate, rating.item),
            stratum=(rating.candidate, rating.stratum),
        )
        for rating in judged
    ]


def strata_of(drawn: RatedSet, ratings: Sequence[Rating]) -> list[Stratum]:
    """Return the strata with the mean outcome of each rated item."""
    found: dict[str, dict[ItemKey, list[float]]] = {name: {} for name in drawn.strata}
    for rating in ratings:
        if rating.preference is not None and rating.stratum in found:
            found[rating.stratum].setdefault(rating.item, []).append(outcome_of(rating))
    return [
        Stratum(size, [fmean(outcomes) for outcomes in found[name].values()])
        for name, size in drawn.strata.items()
        if size
    ]


def powered_of(
    drawn: RatedSet, ratings: Sequence[Rating], comparison: Comparison
) -> PoweredMean | None:
    """Join ratings and the deciding score; None where not every item drawn from has a score."""
    pairs = {pair.base.item.key: pair for pair in comparison.pairs}
    gains = {key: gain_of(comparison, pair) for key, pair in pairs.items()}
    # a gain of the score from -1 to 1, on the scale of ratings; identical answers gain nothing
    scores = {key: (1.0 + gain) / 2.0 for key, gain in gains.items() if gain is not None}
    by_item = judged_items(ratings, pairs)
    by_stratum: dict[str, list[ItemKey]] = defaultdict(list)
    for key, (_, found) in by_item.items():
        by_stratum[found[0].stratum].append(key)
    sizes = {stratum: size for stratum, size in drawn.strata.items() if size}
    changed = [score for score in scores.values() if score != 0.5]
    same = len(scores) - len(changed) - drawn.identical  # these are in the strata, too
    known = by_item.keys() <= scores.keys() and by_stratum.keys() == sizes.keys()
    if not known or same < 0 or len(changed) + same != sum(sizes.values()):
        return None
    strata = [
        ScoredStratum(
            size,
            [fmean(map(outcome_of, by_item[key][1])) for key in by_stratum[stratum]],
            [scores[key] for key in by_stratum[stratum]],
        )
        for stratum, size in sizes.items()
    ]
    powered = prediction_powered_win_rate(
        strata, [*changed, *[0.5] * same], ties=drawn.identical, level=LEVEL
    )
    return powered if powered.tuning else None


def gain_of(comparison: Comparison, pair: Pair) -> float | None:
    """Return how much better the score says tuned's answer is, -1 to 1; None where it has none."""
    base, tuned = pair.base.verdict.score, pair.tuned.verdict.score
    if base is None or tuned is None:
        return None
    return comparison.suite.oriented(tuned) - comparison.suite.oriented(base)


def length_of(
    ratings: Sequence[Rating], pairs: Mapping[ItemKey, Pair], weights: Mapping[ItemKey, float]
) -> LengthControlled | None:
    """Return the win rate at equal lengths; None where no answer of the run is known."""
    longer_by = {
        key: float(len(answer_text(pair.tuned)) - len(answer_text(pair.base)))
        for key, pair in pairs.items()
    }
    mine = [r for r in ratings if r.preference is not None and r.item in pairs]
    bouts = bouts_of(mine, weights)
    if not bouts or not any(longer_by.values()):
        return None
    return length_controlled(
        bouts, [longer_by[r.item] for r in mine], [*longer_by.values()], level=LEVEL
    )


def metrics_of(
    comparison: Comparison, rated: JudgedItems, weights: Mapping[ItemKey, float]
) -> Iterator[tuple[str, Concordance]]:
    """Yield how each automatic figure of an answer goes with people's preferences.

    The suite's metric comes first, then the other columns as they are recorded, and the length.
    """
    wishes = {key: fmean(outcome_of(r) - 0.5 for r in found) for key, (_, found) in rated.items()}
    gains = {key: gain_of(comparison, pair) for key, (pair, _) in rated.items()}
    columns = {comparison.suite.metric: {k: g for k, g in gains.items() if g is not None}}
    for key, (pair, _) in rated.items():
        base, tuned = pair.base.verdict.metrics, pair.tuned.verdict.metrics
        for name in base.keys() & tuned.keys() - {comparison.suite.metric}:
            columns.setdefault(name, {})[key] = tuned[name] - base[name]
        more = len(answer_text(pair.tuned)) - len(answer_text(pair.base))
        columns.setdefault(LENGTH, {})[key] = float(more)
    if not any(columns[LENGTH].values()):
        del columns[LENGTH]  # texts were left out
    first, *others = columns
    for name in (first, *sorted(others)):
        found = columns[name]
        yield (
            name,
            concordance(
                [wishes[key] for key in found],
                [*found.values()],
                [weights[key] for key in found],
                level=LEVEL,
            ),
        )
