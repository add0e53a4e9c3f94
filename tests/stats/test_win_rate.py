"""Win rates from few ratings of uneven strata: intervals that hold the truth."""

import numpy as np
import pytest

from harness.errors import DataError
from harness.stats.win_rate import Stratum, population_win_rate

NOTED = [
    ((100, 300), (0.9, 0.9), (10, 10)),
    ((240, 9), (0.95, 0.5), (15, 5)),
    ((100, 300), (0.97, 0.95), (10, 10)),
    ((100, 300), (0.9, 0.5), (2, 2)),
    ((400, 400), (0.7, 0.5), (50, 50)),
]
"""Sizes of strata, share of tuned's wins in each, items rated of each."""

OTHERS = [
    ((50, 400), (0.8, 0.6), (30, 30)),
    ((30, 30, 100, 200), (0.9, 0.1, 0.5, 0.5), (10, 10, 10, 10)),
    ((30, 30, 100, 200), (0.9, 0.1, 0.5, 0.5), (25, 25, 25, 25)),
    ((30, 30, 100, 200), (0.99, 0.01, 0.5, 0.5), (5, 5, 5, 5)),
    ((20, 1000), (0.5, 0.99), (10, 20)),
    ((20, 1000), (0.5, 0.5), (19, 30)),
    ((200, 200), (0.02, 0.02), (30, 30)),
    ((6, 500), (0.9, 0.97), (5, 15)),
    ((200,) * 6, (0.95,) * 6, (5,) * 6),
    ((200,) * 6, (0.7,) * 6, (25,) * 6),
    ((40,), (0.5,), (10,)),
    ((40,), (0.95,), (12,)),
    ((1000,), (0.6,), (200,)),
    ((12, 12, 12), (0.9, 0.5, 0.1), (11, 11, 11)),
    ((300, 100, 20), (0.55, 0.75, 1.0), (40, 40, 10)),
    ((15, 985), (1.0, 0.5), (15, 60)),
    ((60, 60), (0.1, 0.9), (3, 40)),
    ((500, 500), (0.95, 0.6), (25, 25)),
    ((80, 20, 400, 500), (0.3, 0.8, 0.5, 0.5), (20, 10, 10, 10)),
    ((250, 250, 250, 250), (0.5, 0.6, 0.7, 0.8), (4, 8, 12, 16)),
]

Cell = tuple[tuple[int, ...], tuple[float, ...], tuple[int, ...]]


def coverage(cell: Cell, *, ties: float, runs: int) -> float:
    """Return the share of runs whose interval holds the true win rate."""
    sizes, rates, rated = cell
    rng = np.random.default_rng(7)
    worlds = []
    for size, rate in zip(sizes, rates, strict=True):
        even = round(ties * size * (1 - abs(2 * rate - 1)))
        won = min(max(round(rate * size - 0.5 * even), 0), size - even)
        worlds.append(np.array([0.5] * even + [1.0] * won + [0.0] * (size - even - won)))
    truth = sum(float(world.sum()) for world in worlds) / sum(sizes)
    held = 0
    for _ in range(runs):
        drawn = [
            Stratum(len(world), rng.choice(world, n, replace=False).tolist())
            for world, n in zip(worlds, rated, strict=True)
        ]
        found = population_win_rate(drawn)
        held += found.low - 1e-9 <= truth <= found.high + 1e-9
    return held / runs


@pytest.mark.parametrize("cell", NOTED)
def test_the_interval_holds_the_truth_where_few_are_rated(cell: Cell) -> None:
    """Where every rating so far is a win, the interval is no point."""
    assert coverage(cell, ties=0.0, runs=500) >= 0.86


@pytest.mark.nightly
@pytest.mark.parametrize("ties", [0.0, 0.3])
@pytest.mark.parametrize("cell", [*NOTED, *OTHERS])
def test_the_interval_holds_the_truth(cell: Cell, ties: float) -> None:
    """At least 88 of 100 in each cell; no more than 95 or so where strata are rated well."""
    found = coverage(cell, ties=ties, runs=4000)
    assert found >= 0.88
    if min(cell[2]) >= 25 and all(0.05 < rate < 0.95 for rate in cell[1]):
        assert found <= 0.955


def test_what_was_rated_wholly_is_known() -> None:
    """No interval is left, and identical answers count as ties."""
    assert population_win_rate([Stratum(4, [1.0, 1.0, 0.0, 0.5])], ties=4) == (0.5625,) * 3


@pytest.mark.parametrize("strata", [[], [Stratum(3, [])], [Stratum(1, [1.0, 0.0])]])
def test_a_stratum_without_ratings_is_refused(strata: list[Stratum]) -> None:
    """What was never looked at is not guessed."""
    with pytest.raises(DataError, match="rated items of every stratum"):
        population_win_rate(strata)
