"""Several candidates: when a run fails, and what it takes to recommend one of them."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
from support.example_result import example_result
from support.paths import TESTS

from harness import report
from harness.analysis.decisions import compare_scores, require, settle
from harness.analysis.run_result import result_of
from harness.analysis.several_candidates import run_verdict
from harness.analysis.shipping import choose
from harness.cli import console
from harness.records import BASE, Arm, Comparison, Decision, Gate, Result, Suite
from harness.stats import SequentialDecision, decide_sequentially

GATE = Gate()
SUITE = Suite(name="sql", metric="acc", kind="binary", margin=0.05)
OTHER = replace(SUITE, name="qa")


def compared(
    name: str, *, lost: int, gained: int = 0, n: int = 400, suite: Suite = SUITE
) -> Comparison:
    """Return a candidate's comparison, not settled yet."""
    changes = [-1.0] * lost + [1.0] * gained + [0.0] * (n - lost - gained)
    rows = [
        (float(change < 0), float(change > 0), str(place)) for place, change in enumerate(changes)
    ]
    return compare_scores(name, suite, rows, GATE)


def candidate(name: str, **lost: int) -> tuple[Comparison, ...]:
    """Return a candidate's settled comparisons on both suites, by the items that it lost."""
    suites = {"sql": SUITE, "qa": OTHER}
    found = [compared(name, lost=count, suite=suites[suite]) for suite, count in lost.items()]
    return settle(found, GATE)


def result(*comparisons: Comparison) -> Result:
    """Return the result of a run of these."""
    names = dict.fromkeys(c.candidate for c in comparisons)
    return result_of(
        comparisons,
        study="s",
        base_model="b",
        arms=[Arm(name=BASE), *(Arm(name=name) for name in names)],
        suites=[SUITE],
        gate=GATE,
    )


def slightly_worse(name: str, *, p: float = 0.016) -> Comparison:
    """Return a settled regression that stands out in its own suite, but not among ten of them."""
    found = compared(name, lost=6)
    assert found.decision is not None
    decision: Decision = replace(
        found.decision, label="regressed", verdict="fail", p_regression=p, p_non_inferior=0.6
    )
    (settled,) = settle([replace(found, decision=decision, verdict="fail")], GATE)
    assert settled.verdict == "fail"
    return settled


def same(name: str) -> Comparison:
    """Return the settled comparison of a candidate that changes nothing."""
    return candidate(name, sql=0)[0]


def test_a_regression_among_all_candidates_fails_the_run() -> None:
    """What survives Holm over every candidate and suite is exit code 1, and needs no reason."""
    found = result(*candidate("worse", sql=60, qa=0), *candidate("same", sql=0, qa=0))
    assert (found.verdict, found.exit_code, found.reason) == ("fail", 1, "")


def test_a_regression_of_its_own_candidate_alone_is_undecided() -> None:
    """Exit code 4 says who, on which suite, and both p-values; the candidate's verdict stays."""
    worse = slightly_worse("worse")
    found = result(worse, *(same(f"same{n}") for n in range(9)))
    assert (found.verdict, found.exit_code) == ("inconclusive", 4)
    assert found.comparisons[0].verdict == "fail"
    assert "worse on sql (p 0.016 among its own suites, 0.16 among all)" in found.reason
    assert "all 10 comparisons of 10 candidates" in found.reason
    assert result(worse).exit_code == 1


def test_every_candidate_has_to_pass() -> None:
    """One that is undecided leaves the run undecided; one that cannot be judged is exit code 3."""
    undecided = settle([compared("few", lost=0, n=10)], GATE)
    assert result(same("a"), *undecided).exit_code == 4
    assert result(same("a"), *undecided).reason == ""
    void = replace(same("void"), decision=None, verdict="invalid", reason="nothing is scored")
    assert result(slightly_worse("worse"), void, same("a")).exit_code == 3
    assert result(same("a"), same("b")).exit_code == 0


def test_a_must_pass_item_that_failed_is_no_test() -> None:
    """It fails the run whatever the number of candidates."""
    first = example_result().comparisons[0]
    wrong = next(p.tuned for p in first.pairs if p.tuned.verdict.outcome == "incorrect")
    failed = require(first, [wrong], [wrong.item.key])
    assert failed.verdict == "fail"
    assert result(failed, *(same(f"same{n}") for n in range(9))).exit_code == 1


def test_early_ends_count_the_candidates_too() -> None:
    """Bonferroni over suites is multiplied by the number of candidates."""
    decision = decide_sequentially([(1.0, 0.0)] * 400, planned=600, margin=0.05, family=2)
    assert decision.verdict == "fail"
    early = replace(slightly_worse("worse"), decision=replace(decision, p_regression=0.002))
    assert isinstance(early.decision, SequentialDecision)
    assert run_verdict([early, *(same(f"same{n}") for n in range(9))]) == ("fail", "")
    verdict, reason = run_verdict([early, *(same(f"same{n}") for n in range(19))])
    assert verdict == "inconclusive"
    assert "0.08 among all" in reason


