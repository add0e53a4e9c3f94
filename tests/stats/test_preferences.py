"""Rankings with ties, what length explains, and whether a score orders as people do."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kendalltau, mannwhitneyu, spearmanr

from harness.errors import DataError
from harness.stats.concordance import concordance
from harness.stats.preferences import Bout, length_controlled, rank, share


def bouts(arm: str, strength: float, tie: float, n: int, seed: int) -> list[Bout]:
    """Draw judgements of an arm against the base from Davidson's model."""
    chances = np.exp([strength / 2, -strength / 2, tie])
    drawn = np.random.default_rng(seed).choice([1.0, 0.0, 0.5], n, p=chances / chances.sum())
    return [Bout(arm, "base", float(o), 1.0, (arm, i), arm) for i, o in enumerate(drawn)]


def test_the_ranking_is_davidsons() -> None:
    """Maximum likelihood found by a general optimiser, of the model written out anew."""
    played = [*bouts("a", 1.2, -0.5, 60, 1), *bouts("b", -0.4, -0.5, 60, 2)]
    played += [Bout("a", "b", float(o), 1.0, i) for i, o in enumerate([1, 1, 0.5, 0, 1] * 4)]
    halves = [Bout(one, two, o, 0.5) for one, two in (("a", "base"), ("b", "base"), ("a", "b"))
              for o in (1.0, 0.0)]  # fmt: skip

    def loss(found: np.ndarray) -> float:
        strength = {"base": 1.0, "a": np.exp(found[0]), "b": np.exp(found[1])}
        total = 0.0
        for bout in played + halves:
            one, two = strength[bout.first], strength[bout.second]
            even = np.exp(found[2]) * np.sqrt(one * two)
            total -= bout.weight * np.log({1.0: one, 0.0: two, 0.5: even}[bout.outcome])
            total += bout.weight * np.log(one + two + even)
        return total

    best = minimize(loss, np.zeros(3), tol=1e-12).x
    found = {ranked.arm: ranked for ranked in rank(played, reference="base")}
    assert found["a"].share == pytest.approx(share(best[0], best[2]), abs=1e-5)
    assert found["b"].share == pytest.approx(share(best[1], best[2]), abs=1e-5)
    assert found["base"][1:4] == (0.5, 0.5, 0.5)


def test_arms_that_cannot_be_told_apart_share_a_letter() -> None:
    """The two strong ones are one group, the weak one and the base are in others."""
    played = [*bouts("good", 2.5, -1, 80, 1), *bouts("better", 2.6, -1, 80, 2),
              *bouts("bad", -2.5, -1, 80, 3)]  # fmt: skip
    found = rank(played, reference="base")
    letters = {ranked.arm: ranked.tied for ranked in found}
    assert [ranked.arm for ranked in found][2:] == ["base", "bad"]
    assert letters["good"] == letters["better"] == "a"
    assert len({letters["good"], letters["base"], letters["bad"]}) == 3
    few = rank([*bouts("x", 0.5, -1, 12, 1), *bouts("y", 0.2, -1, 12, 2)], reference="base")
    assert {ranked.tied for ranked in few} == {"a"}


def test_an_arm_that_always_wins_stays_finite_and_uncertain() -> None:
    """Twenty wins of twenty are no proof of a thousand."""
    (first, _) = rank([Bout("a", "base", 1.0, 1.0, i) for i in range(20)], reference="base")
    assert 0.75 < first.low < 0.95 < first.share < 1.0


def test_the_ranks_interval_holds_the_truth() -> None:
    """Over draws from the model, nine in ten intervals hold the arm's true share."""
    held = 0
    for seed in range(60):
        played = [*bouts("a", 1.0, -1, 40, seed), *bouts("b", -0.5, -1, 40, 1000 + seed)]
        for ranked in rank(played, reference="base"):
            truth = {"a": 1.0, "b": -0.5}.get(ranked.arm)
            held += truth is not None and ranked.low <= share(truth, -1) <= ranked.high
    assert held >= 100


def test_arms_that_never_met_are_refused() -> None:
    """A ranking needs a chain of bouts from every arm to the reference."""
    with pytest.raises(DataError, match="connect every arm with 'base': found none of c, d"):
        rank([Bout("a", "base", 1.0), Bout("c", "d", 1.0)], reference="base")


