"""Deciding early: boundaries against textbooks, lazy consumption, corrected figures."""

from collections.abc import Iterator
from itertools import pairwise
from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ComparisonError, StudyError
from harness.records import Decision
from harness.stats import decide, decide_sequentially, look_sizes, shuffled_order
from harness.stats.boundary import (
    crossing_probability,
    exit_probabilities,
    last_critical,
    median_unbiased,
    stagewise_p,
    wang_tsiatis,
)

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=150)


def looks(count: int) -> tuple[float, ...]:
    """Evenly spaced shares of the plan."""
    return tuple((look + 1) / count for look in range(count))


def stream(n: int, disagreement: float, d: float, seed: int) -> list[tuple[int, int]]:
    """Draw pairs of 0/1 scores with a known disagreement and difference."""
    rng = np.random.default_rng(seed)
    rates = [(disagreement - d) / 2, (disagreement + d) / 2, 1 - disagreement]
    kinds = rng.choice(3, size=n, p=rates)
    return [((1, 0), (0, 1), (1, 1))[kind] for kind in kinds]


@pytest.mark.parametrize(
    ("count", "shape", "alpha", "published"),
    [
        (5, 0.5, 0.025, 2.413),  # Pocock, Jennison and Turnbull table 2.1
        (10, 0.5, 0.025, 2.555),
        (5, 0.0, 0.025, 2.040),  # O'Brien and Fleming, table 2.3
        (10, 0.0, 0.025, 2.087),
    ],
)
def test_textbook_constants(count: int, shape: float, alpha: float, published: float) -> None:
    """The integration reproduces the tabulated constants to their third decimal."""
    assert wang_tsiatis(looks(count), alpha, shape)[-1] == pytest.approx(published, abs=1.1e-3)


def test_constant_of_the_default_design() -> None:
    """Twenty looks with exponent 0.25 at 5 %: 1.974 by a million simulated Brownian paths."""
    critical = wang_tsiatis(looks(20), 0.05)
    assert critical[-1] == pytest.approx(1.974, abs=2e-3)
    assert critical[0] == pytest.approx(critical[-1] * 20**0.25)


@given(
    st.lists(st.integers(4, 80), min_size=1, max_size=8, unique=True).map(
        lambda eightieths: [time / 80 for time in sorted(eightieths)]
    ),
    st.sampled_from([0.01, 0.05, 0.1]),
)
@settings(deadline=None, max_examples=20)
def test_any_spacing_of_looks_spends_exactly_alpha(times: list[float], alpha: float) -> None:
    """The probability of ever crossing is alpha, however the looks lie."""
    critical = wang_tsiatis(tuple(times), alpha)
    assert crossing_probability(tuple(times), critical) == pytest.approx(alpha, abs=1e-6)


def test_exit_probabilities_agree_with_simulated_paths() -> None:
    """Leaving above and below, with drift and two boundaries, look by look."""
    times, rng = looks(5), np.random.default_rng(0)
    lower, upper = (-1.0, -0.9, -0.8, -0.7, -0.6), (1.2, 1.1, 1.0, 0.9, 0.8)
    steps = rng.normal(0.4 / 5, sqrt(0.2), size=(200_000, 5))
    paths = steps.cumsum(axis=1)
    outside = (paths < lower) | (paths > upper)
    first = np.where(outside.any(axis=1), outside.argmax(axis=1), 5)
    below, above = exit_probabilities(times, lower, upper, drift=0.4)
    for look in range(5):
        here = paths[first == look, look]
        assert below[look] == pytest.approx(np.sum(here < lower[look]) / 200_000, abs=4e-3)
        assert above[look] == pytest.approx(np.sum(here > upper[look]) / 200_000, abs=4e-3)