def test_what_is_written_says_why_the_run_is_undecided(capsys: pytest.CaptureFixture[str]) -> None:
    """Headline, report, gate file and terminal name run and reason; the keys of before stay."""
    found = result(slightly_worse("worse"), *(same(f"same{n}") for n in range(9)))
    gate = report.gate_json(found)
    assert gate["reason"] == found.reason
    assert gate["checks"][0]["verdict"] == "fail"
    page = report.html(found)
    assert "the run is undecided.</h1>" in page
    assert "among all 10 comparisons of 10 candidates" in page
    assert "The run is inconclusive: a loss" in report.markdown(found)
    assert "inconclusive: a loss" in report.junit(found)
    console.show(found)
    said = " ".join(capsys.readouterr().out.split())
    assert f"the run is inconclusive: {found.reason}." in said
    plain = result(same("a"), same("b"))
    assert "reason" not in report.gate_json(plain)
    assert "the run" not in report.html(plain).split("</h1>")[0]
    assert json.dumps(gate)


def with_evidence(name: str, p: float, delta: float = 0.0) -> Comparison:
    """Return a passing comparison with this p-value against "worse by the margin"."""
    passing = same(name)
    assert passing.decision is not None
    decision: Decision = replace(passing.decision, p_non_inferior=p, delta=delta)
    return replace(passing, decision=decision)


def sentence(*comparisons: Comparison) -> str:
    """Return what is recommended."""
    return choose(comparisons, GATE).sentence


def test_the_best_of_several_is_held_to_a_share_of_beta() -> None:
    """It is recommended at beta over the number of candidates, else fresh items must confirm it."""
    sure = sentence(with_evidence("a", 0.01, 0.1), with_evidence("b", 0.04))
    assert sure.startswith("a can ship")
    assert not choose([with_evidence("a", 0.01, 0.1), with_evidence("b", 0.04)], GATE).to_confirm
    assert "best of 2 candidates, and passes at the stricter level" in sure
    chosen = sentence(with_evidence("a", 0.03, 0.1), with_evidence("b", 0.001))
    assert "level (beta 0.05 / 2) that allows for that (sql): confirm it on fresh items" in chosen
    down = replace(SUITE, higher_is_better=False)
    gained = settle([compared("fell", lost=60, suite=down)], GATE)
    doubtful = [replace(c, decision=replace(c.decision, p_non_inferior=0.03)) for c in gained]
    found = [*doubtful, with_evidence("b", 0.001)]
    best = sentence(*found)
    assert choose(found, GATE).to_confirm
    assert best.startswith("Confirm fell on fresh items, then ship it: sql −15.0 points (")
    alone = sentence(with_evidence("a", 0.03), slightly_worse("b"))
    assert "It is the best of 2 candidates on the items that chose it, and does not" in alone


def test_one_candidate_was_not_chosen() -> None:
    """It ships by its own verdict; where none passes, the sentence says what broke."""
    alone = sentence(with_evidence("a", 0.03))
    assert alone.startswith("a can ship, but gains nothing that shows. No loss shows")
    assert "candidates" not in alone
    assert sentence(slightly_worse("a")).startswith("Do not ship a: it broke sql −1.5 (")
    waiting = replace(same("a"), verdict="inconclusive")
    waiting = replace(waiting, decision=replace(waiting.decision, items_needed=1450))
    said = "a is not decided on sql (about 1,450 items would decide)"
    assert sentence(waiting).startswith("Do not ship a yet: it is not decided on sql (about 1,450")
    assert said in sentence(waiting, replace(waiting, candidate="b"))
    none = sentence(slightly_worse("a"), slightly_worse("b"))
    assert none.startswith("Ship none of 2 candidates: a broke sql −1.5 (")


def test_the_recommendation_stands_in_the_reports_and_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where two or more candidates exist."""
    found = result(same("a"), same("b"))
    said = found.recommendation.split(" (")
    assert said[0] in report.markdown(found)
    assert f"{found.recommendation}." in report.html(found)
    console.show(found)
    assert f"{found.recommendation}." in " ".join(capsys.readouterr().out.split())


def test_ten_unchanged_candidates_rarely_fail_a_run() -> None:
    """Without Holm over the candidates a third of such runs would exit with 1."""
    path = TESTS / "bench" / "gate_simulation.py"
    spec = importlib.util.spec_from_file_location("gate_simulation", path)
    assert spec is not None
    assert spec.loader is not None
    simulation = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(simulation)
    assert simulation.candidate_alarms(np.random.default_rng(0), 10, 2000) <= 0.05


def test_the_best_is_best_in_the_metric_s_own_direction() -> None:
    """Where lower is better, the candidate whose metric fell most is named."""
    down = replace(SUITE, higher_is_better=False)
    fell = settle([compared("fell", lost=60, suite=down)], GATE)
    stayed = settle([compared("stayed", lost=0, suite=down)], GATE)
    said = result(*stayed, *fell).recommendation
    assert said.startswith("Ship fell: sql −15.0 points (")
    assert "best of 2 candidates" in said
