"""What raters say beside what the scores say, one candidate on one suite at a time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from harness.analysis.rated_items import (
    JudgedItems,
    bouts_of,
    gain_of,
    judged_items,
    length_of,
    metrics_of,
    outcome_of,
    powered_of,
    strata_of,
    weights_of,
)
from harness.records import Comparison, ItemKey, RatedSet, Rating, Review, SetSummary
from harness.stats.concordance import Concordance
from harness.stats.prediction_powered import PoweredMean, worth_of_strata
from harness.stats.preferences import Bout, LengthControlled, Ranked, rank

FEWEST = 10
"""Ratings, or rated items, below which no figure is given."""
RANKED = 30
"""Rated items of each candidate below which they are not ranked: its intervals need many."""


class ItemSaid(NamedTuple):
    """An item that a person should look at, and why."""

    key: ItemKey
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleBeside:
    """People and scores on one candidate and suite, as one draw found them.

    ``comparison`` is None where the run has none (chats). ``worth`` is how many items of a random
    draw would tell as much as those rated of strata. ``metrics`` are by name, the one that
    decides first; ``against`` are items on which people and the score prefer different answers,
    ``again`` those on which raters differ, declined, or contradicted themselves. ``disagrees`` is
    a clause where raters clearly prefer the answers that the score does not, else empty.
    """

    draw: str
    summary: SetSummary
    comparison: Comparison | None
    powered: PoweredMean | None
    worth: float | None
    length: LengthControlled | None
    metrics: tuple[tuple[str, Concordance], ...]
    against: tuple[ItemSaid, ...]
    again: tuple[ItemSaid, ...]
    disagrees: str


def people_beside(
    comparisons: Sequence[Comparison], reviews: Sequence[Review]
) -> tuple[PeopleBeside, ...]:
    """Set every rated set of every draw beside the comparison that it was drawn from."""
    by_name = {(c.candidate, c.suite.name): c for c in comparisons}
    return tuple(
        _beside(review, drawn, summary, by_name.get((drawn.candidate, drawn.suite)))
        for review in reviews
        for drawn, summary in zip(review.sets, review.summaries, strict=True)
        if summary.judgements + summary.not_judged
    )


def rankings(reviews: Sequence[Review]) -> tuple[tuple[str, str, tuple[Ranked, ...]], ...]:
    """Rank base and candidates by draw and suite, where two candidates or more have ratings.

    Of each, `RANKED` items or more have to be rated.
    """
    found = []
    for review in reviews:
        enough = {
            s.set_name for s in review.summaries if s.win_rate is not None and s.items >= RANKED
        }
        for suite in dict.fromkeys(drawn.suite for drawn in review.sets):
            sets = [s for s in review.sets if s.suite == suite and s.name in enough]
            if len(sets) > 1:
                bouts = [bout for drawn in sets for bout in _whole_suite(review, drawn)]
                found.append((review.draw, suite, tuple(rank(bouts, reference="base"))))
    return tuple(found)


def contradictions(comparisons: Sequence[Comparison], reviews: Sequence[Review]) -> str:
    """Say where people contradict the scores, as sentences without the last full stop.

    Of several draws of a candidate and suite, the one with the most ratings speaks.
    """
    by_name = {(c.candidate, c.suite.name): c for c in comparisons}
    most: dict[tuple[str, str], SetSummary] = {}
    for summary in (summary for review in reviews for summary in review.summaries):
        if not summary.judgements:
            continue
        name = summary.candidate, summary.suite
        if name not in most or summary.judgements > most[name].judgements:
            most[name] = summary
    said = [_disagreement(most[name], by_name[name]) for name in most if name in by_name]
    return ". ".join(filter(None, said))


def _beside(
    review: Review, drawn: RatedSet, summary: SetSummary, comparison: Comparison | None
) -> PeopleBeside:
    ratings = [r for r in review.ratings if r.set_name == drawn.name and not r.repeats]
    pairs = {pair.base.item.key: pair for pair in comparison.shown} if comparison else {}
    rated = judged_items(ratings, pairs)
    enough = summary.win_rate is not None and len(rated) >= FEWEST
    weights = weights_of(drawn, ratings)
    scored = comparison if comparison and comparison.decision else None
    is_whole = not (comparison and comparison.moved)  # else no figure of all items can be had
    return PeopleBeside(
        draw=review.draw,
        summary=summary,
        comparison=comparison,
        powered=powered_of(drawn, ratings, comparison)
        if comparison and scored and enough and is_whole
        else None,
        worth=worth_of_strata(strata_of(drawn, ratings)) if enough else None,
        length=length_of(ratings, pairs, weights) if enough and is_whole else None,
        metrics=tuple(metrics_of(comparison, rated, weights)) if comparison and enough else (),
        against=tuple(_against(scored, rated)) if scored else (),
        again=tuple(_again(review, drawn)),
        disagrees=_disagreement(summary, comparison) if comparison else "",
    )


def _whole_suite(review: Review, drawn: RatedSet) -> list[Bout]:
    """Return a set's judgements, identical answers as ties."""
    ratings = [r for r in review.ratings if r.set_name == drawn.name and not r.repeats]
    tie = Bout(drawn.candidate, "base", 0.5, 1.0, None, (drawn.candidate, "identical"))
    return bouts_of(ratings, weights_of(drawn, ratings)) + [tie] * drawn.identical