def test_what_is_left_of_alpha_can_be_spent_at_an_early_end() -> None:
    """Ending after 13 of 20 looks, the last one makes up for the looks that never came."""
    times = (*looks(20)[:12], 0.63)
    critical = wang_tsiatis(looks(20), 0.05)[:12]
    last = last_critical(times, critical, 0.05)
    assert crossing_probability(times, (*critical, last)) == pytest.approx(0.05, abs=1e-6)
    assert 1.645 < last < critical[-1]


def test_stagewise_p_is_plain_at_the_first_look_and_alpha_at_the_last_bound() -> None:
    """The p-value allows for exactly the looks that came before."""
    assert stagewise_p((0.2,), (), 1.96) == pytest.approx(0.025, abs=1e-4)
    critical = wang_tsiatis(looks(20), 0.05)
    assert stagewise_p(looks(20), critical[:-1], critical[-1]) == pytest.approx(0.05, abs=1e-5)


def test_median_unbiased_estimate_is_the_plain_one_without_looks_before() -> None:
    """With one look there is nothing to correct."""
    assert median_unbiased((0.4,), (), (), 0.8) == pytest.approx(2.0, abs=1e-4)


def test_median_unbiased_estimate_has_the_right_median() -> None:
    """Over many stopped paths half of the estimates lie above the truth; the plain ones do not."""
    times, truth, rng = looks(5), 1.0, np.random.default_rng(3)
    upper = tuple(z * sqrt(t) for z, t in zip(wang_tsiatis(times, 0.05), times, strict=True))
    paths = rng.normal(truth / 5, sqrt(0.2), size=(400, 5)).cumsum(axis=1)
    corrected, plain = [], []
    for path in paths:
        crossed = np.flatnonzero(path > upper)
        last = int(crossed[0]) if len(crossed) else 4
        before = (-inf,) * last
        corrected.append(median_unbiased(times[: last + 1], before, upper[:last], path[last]))
        plain.append(path[last] / times[last])
    assert np.mean(np.array(corrected) > truth) == pytest.approx(0.5, abs=0.05)
    assert np.mean(plain) > np.mean(corrected)


def test_pairs_are_consumed_only_as_far_as_needed() -> None:
    """A clear drop stops early, and no pair beyond the deciding look is asked for."""
    asked = 0

    def answers() -> Iterator[tuple[int, int]]:
        nonlocal asked
        for pair in stream(1000, 0.3, -0.25, seed=1):
            asked += 1
            yield pair

    decision = decide_sequentially(answers(), planned=1000, margin=0.05)
    assert decision.label == "regressed"
    assert decision.used == asked == decision.n == look_sizes(1000)[decision.look - 1]
    assert decision.used <= 150
    assert (decision.planned, decision.looks) == (1000, 20)


def test_an_unchanged_model_stops_early_too() -> None:
    """Passing needs no more than a look at which the margin is excluded."""
    decision = decide_sequentially(stream(2000, 0.1, 0.0, seed=5), planned=2000, margin=0.05)
    assert decision.verdict == "pass"
    assert decision.used < 1000
    assert decision.p_non_inferior <= 0.05


def test_identical_outputs_pass_with_an_estimate_of_zero() -> None:
    """Nothing differs: no correction is invented, and the floor of items is kept."""
    decision = decide_sequentially([(1, 1)] * 500, planned=500, margin=0.05)
    assert decision.label == "unchanged"
    assert decision.delta == 0.0
    assert 59 <= decision.used < 250


def test_result_is_a_decision_that_others_can_read() -> None:
    """It has every field of a plain decision, at the declared alpha."""
    decision = decide_sequentially(stream(300, 0.2, 0.0, seed=2), planned=300, margin=0.05)
    assert isinstance(decision, Decision)
    assert decision.alpha == 0.05
    assert decision.method.startswith("group sequential")
    assert decision.observed == pytest.approx(
        np.mean([tuned - base for base, tuned in stream(decision.used, 0.2, 0.0, seed=2)]), abs=0.2
    )


