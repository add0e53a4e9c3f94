"""Raters: kappa, alpha and AC1 against publications and statsmodels; win rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa
from statsmodels.stats.inter_rater import fleiss_kappa as fleiss_oracle
from statsmodels.stats.proportion import proportion_confint

from harness.errors import DataError, StudyError
from harness.stats.agreement import (
    agreement_interval,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    percent_agreement,
    win_rate,
)

GAP = None
KRIPPENDORFF = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, GAP, GAP, GAP],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, GAP, 3],
    [GAP, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, GAP],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, GAP],
]
"""Four observers, twelve units: Krippendorff 2011, section C; also R's irrCAC example."""


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_published_alpha(level: str, published: float) -> None:
    """Krippendorff's own example with gaps, at three levels of measurement."""
    assert round(krippendorff_alpha(KRIPPENDORFF, level=level), 3) == published


DIAGNOSES = [
    "422521311511212311215221121215",
    "423521311542242311235421421235",
    "423523334544244311435444421435",
    "453543334544344341455454421435",
    "453543534544344351455454425435",
    "455543544544345552455454545435",
]
"""Six psychiatrists, thirty patients, one of five diagnoses each: Fleiss 1971, table 1."""


def test_published_fleiss() -> None:
    """Fleiss's own example, kappa = 0.430 (observed 0.5556, by chance 0.2201)."""
    found = fleiss_kappa(DIAGNOSES)
    assert found == pytest.approx((5 / 9 - 0.2201) / (1 - 0.2201), abs=2e-4)
    assert found == pytest.approx(0.4302445, abs=1e-6)  # R's irr, kappam.fleiss(diagnoses): 0.43


def test_published_kappa() -> None:
    """Cohen's example of 1960: .70 observed, .41 by chance."""
    table = [(0, 0, 44), (0, 1, 7), (0, 2, 9), (1, 0, 5), (1, 1, 20), (1, 2, 5), (2, 0, 1),
             (2, 1, 3), (2, 2, 6)]  # fmt: skip
    pairs = [(one, other) for one, other, count in table for _ in range(count)]
    assert cohen_kappa(*zip(*pairs, strict=True)) == pytest.approx(0.29 / 0.59, abs=1e-6)


@given(st.integers(2, 6).flatmap(lambda m: st.lists(
    st.lists(st.integers(1, 4), min_size=m, max_size=m), min_size=1, max_size=30)))  # fmt: skip
@settings(deadline=None)
def test_fleiss_agrees_with_statsmodels(items: list[list[int]]) -> None:
    """Any number of raters, items and categories."""
    found = fleiss_kappa([list(row) for row in zip(*items, strict=True)])
    if len({value for row in items for value in row}) == 1:
        assert found is None
        return
    assert found == pytest.approx(fleiss_oracle(aggregate_raters(np.array(items))[0]), abs=1e-9)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_is_one_minus_observed_by_expected(level: str) -> None:
    """Krippendorff's definition written out pair by pair, to 1e-6."""
    units = [[row[i] for row in KRIPPENDORFF if row[i] is not GAP] for i in range(12)]
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]

    def far(one: int, other: int) -> float:
        if level != "ordinal":
            return float(one != other) if level == "nominal" else float((one - other) ** 2)
        low, high = min(one, other), max(one, other)
        between = sum(low <= value <= high for value in values)
        return (between - (values.count(low) + values.count(high)) / 2) ** 2 if low < high else 0.0

    observed = sum(
        sum(far(a, b) for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j)
        / (len(unit) - 1)
        for unit in units
    ) / len(values)
    pairs = len(values) * (len(values) - 1)
    expected = sum(far(a, b) for a in values for b in values) / pairs
    found = krippendorff_alpha(KRIPPENDORFF, level=level)
    assert found == pytest.approx(1 - observed / expected, abs=1e-6)


def test_published_ac1() -> None:
    """R's irrCAC documents AC1 = 0.77544 and agreement 0.81818 for the same ratings."""
    assert round(gwet_ac1(KRIPPENDORFF), 5) == 0.77544
    assert round(percent_agreement(KRIPPENDORFF), 5) == 0.81818


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=2, max_size=60),
    st.sampled_from([None, "linear", "quadratic"]),
)
@settings(deadline=None)
def test_kappa_agrees_with_statsmodels(pairs: list[tuple[int, int]], weights: str | None) -> None:
    """Plain and weighted kappa of two raters."""
    first, second = zip(*pairs, strict=True)
    used = sorted({*first, *second})
    table = np.zeros((len(used), len(used)))
    for one, other in pairs:
        table[used.index(one), used.index(other)] += 1
    found = cohen_kappa(first, second, weights=weights)
    if len(set(first)) == len(set(second)) == 1 and first[0] == second[0]:
        assert found is None
        return
    oracle = cohens_kappa(table, wt=weights)
    assert found == pytest.approx(float(oracle.kappa), abs=1e-9)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=2, max_size=30))
