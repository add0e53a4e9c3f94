"""A judge model beside people: how far it agrees with them, and whether its figure may be shown."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import numpy as np

from harness.analysis.people import FEWEST, winner_of
from harness.analysis.rated_items import LEVEL
from harness.records import ItemKey, Judged, RatedSet, Review
from harness.stats.agreement import AgreementInterval, kappa_of_table
from harness.stats.scores import Floats
from harness.stats.win_rate import PopulationWinRate, Stratum, population_win_rate

NEEDED = 0.6
"""Kappa with people below which a judge's figure is withheld."""
RATINGS = 100
"""Human ratings of judged pairs below which it is withheld."""
_RESAMPLES = 1000
_UNREAD = (
    "its figure is withheld: none of its replies names an answer; ask a model that follows the "
    "prompt, or let it reply at more length"
)


class JudgedSet(NamedTuple):
    """What a judge says of one candidate on one suite, from the drawn pairs."""

    suite: str
    candidate: str
    rate: PopulationWinRate


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeBeside:
    """A judge model beside people.

    ``kappa`` is Cohen's between judge and raters over all ``ratings`` of pairs that it judged (win,
    tie, loss), ``among_people`` that between two raters of the same pair: both with intervals over
    items, their values None where there is nothing to compare. ``unread`` counts pairs for which no
    answer could be read. ``withheld`` says why no figure is shown; where it is empty, ``figures``
    has one for each set.
    """

    draw: str
    judged: Judged
    pairs: int
    unread: int
    ties: int
    ratings: int
    kappa: AgreementInterval
    among_people: AgreementInterval
    withheld: str
    figures: tuple[JudgedSet, ...]


def judges_beside(reviews: Sequence[Review]) -> tuple[JudgeBeside, ...]:
    """Set every judge that was asked beside the people who rated the same draw."""
    return tuple(
        _beside(review, review.judged)
        for review in reviews
        if review.judged and review.judged.pairs
    )


def _beside(review: Review, judged: Judged) -> JudgeBeside:
    people: dict[tuple[str, ItemKey], list[int]] = defaultdict(list)
    for rating in review.ratings:
        if rating.preference is not None and not rating.repeats:
            people[rating.set_name, rating.item].append(winner_of(rating))
    verdicts = {
        (pair.set_name, pair.item): pair.preference
        for pair in judged.pairs
        if pair.preference is not None
    }
    shared = [key for key in verdicts if key in people]
    ratings = sum(len(people[key]) for key in shared)
    kappa = _kappa([[(verdicts[key], said) for said in people[key]] for key in shared])
    withheld = _withheld(kappa.value, ratings) if verdicts else _UNREAD
    return JudgeBeside(
        draw=review.draw,
        judged=judged,
        pairs=len(judged.pairs),
        unread=len(judged.pairs) - len(verdicts),
        ties=sum(preference == 0 for preference in verdicts.values()),
        ratings=ratings,
        kappa=kappa,
        among_people=_kappa([[*permutations(said, 2)] for said in people.values()]),
        withheld=withheld,
        figures=() if withheld else tuple(_figures(judged, review.sets)),
    )


def _withheld(kappa: float | None, ratings: int) -> str:
    if ratings < RATINGS:
        return (
            f"its figure is withheld: people have rated {ratings} of the pairs that it judged, "
            f"{RATINGS} are needed to know how far it can be trusted"
        )
    if kappa is None:
        return "its figure is withheld: every judgement is the same, so agreement is not defined"
    if kappa < NEEDED:
        return (
            f"its figure is withheld: it agrees with people too little (kappa {kappa:.2f}, "
            f"{NEEDED} is needed)"
        )
    return ""


def _kappa(items: Sequence[Sequence[tuple[int, int]]]) -> AgreementInterval:
    """Return Cohen's kappa over pairs of judgements, with a bootstrap interval over items."""
    tables = np.zeros((len(items), 3, 3))
    for place, pairs in enumerate(items):
        for one, other in pairs:
            tables[place, one + 1, other + 1] += 1.0
    tables = tables[tables.sum(axis=(1, 2)) > 0]
    value = _of(tables)
    if value is None or len(tables) < FEWEST:
        return AgreementInterval(None, None, None)
    rng, n = np.random.default_rng(0), len(tables)
    drawn = (_of(tables[rng.integers(0, n, size=n)]) for _ in range(_RESAMPLES))
    low, high = np.quantile([v for v in drawn if v is not None], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return AgreementInterval(value, min(float(low), value), max(float(high), value))


def _of(tables: Floats) -> float | None:
    return kappa_of_table(tables.sum(axis=0)) if len(tables) else None


def _figures(judged: Judged, sets: Sequence[RatedSet]) -> list[JudgedSet]:
    found = []
    for drawn in sets:
        scores: dict[str, list[float]] = defaultdict(list)
        for pair in judged.pairs:
            if pair.set_name == drawn.name and pair.preference is not None:
                scores[pair.stratum].append((1 + pair.preference) / 2)
        sizes = {stratum: size for stratum, size in drawn.strata.items() if size}
        if sizes.keys() == scores.keys() and sum(map(len, scores.values())) >= FEWEST:
            strata = [Stratum(size, scores[stratum]) for stratum, size in sizes.items()]
            rate = population_win_rate(strata, ties=drawn.identical, level=LEVEL)
            found.append(JudgedSet(drawn.suite, drawn.candidate, rate))
    return found
