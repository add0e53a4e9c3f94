"""What a report says about training: sweeps, suites on the way, objectives."""

from dataclasses import replace

from support.example_result import example_result

from harness.records import Arm, LossPoint, SuitePoint, Trial
from harness.report import html
from harness.report.training_view import training

TRIALS = tuple(
    Trial(
        number=number,
        choice={"training.learning_rate": rate},
        state=state,
        losses=losses,
        steps=10,
        seconds=1.0,
    )
    for number, (rate, state, losses) in enumerate(
        [(0.001, "finished", (3.0, 2.5)), (0.01, "finished", (2.0, 1.5)), (9.0, "diverged", ())]
    )
)
ARM = Arm(
    name="mine",
    method="lora",
    settings={"objective": "dpo"},
    loss=(LossPoint(step=1, loss=0.69), LossPoint(step=9, loss=0.4)),
    trials=TRIALS,
    watched=tuple(
        SuitePoint(step=step, suite="sql", score=score)
        for step, score in [(0, 0.5), (5, 0.2), (9, 0.4)]
    ),
)


def test_every_trial_is_a_row_and_the_best_is_marked() -> None:
    """Settings, loss on held-out rows and end of each; the candidate itself is the one kept."""
    rows = training(ARM).trials
    assert [row.state for row in rows] == ["finished", "kept", "diverged"]
    assert [row.loss for row in rows] == ["2.500", "1.500", ""]
    assert rows[1].choice == "learning_rate 0.01"


def test_forgetting_on_the_way_is_said_and_drawn() -> None:
    """First, lowest and last score of a slice, and that it decides nothing."""
    (shown,) = training(ARM).watched
    assert shown.caption == (
        "sql on a small slice while training: 50% → 40%, 20% at step 5; it decides nothing"
    )
    assert "polyline" in shown.chart


def test_a_checkpoint_that_suites_chose_is_named_at_their_curves() -> None:
    """Which step is kept, by which suite and within which limit; what chose judges nothing."""
    watched = (*ARM.watched, *(replace(point, suite="arc_mini") for point in ARM.watched))
    kept = replace(ARM, watched=watched, kept_step=9, kept_by=("sql", "arc_mini"))
    limit, best = (shown.caption for shown in training(kept).watched)
    assert best.endswith("; the best checkpoint by it, step 9, is kept; it judges nothing")
    assert limit.endswith("; step 9, which is kept, is within its limit; it judges nothing")


def test_a_preference_loss_is_not_called_a_loss_per_token() -> None:
    """The objective is named where the loss is its own."""
    assert training(ARM).caption.startswith("Loss (DPO) over 9 steps: 0.69 → 0.40")


def test_the_page_shows_trials_and_slices() -> None:
    """Both stand in the training section of the report."""
    result = example_result()
    page = html(replace(result, arms=(*result.arms[:-1], replace(ARM, name=result.arms[-1].name))))
    assert "What the sweep tried" in page
    assert "sql on a small slice while training" in page
