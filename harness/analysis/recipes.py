"""Candidates that are seeds of one training recipe: is it the recipe, or one lucky checkpoint?"""

from collections.abc import Sequence
from statistics import fmean, stdev

from harness import stats
from harness.analysis.decisions import as_measured, scores_of, too_much_unscored
from harness.errors import ComparisonError
from harness.records import Arm, Comparison, Gate, ItemKey, RecipeComparison


def compare_recipes(
    arms: Sequence[Arm], comparisons: Sequence[Comparison], gate: Gate
) -> tuple[RecipeComparison, ...]:
    """Decide every recipe on every suite from the paired scores of its seeds.

    Items count that the base and all seeds have a score for. Labels are unadjusted, and the exit
    code of a run does not depend on them.

    Args:
        arms: All arms; those that share a non-empty ``recipe`` are its seeds.
        comparisons: Base against each candidate on each suite.
        gate: The error rates, and the share of unscored items that is allowed.

    Returns:
        One comparison per recipe and suite, in the order of the study.
    """
    of = {arm.name: arm.recipe for arm in arms if arm.recipe}
    by_recipe: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in comparisons:
        if comparison.candidate in of:
            place = of[comparison.candidate], comparison.suite.name
            by_recipe.setdefault(place, []).append(comparison)
    return tuple(_compare(recipe, seeds, gate) for (recipe, _), seeds in by_recipe.items())


def _compare(recipe: str, seeds: Sequence[Comparison], gate: Gate) -> RecipeComparison:
    suite = seeds[0].suite
    scored = [_scored(seed) for seed in seeds]
    shared = [key for key in scored[0] if all(key in found for found in scored)]
    deltas = tuple(
        fmean(tuned - base for base, tuned, _ in map(found.__getitem__, shared))
        for found in scored
        if shared
    )
    oriented = suite.oriented
    items = {pair.base.item.key for seed in seeds for pair in seed.pairs}
    decision = None
    reason = too_much_unscored(len(shared), len(items) - len(shared), gate)
    if any(isinstance(seed.decision, stats.SequentialDecision) for seed in seeds):
        reason = "a claim about a recipe needs all items: run the study without --until-decided"
    if not reason:
        clusters = [scored[0][key][2] for key in shared]
        try:
            decision = stats.decide_recipe(
                [oriented(scored[0][key][0]) for key in shared],
                [[oriented(found[key][1]) for key in shared] for found in scored],
                margin=suite.margin,
                alpha=gate.alpha,
                beta=gate.beta,
                clusters=stats.shared_clusters(clusters),
            )
            decision = as_measured(decision, suite)
        except ComparisonError as error:  # too few seeds
            reason = str(error)
    return RecipeComparison(
        recipe=recipe,
        suite=suite,
        candidates=tuple(seed.candidate for seed in seeds),
        deltas=deltas,
        spread=stdev(deltas) if len(deltas) > 1 else None,
        decision=decision,
        reason=reason,
    )


def _scored(seed: Comparison) -> dict[ItemKey, tuple[float, float, str]]:
    """Return base score, tuned score and cluster of every item that both have a score for."""
    return {
        pair.base.item.key: (*scores, pair.base.item.cluster)
        for pair in seed.pairs
        if (scores := scores_of(pair)) is not None
    }