def test_one_look_is_the_fixed_decision() -> None:
    """With a single look at the end, labels, p-values and interval are those of `decide`."""
    for seed, d in ((1, 0.0), (2, -0.05), (3, 0.1)):
        pairs = stream(400, 0.2, d, seed)
        once = decide_sequentially(pairs, planned=400, margin=0.05, looks=1)
        base, tuned = zip(*pairs, strict=True)
        fixed = decide(base, tuned, margin=0.05)
        assert once.label == fixed.label
        assert once.delta == pytest.approx(fixed.delta, abs=1e-6)
        assert (once.ci_low, once.ci_high) == pytest.approx((fixed.ci_low, fixed.ci_high))
        assert once.p_regression == pytest.approx(fixed.p_regression, abs=1e-6)
        assert once.p_non_inferior == pytest.approx(fixed.p_non_inferior, abs=1e-6)


@given(PAIRS, st.sampled_from(["graded", "heavy"]))
@settings(deadline=None, max_examples=30)
def test_interval_contains_the_corrected_estimate(pairs: list[tuple[int, int]], tails: str) -> None:
    """Whatever comes in, figures are ordered and probabilities are probabilities."""
    found = decide_sequentially(
        pairs, planned=len(pairs), margin=0.1, kind="graded", tails=tails, looks=5
    )
    assert -1 <= found.ci_low <= found.delta + 1e-9
    assert found.delta - 1e-9 <= found.ci_high <= 1
    assert 0 <= found.p_regression <= 1
    assert 0 <= found.p_non_inferior <= 1
    assert found.used <= len(pairs)


def test_a_stream_that_ends_early_spends_what_is_left() -> None:
    """Sixty lost items do not make the verdict impossible, nor free."""
    pairs = stream(440, 0.15, -0.06, seed=4)
    cut = decide_sequentially(pairs, planned=500, margin=0.05)
    whole = decide_sequentially(pairs, planned=440, margin=0.05)
    assert cut.used <= 440
    assert cut.verdict == whole.verdict == "fail"
    assert cut.p_regression <= 0.05


def test_a_short_stream_with_a_look_already_at_its_end() -> None:
    """Ending exactly after a look that left the verdict open looks there once more."""
    pairs = [(1, 1), (1, 0), (0, 1)] * 100
    found = decide_sequentially(pairs, planned=600, margin=0.02)
    assert found.used == 300
    assert found.verdict == "inconclusive"
    assert found.look == found.looks == 10
    assert found.items_needed is not None


@pytest.mark.parametrize("tails", ["graded", "heavy"])
def test_graded_scores(tails: str) -> None:
    """Scores between 0 and 1 are decided early as well; heavy tails by betting."""
    rng = np.random.default_rng(6)
    base = rng.random(800)
    worse = np.clip(base - 0.2 + rng.normal(0, 0.1, 800), 0, 1)
    found = decide_sequentially(
        zip(base, worse, strict=True), planned=800, margin=0.05, tails=tails
    )
    assert found.label == "regressed"
    assert found.used <= 320
    assert ("betting" in found.method) == (tails == "heavy")


def test_heavy_tails_bet_even_on_scores_of_0_and_1() -> None:
    """Looking twenty times at a plain 5 % test would cry wolf; betting may be watched."""
    alarms = 0
    for seed in range(300):
        pairs = stream(200, 0.3, 0.0, seed)
        found = decide_sequentially(pairs, planned=200, margin=0.1, tails="heavy")
        assert found.method == "betting"
        alarms += found.label == "regressed"
    assert alarms <= 15


def test_heavy_tails_in_clusters_of_growing_size() -> None:
    """The bet is sized for the largest cluster of the plan, not for the largest one seen."""
    clusters = [number for number in range(30) for _ in range(1 + number)]
    rng = np.random.default_rng(0)
    base = np.full(len(clusters), 0.5)
    tuned = np.clip(base - 0.45 + 0.1 * rng.normal(size=len(clusters)), 0, 1)
    found = decide_sequentially(
        zip(base, tuned, strict=True),
        planned=len(clusters),
        margin=0.1,
        tails="heavy",
        clusters=clusters,
    )
    assert found.method == "betting on clusters"
    assert found.label == "regressed"
    assert found.used > 100


