"""Is it the recipe or luck? Several training seeds, decided together."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.example_result import SUITES, example_result

from harness.analysis.decisions import compare_pairs
from harness.analysis.recipes import compare_recipes
from harness.records import Arm, Comparison, Gate, Pair, RecipeComparison
from harness.stats import Schedule

GATE = Gate()
MIXED = {c.suite.name: c for c in example_result().comparisons if c.candidate == "mixed"}


def scored(pair: Pair, base: float | None, tuned: float | None) -> Pair:
    """Return a pair with these scores."""
    sides = {
        name: replace(side, verdict=replace(side.verdict, score=score))
        for name, side, score in (("base", pair.base, base), ("tuned", pair.tuned, tuned))
    }
    return replace(pair, **sides)


def seed(name: str, tuned: Sequence[float | None], *, suite: str = "domain_qa") -> Comparison:
    """Return one seed's comparison, the base right on every second item."""
    pairs = tuple(
        scored(pair, float(number % 2), score)
        for number, (pair, score) in enumerate(zip(MIXED[suite].pairs, tuned, strict=False))
    )
    return compare_pairs(name, MIXED[suite].suite, pairs, GATE)


def arms(*names: str) -> tuple[Arm, ...]:
    """Return the base, and seeds of one recipe."""
    return (Arm(name="base"), *(Arm(name=name, recipe="mix") for name in names))


def right(*, wrong: int) -> list[float]:
    """Return scores that are right but for the first few items."""
    return [0.0] * wrong + [1.0] * (60 - wrong)


def only(found: Sequence[RecipeComparison]) -> RecipeComparison:
    """Return the one recipe."""
    (recipe,) = found
    return recipe


def test_seeds_that_agree_are_the_recipe() -> None:
    """Three seeds that all gain: improved, with the mean change and the spread of the seeds."""
    names = ("a", "b", "c")
    seeds = [seed(name, right(wrong=wrong)) for name, wrong in zip(names, (4, 6, 8), strict=True)]
    found = only(compare_recipes(arms(*names), seeds, GATE))
    assert (found.recipe, found.candidates) == ("mix", names)
    assert found.decision is not None
    assert found.decision.label == "improved"
    assert found.deltas == pytest.approx([26 / 60, 24 / 60, 22 / 60])
    assert found.decision.delta == pytest.approx(24 / 60)
    assert found.spread == pytest.approx(2 / 60)


def test_one_lucky_seed_is_luck() -> None:
    """A checkpoint may be improved by itself while nothing is known about its recipe."""
    names = ("lucky", "b", "c")
    seeds = [seed("lucky", right(wrong=2)), seed("b", right(wrong=30)), seed("c", right(wrong=34))]
    assert seeds[0].decision is not None
    assert seeds[0].decision.label == "improved"
    found = only(compare_recipes(arms(*names), seeds, GATE))
    assert found.decision is not None
    assert found.decision.label == "inconclusive"


def test_two_seeds_say_what_is_missing() -> None:
    """A spread of two is shown, and nothing is claimed."""
    seeds = [seed("a", right(wrong=4)), seed("b", right(wrong=6))]
    found = only(compare_recipes(arms("a", "b"), seeds, GATE))
    assert found.decision is None
    assert "at least 3 training seeds: found 2" in found.reason
    assert found.spread == pytest.approx(2**0.5 / 60)


def test_only_items_that_all_seeds_have_a_score_for_count() -> None:
    """One unscored item of one seed leaves for all; too many leave nothing to decide."""
    names = ("a", "b", "c")
    one = [seed("a", [None, *right(wrong=4)[1:]]), seed("b", right(wrong=4))]
    found = only(compare_recipes(arms(*names), [*one, seed("c", right(wrong=4))], GATE))
    assert found.decision is not None
    assert found.decision.n == 59
    many = seed("c", [None] * 30 + [1.0] * 30)
    found = only(compare_recipes(arms(*names), [*one, many], GATE))
    assert found.decision is None
    assert "are unscored" in found.reason


def test_each_suite_is_decided_by_itself() -> None:
    """In the order of the comparisons; candidates without a recipe take no part."""
    seeds = [
        seed(name, right(wrong=4), suite=suite)
        for name in ("a", "b", "c", "alone")
        for suite in ("domain_qa", "sql")
    ]
    found = compare_recipes((*arms("a", "b", "c"), Arm(name="alone")), seeds, GATE)
    assert [each.suite.name for each in found] == ["domain_qa", "sql"]
    assert all(each.candidates == ("a", "b", "c") for each in found)
    assert compare_recipes((Arm(name="base"), Arm(name="alone")), seeds, GATE) == ()


def test_an_early_end_decides_no_recipe() -> None:
    """Seeds that stopped at different items cannot be joined; the reason says what to do."""
    from harness.analysis.decisions import compare_early

    names = ("a", "b", "c")
    schedule = Schedule(planned=60, order="")
    seeds = [
        compare_early(name, SUITES[1], seed(name, right(wrong=4)).pairs, schedule, GATE)
        for name in names
    ]
    found = only(compare_recipes(arms(*names), seeds, GATE))
    assert found.decision is None
    assert "--until-decided" in found.reason
