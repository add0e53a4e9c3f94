"""Where lower is better, a rise is a loss: in labels, words, slices and recipes."""

from dataclasses import replace

import pytest
from support.example_result import example_result

from harness.analysis import findings
from harness.analysis.decisions import compare_early, compare_pairs, settle
from harness.analysis.recipes import compare_recipes
from harness.analysis.run_result import result_of
from harness.records import Arm, Comparison, Gate, Pair, Suite
from harness.report import gate_json, markdown
from harness.report.overview import forest, tradeoffs
from harness.stats import Schedule

GATE = Gate()
PAIRS = next(c.pairs for c in example_result().comparisons if c.suite.name == "domain_qa")
LOW = Suite(name="bias", metric="share", higher_is_better=False, threshold=0.0, kind="graded")


def pairs(base: float, tuned: float) -> tuple[Pair, ...]:
    """Return pairs of these mean scores, of which one half does not change."""
    made = []
    for number, pair in enumerate(PAIRS * 4):
        item = replace(pair.base.item, slices={"half": "ab"[number % 2]}, cluster=str(number))
        change = (tuned - base) * 2 * (number % 2)
        sides = {
            name: replace(
                side, item=item, verdict=replace(side.verdict, score=score, outcome="incorrect")
            )
            for name, side, score in (
                ("base", pair.base, base), ("tuned", pair.tuned, base + change)
            )
        }  # fmt: skip
        made.append(replace(pair, **sides, transition="both_wrong"))
    return tuple(made)


def check(base: float, tuned: float, suite: Suite = LOW, name: str = "tuned") -> Comparison:
    """Compare a suite."""
    return compare_pairs(name, suite, pairs(base, tuned), GATE)


def test_a_rise_regresses_and_a_fall_improves() -> None:
    """The mirror image of a metric where higher is better, with the metric's own numbers."""
    worse, better = check(0.1, 0.4), check(0.7, 0.4)
    assert worse.decision is not None
    assert better.decision is not None
    assert (worse.verdict, worse.decision.label) == ("fail", "regressed")
    assert (better.verdict, better.decision.label) == ("pass", "improved")
    assert (worse.base, worse.tuned) == (pytest.approx(0.1), pytest.approx(0.4))
    assert worse.decision.delta == pytest.approx(0.3)
    assert 0 < worse.decision.ci_low < 0.3 < worse.decision.ci_high
    mirrored = check(0.9, 0.6, replace(LOW, higher_is_better=True)).decision
    assert mirrored is not None
    assert worse.decision.p_regression == pytest.approx(mirrored.p_regression)
    assert worse.decision.ci_low == pytest.approx(-mirrored.ci_high)


def test_an_early_end_is_read_the_same_way() -> None:
    """``--until-decided`` stops for a rise."""
    schedule = Schedule(planned=4 * len(PAIRS), looks=4, order="x")
    found = compare_early("tuned", LOW, pairs(0.1, 0.5), schedule, GATE)
    assert found.decision is not None
    assert found.decision.label == "regressed"
    assert found.decision.delta > 0


def test_a_recipe_that_rises_regresses() -> None:
    """Several seeds; the changes keep the metric's sign."""
    names = ("a", "b", "c")
    arms = (Arm(name="base"), *(Arm(name=name, recipe="mix") for name in names))
    seeds = [check(0.1, 0.5 + n / 100, name=name) for n, name in enumerate(names)]
    (found,) = compare_recipes(arms, seeds, GATE)
    assert found.decision is not None
    assert found.decision.label == "regressed"
    assert found.deltas[0] == pytest.approx(0.4)
    assert found.decision.delta == pytest.approx(0.41)


def test_reports_say_which_way_is_good() -> None:
    """Words, margin line, slices and the weighing of candidates follow the direction."""
    found = [*settle([check(0.1, 0.4)], GATE), *settle([check(0.7, 0.4, name="other")], GATE)]
    result = result_of(
        found, study="s", base_model="b", suites=[LOW], gate=GATE,
        arms=[Arm(name="base"), Arm(name="tuned"), Arm(name="other")],
    )  # fmt: skip
    text = markdown(result)
    assert "bias (lower share is better) rose by 30 points" in text
    drawn = forest(result)
    assert drawn is not None
    assert drawn.groups[0][1][0].margin == "+3.0"
    worse, better = tradeoffs(result)
    assert (worse.gain[0], better.gain[0]) == (0.0, pytest.approx(0.3))
    assert worse.loss[0] == pytest.approx(0.3)
    for mean, low, high in (better.gain, worse.loss):
        assert low < mean < high
    first, *_, last = (f for f in findings(found[0]) if f.kind == "slice" and "half" in f.title)
    assert (first.title, last.title) == ("half = b", "half = a")
    assert "clearly worse than the suite" in first.text
    checks = gate_json(result)["checks"]
    assert isinstance(checks, list)
    assert checks[0]["higher_is_better"] is False