def test_looks_wait_for_the_end_of_a_cluster() -> None:
    """Clusters are the unit of looking: sizes are sums of whole clusters."""
    clusters = [number for number in range(40) for _ in range(1 + number % 7)]
    sizes = look_sizes(len(clusters), clusters=clusters)
    ends = set(np.cumsum([1 + number % 7 for number in range(40)]).tolist())
    assert set(sizes) <= ends
    assert sizes[-1] == len(clusters)
    pairs = stream(len(clusters), 0.3, -0.25, seed=8)
    found = decide_sequentially(pairs, planned=len(clusters), margin=0.05, clusters=clusters)
    assert found.used in ends
    assert found.clusters is not None


def test_first_look_waits_for_twenty_items() -> None:
    """No verdict on fewer, except where no more are planned."""
    assert look_sizes(100)[0] == 20
    assert look_sizes(7) == (7,)
    assert look_sizes(20_000)[0] == 1000


@given(st.integers(1, 3000), st.integers(1, 30))
def test_looks_ascend_to_the_plan(planned: int, count: int) -> None:
    """Sizes are unique, ascending, and end with the last planned item."""
    sizes = look_sizes(planned, looks=count)
    assert list(sizes) == sorted(set(sizes))
    assert sizes[-1] == planned
    assert all(two - one >= planned / (4 * count) for one, two in pairwise(sizes))
    assert len(sizes) <= count


def test_shuffled_order_depends_on_names_and_seed_only() -> None:
    """Removing an item leaves the order of the others; clusters stay together."""
    names = [f"item {index}" for index in range(60)]
    order = [names[index] for index in shuffled_order(names, seed=1)]
    fewer = [name for name in names if name != "item 7"]
    assert [fewer[index] for index in shuffled_order(fewer, seed=1)] == [
        name for name in order if name != "item 7"
    ]
    assert order != [names[index] for index in shuffled_order(names, seed=2)]
    groups = [f"document {index % 6}" for index in range(60)]
    walk = [groups[index] for index in shuffled_order(names, clusters=groups)]
    assert sum(one != other for one, other in pairwise(walk)) == 5


@pytest.mark.parametrize(
    ("settings_", "error", "message"),
    [
        ({"planned": 0}, StudyError, "found 0 items"),
        ({"looks": 0}, StudyError, "0 looks"),
        ({"margin": 0}, StudyError, "found 0"),
        ({"clusters": [1, 2, 1]}, ComparisonError, "torn apart"),
        ({"clusters": [1, 2]}, ComparisonError, "found 2 for 3 items"),
        ({"tails": "long"}, StudyError, "unknown tails 'long'"),
    ],
)
def test_impossible_declarations_are_refused(
    settings_: dict, error: type[Exception], message: str
) -> None:
    """Before the first pair is asked for."""

    def unasked() -> Iterator[tuple[int, int]]:
        pytest.fail("a pair was asked for")
        yield (0, 0)

    with pytest.raises(error) as caught:
        decide_sequentially(unasked(), **{"planned": 3, "margin": 0.05, **settings_})
    assert message in str(caught.value)


def test_no_pairs_are_refused() -> None:
    """An empty stream is not a verdict."""
    with pytest.raises(ComparisonError, match="at least one score"):
        decide_sequentially([], planned=100, margin=0.05)


def test_unscored_pairs_take_a_place_and_no_part() -> None:
    """Looks come at the same places, and what is seen there is what the scored pairs say."""
    pairs = stream(400, 0.3, -0.2, seed=5)
    holes = [None if place % 25 == 3 else pair for place, pair in enumerate(pairs)]
    decision = decide_sequentially(holes, planned=400, margin=0.05)
    used = holes[: decision.used]
    assert decision.used in look_sizes(400)
    assert decision.n == decision.used - used.count(None)
    scored = [pair for pair in used if pair is not None]
    assert decision.observed == pytest.approx(np.mean([t - b for b, t in scored]))