def test_a_preference_for_length_is_taken_out() -> None:
    """Raters who only like what is longer: no winner at equal length, and length says all of it."""
    rng = np.random.default_rng(1)
    longer = rng.normal(60.0, 80.0, 400)
    chance = 1 / (1 + np.exp(-3 * np.tanh(longer / np.sqrt(np.mean(longer**2)))))
    played = [Bout("t", "base", float(rng.random() < p), 1.0, i) for i, p in enumerate(chance)]
    raw = np.mean([bout.outcome for bout in played])
    found = length_controlled(played, longer, longer)
    assert raw > 0.65
    assert found.low < 0.5 < found.high
    assert found.by_length == pytest.approx(raw, abs=0.06)
    assert found.longer > 0.75


def test_what_has_nothing_to_do_with_length_stays() -> None:
    """Lengths drawn at random leave the win rate, and explain nothing."""
    rng = np.random.default_rng(2)
    played = [Bout("t", "base", float(rng.random() < 0.7), 1.0, i) for i in range(400)]
    found = length_controlled(played, longer := rng.normal(0.0, 50.0, 400), longer)
    assert found.rate == pytest.approx(np.mean([b.outcome for b in played]), abs=0.02)
    assert found.by_length == pytest.approx(0.5, abs=0.02)
    same = length_controlled(played, [0.0] * 400, [0.0] * 400)
    assert (same.longer, same.by_length) == (None, 0.5)
    with pytest.raises(DataError, match="found 1 of 400"):
        length_controlled(played, [1.0], [1.0])


def test_concordance_agrees_with_scipy() -> None:
    """Kendall's tau-b, Spearman's correlation and the area under the curve, with ties."""
    rng = np.random.default_rng(0)
    ratings = rng.integers(-2, 3, 60)
    scores = (ratings * 0.6 + rng.normal(size=60)).round(1)
    found = concordance(ratings, scores)
    assert found.kendall.value == pytest.approx(kendalltau(ratings, scores).statistic)
    assert found.spearman.value == pytest.approx(spearmanr(ratings, scores).statistic)
    better, worse = scores[ratings > 0], scores[ratings < 0]
    area = mannwhitneyu(better, worse).statistic / len(better) / len(worse)
    assert found.auc.value == pytest.approx(area)
    assert found.auc.low < area < found.auc.high


def test_a_weight_is_a_number_of_items() -> None:
    """An item of weight two stands for itself and its like."""
    ratings, scores = [1, -1, 2, 0, -2, 1], [0.3, 0.1, 0.2, 0.0, -0.4, -0.1]
    once = concordance(ratings, scores, [1, 1, 1, 1, 1, 2])
    twice = concordance([*ratings, 1], [*scores, -0.1])
    assert once.kendall.value == pytest.approx(twice.kendall.value)
    assert once.spearman.value == pytest.approx(twice.spearman.value)
    assert once.auc.value == pytest.approx(twice.auc.value)


def test_a_score_without_variation_orders_nothing() -> None:
    """No figure where there is none, rather than a zero."""
    found = concordance([1, -1, 1, -1], [0.0] * 4)
    assert (found.kendall, found.spearman) == (None, None)
    assert found.auc.value == 0.5
    assert concordance([], []).auc is None
    with pytest.raises(DataError, match="found 2, 1 and 2"):
        concordance([1, 2], [1], [1, 1])


def test_a_score_that_orders_everything_is_still_uncertain() -> None:
    """Twelve items in order are no proof that all are: no interval is a point."""
    found = concordance(range(-6, 7), range(-6, 7))
    assert (found.kendall.value, found.auc.value, found.auc.high) == (1.0, 1.0, 1.0)
    assert 0.4 < found.kendall.low < 0.95
    assert 0.4 < found.spearman.low < 0.95
    assert 0.5 < found.auc.low < 0.95


def test_the_jackknife_holds_the_truth() -> None:
    """Over draws of 40 items, about nine in ten intervals hold the figures of the population."""
    rng = np.random.default_rng(4)
    truth = rng.normal(size=4000)
    ratings, scores = np.sign(truth.round()), truth + rng.normal(size=4000)
    area = mannwhitneyu(scores[ratings > 0], scores[ratings < 0]).statistic
    area /= (ratings > 0).sum() * (ratings < 0).sum()
    tau = kendalltau(ratings, scores).statistic
    held = [0, 0]
    for _ in range(150):
        drawn = rng.choice(4000, 40, replace=False)
        found = concordance(ratings[drawn], scores[drawn])
        held[0] += found.auc.low <= area <= found.auc.high
        held[1] += found.kendall.low <= tau <= found.kendall.high
    assert min(held) >= 125
