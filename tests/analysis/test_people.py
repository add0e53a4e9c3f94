"""People beside scores: estimates from both, weights, and what contradicts what."""

import random
from dataclasses import replace
from functools import cache

import pytest
from support.example_result import example_result
from support.reviews import rated

from harness.analysis.people import PeopleBeside, contradictions, people_beside
from harness.records import Comparison, Pair, Sample


def graded(comparison: Comparison, *, seed: int = 0) -> Comparison:
    """Give both answers of every pair a score between 0 and 1; equal answers get equal ones."""
    rng = random.Random(seed)

    def scored(sample: Sample, score: float) -> Sample:
        return replace(sample, verdict=replace(sample.verdict, score=score))

    def both(pair: Pair) -> Pair:
        base = rng.random()
        same = pair.base.responses == pair.tuned.responses
        tuned = base if same else rng.random()
        return replace(pair, base=scored(pair.base, base), tuned=scored(pair.tuned, tuned))

    return replace(comparison, pairs=tuple(map(both, comparison.pairs)))


def gain(pair: Pair) -> float:
    """Return by how much the score says that tuned is better."""
    return (pair.tuned.verdict.score or 0.0) - (pair.base.verdict.score or 0.0)


def like_the_score(_: int, pair: Pair) -> int:
    """Prefer what the score clearly prefers."""
    return round(2 * gain(pair))


def beside(comparison: Comparison, opinion: object, *, items: int = 80) -> PeopleBeside:
    """Return what people say beside the scores of one comparison."""
    return people_beside([comparison], [rated([comparison], opinion, items=items)])[0]


@cache
def comparison() -> Comparison:
    """Return a comparison whose answers all differ but a few."""
    return next(
        c for c in example_result(size=300).comparisons
        if (c.candidate, c.suite.name) == ("narrow", "domain_qa")
    )  # fmt: skip


def test_graded_scores_that_agree_with_people_make_ratings_worth_more() -> None:
    """The truth of the whole suite lies in a narrower interval; with useless scores, the plain."""
    made = graded(comparison())
    found = beside(made, like_the_score)
    truth = sum((1 + (p > 0) - (p < 0)) / 2 for p in (like_the_score(1, q) for q in made.pairs))
    assert found.powered.worth > 1.3 * found.summary.items
    assert found.powered.low < truth / len(made.pairs) < found.powered.high
    assert found.powered.high - found.powered.low < found.summary.ci_high - found.summary.ci_low
    other = {p.base.item.key: gain(p) for p in graded(made, seed=1).pairs}
    useless = beside(made, lambda _, pair: round(2 * other[pair.base.item.key]))
    assert useless.powered is None or useless.powered.worth < 1.1 * useless.summary.items


def test_scores_that_are_not_those_drawn_from_are_not_used() -> None:
    """Where an item lost its score, the strata's sizes no longer fit: no estimate from both."""
    made = graded(comparison())
    review = rated([made], like_the_score, items=80)
    first, *others = made.pairs
    lost = replace(first.base, verdict=replace(first.base.verdict, score=None))
    gone = replace(made, pairs=(replace(first, base=lost), *others))
    assert people_beside([made], [review])[0].powered
    assert people_beside([gone], [review])[0].powered is None


def test_the_draw_with_the_most_ratings_speaks() -> None:
    """Two draws that say the same say it once."""
    made = comparison()
    made = replace(made, decision=replace(made.decision, label="regressed"))
    opinions = [rated([made], lambda *_: 1, items=n) for n in (40, 80)]
    found = people_beside([made], opinions)
    assert [bool(one.disagrees) for one in found] == [True, True]
    said = contradictions([made], opinions)
    assert said == found[1].disagrees
    assert said.count("People contradict") == 1


@pytest.mark.parametrize(("label", "verdict", "opinion", "said"), [
    ("improved", "pass", -1, "they prefer base to narrow"),
    ("regressed", "fail", 1, "they prefer narrow to base"),
    ("unchanged", "pass", -1, "where the score shows no loss"),
    ("improved", "pass", 1, ""),
    ("regressed", "fail", -1, ""),
    ("inconclusive", "inconclusive", -1, ""),
    ("unchanged", "pass", 0, ""),
])  # fmt: skip
def test_what_contradicts_a_score(label: str, verdict: str, opinion: int, said: str) -> None:
    """A clear preference against the score's direction, or for the base where nothing shows."""
    made = comparison()
    made = replace(made, verdict=verdict, decision=replace(made.decision, label=label))
    found = beside(made, lambda *_: opinion).disagrees
    assert (said in found) if said else found == ""
