"""The gate's declared error rates, held by a fast seeded simulation.

The long version over the whole grid is ``python tests/bench/gate_simulation.py``.
"""

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from support.paths import TESTS

from harness.stats import decide_sequentially, look_sizes, plan
from harness.stats.decide import weigh
from harness.stats.scores import paired_scores

RUNS = 20_000


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    """The model of the long simulation."""
    path = TESTS / "bench" / "gate_simulation.py"
    spec = importlib.util.spec_from_file_location("gate_simulation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("rule", ["fixed", "sequential"])
@pytest.mark.parametrize(
    ("n", "disagreement", "margin"),
    [(100, 0.3, 0.1), (200, 0.1, 0.1), (500, 0.15, 0.05), (2000, 0.02, 0.02)],
)
def test_error_rates(
    simulation: ModuleType, rule: str, n: int, disagreement: float, margin: float
) -> None:
    """At most 5.5 % false alarms and 5.6 % false passes, even without the other bound's help."""
    rng, simulate = np.random.default_rng(n), getattr(simulation, rule)
    alarm = simulate(rng, n, disagreement, 0.0, margin, RUNS)
    missed = simulate(rng, n, disagreement, -margin, margin, RUNS)
    assert alarm.ever_fail <= 0.055
    assert missed.ever_accept <= 0.056


@pytest.mark.parametrize(
    ("times", "power", "items"), [(1, 0.85, 0.65), (2, 0.94, 0.45), (4, 0.94, 0.30)]
)
def test_power_and_items_used(
    simulation: ModuleType, times: int, power: float, items: float
) -> None:
    """Early stopping keeps the power of the whole list but six points, from a part of the items."""
    rng = np.random.default_rng(times)
    n = times * plan(margin=0.05, disagreement=0.15).items
    drop = simulation.sequential(rng, n, 0.15, -0.05, 0.05, RUNS // 4)
    same = simulation.sequential(rng, n, 0.15, 0.0, 0.05, RUNS // 4)
    whole = simulation.fixed(rng, n, 0.15, -0.05, 0.05, RUNS // 4)
    assert drop.fail >= power
    assert drop.ever_fail >= whole.ever_fail - 0.06
    assert max(drop.items, same.items) <= items


def test_ten_unchanged_suites(simulation: ModuleType) -> None:
    """Holm keeps the false alarms of the whole family; without it 40 % of the runs would fail."""
    assert simulation.family_alarms(np.random.default_rng(0), 10, 4000) <= 0.05


def test_ten_unchanged_suites_that_may_end_early(simulation: ModuleType) -> None:
    """Twenty looks at each of them are not another chance to fail."""
    assert simulation.early_family_alarms(np.random.default_rng(0), 10, 4000) <= 0.05


@pytest.mark.parametrize(("groups", "equal"), [(20, True), (50, False), (12, True)])
@pytest.mark.parametrize("draw", ["clustered", "graded_clusters"])
def test_clusters(simulation: ModuleType, draw: str, groups: int, equal: bool) -> None:
    """At intra-class correlation 0.3 at most 6.5 % false alarms, within the noise of 600 runs."""
    rng, alarms = np.random.default_rng(groups), 0
    for _ in range(600):
        base, tuned, cluster = getattr(simulation, draw)(rng, groups, 10, 0.3, equal)
        pairs = paired_scores(base, tuned, clusters=cluster)
        found = weigh(pairs, margin=0.05, alpha=0.05, tails="graded", interval=False)
        alarms += found.p_drop <= 0.05
    assert alarms / 600 <= 0.065


def test_simulated_rule_is_the_one_that_decides(simulation: ModuleType) -> None:
    """`decide_sequentially` stops where the simulation says, with the verdict it counts."""
    rng, n, m = np.random.default_rng(4), 300, 0.05
    sizes = look_sizes(n)
    for d in (0.0, -0.05, -0.1, 0.05):
        for _ in range(10):
            kinds = rng.choice(3, size=n, p=[(0.15 - d) / 2, (0.15 + d) / 2, 0.85])
            pairs = [((1, 0), (0, 1), (1, 1))[kind] for kind in kinds]
            at = np.array(sizes) - 1
            losses, gains = (np.cumsum(kinds == side)[at][None, :] for side in (0, 1))
            drop, accept = (rows[0] for rows in simulation.crossings(losses, gains, sizes, m))
            stops = np.flatnonzero(drop | accept)
            look = int(stops[0]) if len(stops) else len(sizes) - 1
            found = decide_sequentially(pairs, planned=n, margin=m)
            assert found.used == sizes[look]
            assert (found.verdict == "pass") == bool(accept[look])
            assert (found.verdict == "fail") == bool(drop[look] and not accept[look])


def test_estimate_and_interval_after_stopping() -> None:
    """Half of the estimates lie on each side of the truth, and the interval covers it."""
    rng, truth, above, covered, plain = np.random.default_rng(1), -0.05, 0, 0, []
    for _ in range(200):
        kinds = rng.choice(3, size=506, p=[0.1, 0.05, 0.85])
        pairs = [((1, 0), (0, 1), (1, 1))[kind] for kind in kinds]
        found = decide_sequentially(pairs, planned=506, margin=0.05)
        above += found.delta > truth
        covered += found.ci_low <= truth <= found.ci_high
        plain.append(found.observed)
    assert above / 200 == pytest.approx(0.5, abs=0.08)
    assert covered / 200 >= 0.90
    assert np.mean(plain) < truth - 0.004