@settings(deadline=None)
def test_agreement_does_not_depend_on_who_is_who(pairs: list[tuple[int, int]]) -> None:
    """Exchanging raters, items or the names of categories changes nothing."""
    first, second = (list(row) for row in zip(*pairs, strict=True))
    names = {1: "z", 2: "m", 3: "a"}
    variants = (
        [second, first],
        [first[::-1], second[::-1]],
        [[names[value] for value in row] for row in (first, second)],
    )
    for figure in (krippendorff_alpha, gwet_ac1, percent_agreement):
        value = figure([first, second])
        for variant in variants:
            assert figure(variant) == (value if value is None else pytest.approx(value))


def test_full_agreement_and_no_variation() -> None:
    """Equal ratings give 1; a single category leaves kappa and alpha undefined."""
    same = [["good", "bad", "good"]] * 3
    assert krippendorff_alpha(same) == pytest.approx(1.0)
    assert gwet_ac1(same) == pytest.approx(1.0)
    assert cohen_kappa(same[0], same[1]) == pytest.approx(1.0)
    constant = [["good"] * 4] * 2
    assert krippendorff_alpha(constant) is None
    assert cohen_kappa(*constant) is None
    assert gwet_ac1(constant) == 1.0


def test_ac1_stays_where_kappa_collapses() -> None:
    """With 95 % of one category kappa is low though raters nearly always agree."""
    first = ["ok"] * 95 + ["bad"] * 5
    second = ["ok"] * 92 + ["bad"] * 3 + ["ok"] * 3 + ["bad"] * 2
    assert percent_agreement([first, second]) == pytest.approx(0.94)
    assert cohen_kappa(first, second) < 0.4
    assert gwet_ac1([first, second]) > 0.9


def test_agreement_interval_narrows_with_items() -> None:
    """Seeded, around the figure, and narrower for four times as many items."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 400)

    def rater() -> list[int]:
        return np.where(rng.random(400) < 0.8, truth, rng.integers(0, 3, 400)).tolist()

    ratings = [rater(), rater(), rater()]
    wide = agreement_interval(krippendorff_alpha, [row[:100] for row in ratings], resamples=300)
    narrow = agreement_interval(krippendorff_alpha, ratings, resamples=300)
    again = agreement_interval(krippendorff_alpha, ratings, resamples=300)
    assert narrow == again
    assert narrow.low < narrow.value < narrow.high
    assert narrow.high - narrow.low < 0.7 * (wide.high - wide.low)


@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 40))
@settings(deadline=None)
def test_win_rate_agrees_with_its_parts(wins: int, losses: int, ties: int) -> None:
    """Wilson for the rate, an interval around the net, the sign test between its two limits."""
    if wins + losses + ties == 0:
        return
    found = win_rate(wins, losses, ties)
    assert found.net == pytest.approx((wins - losses) / found.n)
    assert found.net_low <= found.net + 1e-12
    assert found.net - 1e-12 <= found.net_high
    mirrored = win_rate(losses, wins, ties)
    assert mirrored.p == pytest.approx(found.p)
    assert mirrored.net_low == pytest.approx(-found.net_high, abs=1e-9)
    if wins + losses == 0:
        assert (found.rate, found.low, found.p) == (None, None, 1.0)
        return
    expected = proportion_confint(wins, wins + losses, alpha=0.05, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)
    assert found.p <= binomtest(wins, wins + losses, 0.5).pvalue + 1e-12


@pytest.mark.parametrize(
    "call",
    [
        lambda: win_rate(0, 0, 0),
        lambda: win_rate(-1, 3),
        lambda: cohen_kappa([1], [1, 2]),
        lambda: cohen_kappa([], []),
        lambda: krippendorff_alpha([[1, None], [None, 2]]),
        lambda: krippendorff_alpha([[1, 2], [1]]),
        lambda: fleiss_kappa([[1, 2], [1, None]]),
        lambda: fleiss_kappa([[1, 2]]),
        lambda: gwet_ac1([[], []]),
        lambda: krippendorff_alpha([]),
    ],
)
def test_ratings_that_cannot_be_compared_are_refused(call: object) -> None:
    """No comparisons, different lengths, nobody judged the same item."""
    with pytest.raises(DataError, match="found"):
        call()  # type: ignore[operator]


def test_unknown_level_is_refused() -> None:
    """The three levels are named."""
    with pytest.raises(StudyError, match="known: nominal, ordinal, interval"):
        krippendorff_alpha(KRIPPENDORFF, level="ratio")  # type: ignore[arg-type]
