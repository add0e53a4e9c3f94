"""Items before the run: the table of the research note, monotonicity, chances."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from harness.errors import StudyError
from harness.stats import plan

MARGINS = st.floats(0.01, 0.2)
RATES = st.floats(0.02, 0.5)


@pytest.mark.parametrize(
    ("disagreement", "margin", "power", "items"),
    [
        (0.05, 0.01, 0.9, 4274),
        (0.10, 0.02, 0.9, 2133),
        (0.15, 0.05, 0.9, 506),
        (0.15, 0.03, 0.8, 1025),
        (0.20, 0.03, 0.9, 1895),
        (0.30, 0.10, 0.9, 249),
    ],
)
def test_items_of_the_simulated_table(
    disagreement: float, margin: float, power: float, items: int
) -> None:
    """The figures that the simulations of the gate confirmed."""
    assert plan(margin=margin, disagreement=disagreement, power=power).items == items


def test_items_agree_with_statsmodels() -> None:
    """A t test of differences with the same variance needs the same number of items."""
    effect = 0.03 / (0.15 - 0.03**2) ** 0.5
    expected = TTestPower().solve_power(effect, power=0.9, alpha=0.05, alternative="larger")
    assert plan(margin=0.03, disagreement=0.15).items == pytest.approx(expected, rel=0.003)


@given(MARGINS, RATES)
@settings(deadline=None)
def test_items_available_are_enough_exactly_from_the_plan_on(
    margin: float, disagreement: float
) -> None:
    """The planned items have the planned chance, and find the margin."""
    needed = plan(margin=margin, disagreement=disagreement)
    assert needed.chance >= needed.power - 1e-9
    fewer = plan(margin=margin, disagreement=disagreement, available=max(needed.items // 2, 1))
    assert fewer.items == needed.items
    assert fewer.chance < needed.chance
    assert fewer.detectable > needed.detectable
    if disagreement > margin:
        assert needed.detectable <= margin + 1e-9


@given(MARGINS, RATES, st.floats(1, 10))
@settings(deadline=None)
def test_harder_questions_need_more_items(
    margin: float, disagreement: float, effect: float
) -> None:
    """A smaller margin, more disagreement, more power and clustering all cost items."""
    items = plan(margin=margin, disagreement=disagreement).items
    assert plan(margin=margin / 2, disagreement=disagreement).items > items
    assert plan(margin=margin, disagreement=min(disagreement * 2, 1)).items >= items
    assert plan(margin=margin, disagreement=disagreement, power=0.95).items >= items
    clustered = plan(margin=margin, disagreement=disagreement, design_effect=effect)
    assert clustered.items == pytest.approx(items * effect, abs=effect + 1)


def test_looking_early_costs_a_few_more_items_at_most() -> None:
    """Jennison and Turnbull's inflation of the maximum: about an eighth at twenty looks."""
    needed = plan(margin=0.05, disagreement=0.15)
    assert 1.10 < needed.items_sequential / needed.items < 1.15


def test_a_hopeless_verdict_has_no_chance() -> None:
    """Fewer items than identical outputs would need cannot pass at all."""
    assert plan(margin=0.05, disagreement=0.1, available=40).chance == 0.0
    assert plan(margin=0.05, disagreement=0.3, available=100).chance < 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin": 0},
        {"disagreement": 0},
        {"disagreement": 1.2},
        {"power": 1},
        {"alpha": 0.6},
        {"design_effect": 0.5},
        {"available": 0},
    ],
)
def test_impossible_plans_are_refused(wrong: dict) -> None:
    """Each value outside its range is named."""
    with pytest.raises(StudyError, match="found"):
        plan(**{"margin": 0.05, "disagreement": 0.1, **wrong})