def test_a_verdict_stays_open_while_too_much_is_unscored() -> None:
    """A sure loss does not close at a look where more than the allowed share has no score."""
    pairs = [None] * 20 + [(1, 0)] * 180
    at_once = decide_sequentially(pairs, planned=200, margin=0.05)
    careful = decide_sequentially(pairs, planned=200, margin=0.05, max_unscored=0.2)
    assert at_once.used < careful.used == 100
    assert at_once.label == careful.label == "regressed"


def test_a_regression_must_stand_out_in_its_family() -> None:
    """Among ten suites "fail" needs a tenth of alpha; "pass" and a family of one are as before."""
    losses = stream(600, 0.2, -0.08, seed=8)
    alone = decide_sequentially(losses, planned=600, margin=0.02)
    among = decide_sequentially(losses, planned=600, margin=0.02, family=10)
    assert alone.label == among.label == "regressed"
    assert alone.used < among.used
    assert among.p_regression <= 0.005 < alone.p_regression <= 0.05
    same = stream(600, 0.02, 0.0, seed=8)
    passes = [decide_sequentially(same, planned=600, margin=0.05, family=k) for k in (1, 10)]
    assert passes[0].used == passes[1].used


def test_nothing_scored_is_refused() -> None:
    """A suite of which not one item could be scored has no verdict."""
    with pytest.raises(ComparisonError, match="at least one score"):
        decide_sequentially([None] * 60, planned=60, margin=0.05)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(1, 1)] * 30 + [(float("nan"), 0)] * 30, "found nan"),
        ([(1, 0)] * 19 + [(1, 2)] * 41, "found 2"),
        ([(1, "x")] * 60, "scores must be numbers"),
    ],
)
def test_bad_scores_are_refused_at_the_look_that_sees_them(pairs: list, message: str) -> None:
    """One sentence; what was not looked at is not judged."""
    with pytest.raises(ComparisonError, match=message):
        decide_sequentially(pairs, planned=60, margin=0.01)


@pytest.mark.parametrize("tails", ["graded", "heavy"])
@pytest.mark.parametrize("kind", ["binary", "graded", "auto"])
def test_degenerate_streams_are_decided_or_open(tails: str, kind: str) -> None:
    """All equal passes only beyond the floor, all lost fails, one item decides nothing."""
    settings_ = {"margin": 0.05, "kind": kind, "tails": tails}
    assert decide_sequentially([(1, 1)], planned=1, **settings_).verdict == "inconclusive"
    assert decide_sequentially([(1, 1)] * 58, planned=58, **settings_).verdict == "inconclusive"
    assert decide_sequentially([(1, 1)] * 400, planned=400, **settings_).label == "unchanged"
    lost = decide_sequentially([(1, 0)] * 400, planned=400, **settings_)
    assert (lost.label, lost.used < 100) == ("regressed", True)


@pytest.mark.parametrize("wrong", [{"pairs": [(1, 0)]}, {"pairs": [(0, 0)] * 7}])
def test_a_short_stream_is_a_last_look(wrong: dict) -> None:
    """Fewer pairs than planned end the run, and too few of them say nothing."""
    decision = decide_sequentially(wrong["pairs"], planned=500, margin=0.05)
    assert (decision.verdict, decision.used) == ("inconclusive", len(wrong["pairs"]))


def test_looks_at_clusters_of_very_unequal_sizes_keep_their_distance() -> None:
    """A look that a large cluster pushes next to another is left out."""
    clusters = ["large"] * 549 + [f"single {number}" for number in range(451)]
    sizes = look_sizes(1000, clusters=clusters)
    assert sizes[:2] == (550, 600)
    assert sizes[-1] == 1000
