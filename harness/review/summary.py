"""Collected ratings summed up, and ``review.json``, the file that keeps them.

``{"format": "harness-review/1", "draw": NAME, "sets": [RatedSet…], "ratings": [Rating…],
"summaries": [SetSummary…]}``: every accepted rating unblinded, in the order of the key. What is
read is summed up again, so that the ratings alone count.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, median

from pydantic import TypeAdapter

from harness.errors import DataError
from harness.inputs import first_problem, parse_json, read_input
from harness.records import ItemKey, KappaKind, RatedSet, RaterSummary, Rating, Review, SetSummary
from harness.stats.agreement import (
    agreement_interval,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    percent_agreement,
)
from harness.stats.means import wilson_interval
from harness.stats.win_rate import Stratum, population_win_rate

REVIEW = "review.json"

LEVEL = 0.90
"""Level of every interval."""
FEWEST = 10
"""Ratings below which no figure is given."""


def review_of(draw: str, sets: Sequence[RatedSet], ratings: Sequence[Rating]) -> Review:
    """Sum up everything that was collected of one draw."""
    return Review(
        draw=draw,
        sets=tuple(sets),
        ratings=tuple(ratings),
        summaries=tuple(summarize(one, ratings) for one in sets),
    )


def review_text(review: Review) -> str:
    """Return what ``review.json`` holds."""
    told = TypeAdapter(Review).dump_python(review, mode="json")
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def read_review(path: Path) -> Review:
    """Read a ``review.json``.

    Raises:
        DataError: If it is missing, broken, or of a newer version.
    """
    try:
        found = TypeAdapter(Review).validate_python(parse_json(read_input(path)))
    except (OSError, ValueError) as error:
        reason = first_problem(error)
    else:
        return review_of(found.draw, found.sets, found.ratings)
    raise DataError(
        f"collected ratings must be as `harness review collect` writes them: {path}: {reason}; "
        "collect the sheets again"
    )


def answers_hash(base: str, tuned: str) -> str:
    """Return the hash by which ratings are known to be of these two answers, as raters saw them."""
    text = f"{len(base)}\x1f{base}\x1f{tuned}"
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def summarize(drawn: RatedSet, ratings: Sequence[Rating]) -> SetSummary:
    """Sum up one set; of others no rating counts, of hidden duplicates only for their rater."""
    everything = [rating for rating in ratings if rating.set_name == drawn.name]
    mine = [rating for rating in everything if not rating.repeats]
    judged = [(rating, rating.preference) for rating in mine if rating.preference is not None]
    wins = sum(preference > 0 for _, preference in judged)
    losses = sum(preference < 0 for _, preference in judged)
    rate, low, high = _win_rate(drawn, judged)
    found = SetSummary(
        set_name=drawn.name,
        suite=drawn.suite,
        candidate=drawn.candidate,
        form=drawn.form,
        judgements=len(judged),
        items=len({rating.item for rating, _ in judged}),
        wins=wins,
        ties=len(judged) - wins - losses,
        losses=losses,
        not_judged=len(mine) - len(judged),
        identical=drawn.identical,
        win_rate=rate,
        ci_low=low,
        ci_high=high,
        chose_a=_share_of_a(mine),
        raters=tuple(_rater(number, everything) for number in sorted({r.rater for r in mine})),
    )
    return found if len(judged) < FEWEST else _with_agreement(found, mine, judged)


def _with_agreement(
    found: SetSummary, mine: Sequence[Rating], judged: Sequence[tuple[Rating, int]]
) -> SetSummary:
    """Add what needs enough ratings: agreement, position with its interval, mean scores."""
    table: dict[int, dict[ItemKey, int]] = defaultdict(dict)
    for rating, preference in judged:
        table[rating.rater][rating.item] = preference
    side: tuple[float | None, float | None] = (None, None)
    if found.chose_a is not None:
        side = wilson_interval(found.chose_a, found.wins + found.losses, LEVEL)
    found = replace(
        found,
        chose_a_low=side[0],
        chose_a_high=side[1],
        base_mean=_mean(rating.base_score for rating in mine),
        tuned_mean=_mean(rating.tuned_score for rating in mine),
    )
    items = list(dict.fromkeys(rating.item for rating, _ in judged))
    raters = Counter(item for by_item in table.values() for item in by_item)
    if max(raters.values()) < 2:
        return found
    scale = [[by_item.get(item) for item in items] for by_item in table.values()]
    alpha = agreement_interval(
        partial(krippendorff_alpha, level="ordinal"), scale, level=LEVEL, resamples=500
    )
    kappa, kind = _kappa(table, raters)
    return replace(
        found,
        agreement=alpha.value,
        agreement_low=alpha.low,
        agreement_high=alpha.high,
        same=percent_agreement([[_winner(p) for p in row] for row in scale]),
        kappa=kappa,
        kappa_of=kind,
    )


def _kappa(
    table: Mapping[int, Mapping[ItemKey, int]], raters: Counter[ItemKey]
) -> tuple[float | None, KappaKind]:
    """Return Cohen's kappa of two raters, or Fleiss's over the items judged equally often."""
    most = Counter(n for n in raters.values() if n > 1).most_common(1)[0][0]
    items = [item for item, n in raters.items() if n == most]
    rows = [[_winner(by_item.get(item)) for item in items] for by_item in table.values()]
    if len(rows) == 2:
        return cohen_kappa(*rows), "Cohen"
    return fleiss_kappa(rows), "Fleiss"


def _rater(number: int, ratings: Sequence[Rating]) -> RaterSummary:
    """Sum up how one rater judged; ``ratings`` are those of all raters, duplicates among them."""
    mine = [rating for rating in ratings if rating.rater == number and not rating.repeats]
    first = {rating.row: _winner(rating.preference) for rating in mine}
    again = [
        (first[rating.repeats], _winner(rating.preference))
        for rating in ratings
        if rating.rater == number and first.get(rating.repeats) is not None
        if rating.preference is not None
    ]
    others: dict[ItemKey, list[int]] = defaultdict(list)
    for rating in ratings:
        winner = _winner(rating.preference)
        if rating.rater != number and winner is not None and not rating.repeats:
            others[rating.item].append(winner)
    same = [
        winner == _winner(rating.preference)
        for rating in mine
        if rating.preference is not None
        for winner in others[rating.item]
    ]
    seconds = [rating.seconds for rating in mine if rating.seconds is not None]
    return RaterSummary(
        rater=number,
        judgements=sum(rating.preference is not None for rating in mine),
        not_judged=sum(rating.preference is None for rating in mine),
        chose_a=_share_of_a(mine),
        with_others=fmean(same) if same else None,
        shown_again=len(again),
        same_again=sum(one == other for one, other in again),
        seconds=median(seconds) if seconds else None,
    )


def _winner(preference: int | None) -> int | None:
    return None if preference is None else (preference > 0) - (preference < 0)


def _share_of_a(ratings: Sequence[Rating]) -> float | None:
    decided = [(p > 0) == (r.tuned_side == "A") for r in ratings if (p := r.preference)]
    return fmean(decided) if decided else None


def _mean(scores: Iterable[int | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return fmean(known) if known else None


def _win_rate(
    drawn: RatedSet, judged: Sequence[tuple[Rating, int]]
) -> tuple[float | None, float | None, float | None]:
    """Estimate the suite's win rate from the strata; the item is the unit, its raters' mean counts.

    Fewer than `FEWEST` ratings say nothing, and neither does a stratum of which none came back.
    """
    items: dict[str, dict[ItemKey, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rating, preference in judged:
        items[rating.stratum][rating.item].append((1 + (preference > 0) - (preference < 0)) / 2)
    strata = [
        Stratum(size, [fmean(found) for found in items[stratum].values()])
        for stratum, size in drawn.strata.items()
        if size
    ]
    if len(judged) < FEWEST or not all(stratum.scores for stratum in strata):
        return None, None, None
    return population_win_rate(strata, ties=drawn.identical, level=LEVEL)
