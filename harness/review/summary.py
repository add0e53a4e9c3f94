"""Summaries of collected ratings: who was preferred, how surely, and whether raters agree."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.records import ItemKey
from harness.review.key import KeySet
from harness.stats.agreement import krippendorff_alpha, percent_agreement
from harness.stats.win_rate import Stratum, population_win_rate

LEVEL = 0.90
"""Level of every interval."""
FEWEST = 10
"""Ratings below which there is no win rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One judgement, unblinded.

    ``preference`` is 2 or 1 where tuned is much or slightly better, -2 or -1 where base is, 0 for
    a tie, None for "cannot judge". ``tuned_side`` is ``A`` or ``B``.
    """

    set_name: str
    suite: str
    candidate: str
    item: ItemKey
    rater: int
    stratum: str
    preference: int | None
    tuned_side: str
    choice: str
    base_fault: str = ""
    tuned_fault: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSummary:
    """The ratings of one candidate on one suite, summed up.

    ``wins``, ``ties`` and ``losses`` count judgements from tuned's view, among the rows shown.
    ``win_rate`` is for the whole suite (a tie is half a win): strata by their true sizes, identical
    answers as ties; None below ten ratings, or where of a stratum none came back.
    ``agreement`` is Krippendorff's alpha of the preferences as an ordered scale, ``same`` the share
    of item-wise pairs of raters with the same winner; None below two raters or without variation.
    ``chose_a`` is the share of decided judgements that went to side A; far from 0.5 it means that
    raters prefer a side.
    """

    set_name: str
    suite: str
    candidate: str
    judgements: int
    items: int
    wins: int
    ties: int
    losses: int
    not_judged: int
    identical: int
    win_rate: float | None
    ci_low: float | None
    ci_high: float | None
    chose_a: float | None
    agreement: float | None = None
    same: float | None = None


def summarize(name: str, entry: KeySet, ratings: Sequence[Rating]) -> SetSummary:
    """Sum up one set; ``entry`` is its part of the key."""
    mine = [rating for rating in ratings if rating.set_name == name]
    judged = [(rating, rating.preference) for rating in mine if rating.preference is not None]
    decided = [(rating, preference) for rating, preference in judged if preference]
    towards_a = sum(
        (preference > 0) == (rating.tuned_side == "A") for rating, preference in decided
    )
    rate, low, high = _win_rate(entry, judged)
    agreement, same = _agreement(judged)
    return SetSummary(
        set_name=name,
        suite=entry["suite"],
        candidate=entry["candidate"],
        judgements=len(judged),
        items=len({rating.item for rating, _ in judged}),
        wins=sum(preference > 0 for _, preference in judged),
        ties=len(judged) - len(decided),
        losses=sum(preference < 0 for _, preference in judged),
        not_judged=len(mine) - len(judged),
        identical=entry["identical"],
        win_rate=rate,
        ci_low=low,
        ci_high=high,
        chose_a=towards_a / len(decided) if decided else None,
        agreement=agreement,
        same=same,
    )


def _agreement(judged: Sequence[tuple[Rating, int]]) -> tuple[float | None, float | None]:
    table: dict[int, dict[ItemKey, int]] = defaultdict(dict)
    for rating, preference in judged:
        table[rating.rater][rating.item] = preference
    items = list(dict.fromkeys(rating.item for rating, _ in judged))
    if not any(sum(item in found for found in table.values()) > 1 for item in items):
        return None, None
    scale = [[found.get(item) for item in items] for found in table.values()]
    winner = [[None if p is None else (p > 0) - (p < 0) for p in row] for row in scale]
    return krippendorff_alpha(scale, level="ordinal"), percent_agreement(winner)


def _win_rate(
    entry: KeySet, judged: Sequence[tuple[Rating, int]]
) -> tuple[float | None, float | None, float | None]:
    """Estimate the suite's win rate from the strata; the item is the unit, its raters' mean counts.

    Fewer than `FEWEST` ratings say nothing, and neither does a stratum of which none came back.
    """
    items: dict[str, dict[ItemKey, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rating, preference in judged:
        items[rating.stratum][rating.item].append((1 + (preference > 0) - (preference < 0)) / 2)
    strata = [
        Stratum(size, [fmean(found) for found in items[stratum].values()])
        for stratum, size in entry["strata"].items()
        if size
    ]
    if len(judged) < FEWEST or not all(stratum.scores for stratum in strata):
        return None, None, None
    return population_win_rate(strata, ties=entry["identical"], level=LEVEL)