def _against(comparison: Comparison, rated: JudgedItems) -> Iterator[ItemSaid]:
    """Yield the items on which most raters prefer the answer that the score does not."""
    found = []
    for key, (pair, ratings) in rated.items():
        gain, lean = gain_of(comparison, pair) or 0.0, fmean(map(outcome_of, ratings)) - 0.5
        if gain * lean < 0.0:
            better, worse = ("base", comparison.candidate)[:: 1 if lean < 0 else -1]
            for_it = sum((outcome_of(r) - 0.5) * lean > 0 for r in ratings)
            words = (
                f"{for_it} of {_count(len(ratings), 'rater')} prefer {better}, the score {worse}"
            )
            found.append((-abs(lean), -abs(gain), ItemSaid(key, words)))
    yield from (said for _, _, said in sorted(found, key=lambda one: (*one[:2], one[2].key)))


def _again(review: Review, drawn: RatedSet) -> Iterator[ItemSaid]:
    """Yield the items of a set on which raters are split, declined, or changed their minds."""
    by_item: dict[ItemKey, list[Rating]] = defaultdict(list)
    rows = {rating.row: rating for rating in review.ratings}
    for rating in review.ratings:
        if rating.set_name == drawn.name:
            by_item[rating.item].append(rating)
    found = []
    for key, ratings in by_item.items():
        first = [rating for rating in ratings if not rating.repeats]
        judged = [outcome_of(rating) for rating in first if rating.preference is not None]
        said = []
        if 0.0 in judged and 1.0 in judged:
            said.append(f"{judged.count(1.0)} for {drawn.candidate}, {judged.count(0.0)} for base")
        if len(first) - len(judged) >= max(1, len(first) / 2):
            said.append(f"{_count(len(first) - len(judged), 'rater')} could not judge")
        said += [
            f"rater {rating.rater} changed sides when it was shown again"
            for rating in ratings
            if _turned(rows.get(rating.repeats), rating)
        ]
        said += [f"“{rating.comment}”" for rating in first if said and rating.comment]
        if said:
            found.append((-len(said), ItemSaid(key, "; ".join(said))))
    yield from (said for _, said in sorted(found, key=lambda one: (one[0], one[1].key)))


def _turned(first: Rating | None, again: Rating) -> bool:
    if first is None or first.preference is None or again.preference is None:
        return False
    return abs(outcome_of(first) - outcome_of(again)) == 1.0


def _disagreement(summary: SetSummary, comparison: Comparison) -> str:
    """Say that people clearly prefer what the score does not; empty where they do not."""
    rate, low, high, decision = (
        summary.win_rate, summary.ci_low, summary.ci_high, comparison.decision
    )  # fmt: skip
    if rate is None or low is None or high is None or decision is None or low <= 0.5 <= high:
        return ""
    for_tuned, name = low > 0.5, comparison.candidate
    score = {"improved": 1, "regressed": -1, "regressed_within_margin": -1}.get(decision.label, 0)
    if score == (1 if for_tuned else -1):
        return ""
    if not score and (for_tuned or comparison.verdict != "pass"):
        return ""
    preferred, other = (name, "base") if for_tuned else ("base", name)
    share, ends = (rate, (low, high)) if for_tuned else (1.0 - rate, (1.0 - high, 1.0 - low))
    moved = {1: "improved", -1: "fell", 0: "shows no loss"}[score]
    return (
        f"People contradict the score on {comparison.suite.heading}: they prefer {preferred} to "
        f"{other} ({share:.0%} of items, {ends[0]:.0%} to {ends[1]:.0%}), where the score {moved}"
    )


def winner_of(rating: Rating) -> int:
    """Return 1 where tuned was preferred, -1 where base was, 0 for a tie."""
    return round(2 * outcome_of(rating)) - 1


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
