"""What drifted since which release: paired item by item, or not compared and why."""

from dataclasses import replace
from itertools import pairwise

import pytest
from support.histories import right, run_with, scores_of

from harness.errors import StudyError
from harness.history.drift import against_release, paired, trends
from harness.history.entries import HistoryRun, SuiteScores
from harness.records import Suite


def read(run: HistoryRun, suite: str) -> SuiteScores:
    """Return the candidate's scores of a run that holds them."""
    return run.scores[run.candidate, suite]


def test_the_same_items_are_paired_whatever_their_order() -> None:
    """Only items that both runs have are compared; one without a score is counted apart."""
    then, now = scores_of([1, 0, 1, 1]), scores_of([None, 1, 0], first=1)
    now = replace(now, items=now.items[::-1], scores=now.scores[::-1])
    rows, unscored = paired(then, now)
    assert sorted(rows) == [(1, 0, f"{3:016x}"), (1, 1, f"{2:016x}")]
    assert unscored == 1


def test_items_without_a_group_are_groups_of_their_own() -> None:
    """Rows of one group keep its name, so that the test takes groups as its units."""
    rows, _ = paired(scores_of([1] * 4, cluster=2), scores_of([1] * 4, cluster=2))
    assert len({cluster for *_, cluster in rows}) == 2


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (
            scores_of([1] * 9, scorer="qa, finetune-harness 2"),
            "harness 1 and is scored by",
        ),
        (scores_of([1] * 9, prompt="q"), "the prompts of 9 of 9 items are others now"),
        (scores_of([1] * 9, first=20), "no item is the same"),
        (scores_of([1] * 9, planned=40), "it ended early now, after 9 of 40 items"),
        (
            scores_of([1] * 9, suite=Suite(name="qa", metric="exact_match")),
            "its metric was f1 and is exact_match",
        ),
    ],
)
def test_another_measurement_is_not_compared(now: SuiteScores, told: str) -> None:
    """Scorer, declaration, prompts and items have to be the same; what differs is said."""
    then = scores_of([1] * 9)
    assert told in paired(then, now)
    [check] = against_release(
        run_with(2, {"qa": now}), run_with(1, {"qa": then}, release="v1"), read
    )
    assert (check.label, check.delta, check.verdict) == (None, None, "invalid")
    assert told in check.reason


def test_a_margin_may_move_between_releases() -> None:
    """What changes no score does not keep two runs apart: the newest run's margin decides."""
    wider = Suite(name="qa", metric="f1", margin=0.2, target=True, at_least=0.1)
    then, now = scores_of(right(90, of=100)), scores_of(right(80, of=100), suite=wider)
    [check] = against_release(
        run_with(2, {"qa": now}), run_with(1, {"qa": then}, release="v1"), read
    )
    assert check.label == "regressed_within_margin"
    assert check.delta == pytest.approx(-0.1)


def test_a_drop_has_to_stand_out_among_all_suites() -> None:
    """As in a gate, Holm over the suites: what chance shows among ten is no regression."""
    fine, fallen = scores_of(right(90, of=100)), scores_of(right(85, of=100))
    alone = run_with(2, {"qa": fallen}), run_with(1, {"qa": fine}, release="v1")
    assert against_release(*alone, read)[0].verdict == "fail"
    names = [f"suite{n}" for n in range(9)]
    now, then = dict.fromkeys(names, fine) | {"qa": fallen}, dict.fromkeys([*names, "qa"], fine)
    among = against_release(run_with(2, now), run_with(1, then, release="v1"), read)
    assert {check.verdict for check in among if check.suite == "qa"} == {"inconclusive"}


def test_small_steps_that_each_pass_add_up() -> None:
    """Each release is unchanged against the one before; against an old one the suite has fallen."""
    runs = [
        run_with(n, {"qa": scores_of(right(900 - 3 * n, of=1000))}, release=f"v{n}")
        for n in range(8)
    ]
    for before, after in pairwise(runs):
        assert against_release(after, before, read)[0].label in ("unchanged", "not_worse")
    [study] = trends(runs, read)
    [suite] = study.suites
    assert suite.last.reference == "v6"
    assert suite.worse.reference == "v4", "2 ** -9 times 7 looks stands out, 2 ** -6 does not"
    assert suite.better is None


def test_where_nothing_changes_nothing_drifts() -> None:
    """Noise that goes both ways is told of no release, however many there are."""
    runs = [
        run_with(n, {"qa": scores_of(right(900, of=1000, wrong=[n, 2 * n + 1]))}, release=f"v{n}")
        for n in range(40)
    ]
    [study] = trends(runs, read)
    assert (study.suites[0].worse, study.suites[0].better) == (None, None)


def test_lower_is_better_where_a_suite_says_so() -> None:
    """A rise of such a metric is a loss, against the last release and against older ones."""
    suite = Suite(name="qa", metric="wrong", kind="binary", margin=0.05, higher_is_better=False)
    runs = [
        run_with(1, {"qa": scores_of(right(50, of=500), suite=suite)}, release="v1"),
        run_with(2, {"qa": scores_of(right(150, of=500), suite=suite)}),
    ]
    [trend] = trends(runs, read)[0].suites
    assert trend.last.label == "regressed"
    assert trend.worse.reference == "v1"
    assert trend.worse.delta == pytest.approx(0.2)


def test_studies_are_kept_apart_and_one_suite_can_be_asked_for() -> None:
    """A release of another study is no reference; an unknown suite is named with the nearest."""
    both = {"qa": scores_of([1] * 30), "sql": scores_of([1] * 30)}
    runs = [run_with(1, both, release="v1"), run_with(2, both, study="other")]
    assert [(s.study, [t.last for t in s.suites]) for s in trends(runs, read)] == [
        ("made", [None, None]),
        ("other", [None, None]),
    ]
    assert [t.suite for s in trends(runs, read, suite="sql") for t in s.suites] == ["sql", "sql"]
    with pytest.raises(StudyError, match="did you mean 'sql'"):
        trends(runs, read, suite="sqll")
