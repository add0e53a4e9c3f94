"""Sweeps: what is tried, what is given up, what is kept, and what is not trained again."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.trainings import train_on

from harness.errors import ModelError, StudyError
from harness.records import Arm, Example, LossPoint
from harness.study import CandidateSection
from harness.training import check
from harness.training.config.search_space import Optuna, grid, space_of

RATES = {"training.learning_rate": [1e-5, 0.01]}


def candidate(sweep: dict[str, Any] | None, **fields: Any) -> CandidateSection:
    """Return a candidate that sweeps."""
    training = {"max_steps": 10, "warmup_steps": 0, **fields.pop("training", {})}
    return CandidateSection(
        name="mine",
        train="rows.jsonl",
        sweep=sweep,
        training=training,
        **{"validation": 0.25, **fields},
    )


def rows(count: int = 40) -> list[Example]:
    """Return rows with a pattern that can be learnt."""
    return [
        Example(prompt=f"what is {i}? ", completion=f"it is {i % 3}", origin=f"rows.jsonl:{i + 1}")
        for i in range(count)
    ]


def run(tiny_base: Path, out: Path, section: CandidateSection, **more: Any) -> Arm:
    """Train on the tiny base."""
    return train_on(section, rows(), model=str(tiny_base), out=out, **more)


def test_a_grid_is_every_combination() -> None:
    """Lists are combined in the order of the study, the last one changing fastest."""
    space = space_of(candidate({"settings.r": [4, 8], "training.learning_rate": [1e-4, 1e-3]}))
    assert space.size == 4
    assert grid(space)[1] == {"settings.r": 4, "training.learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("sweep", "fields", "message"),
    [
        ({"settings.rank": [4]}, {}, "setting 'rank' is unknown"),
        ({"lr": [4]}, {}, "'lr' must begin with 'settings.' or 'training.'"),
        ({"training.learning_rate": []}, {}, "must be a list of values: found []"),
        ({"training.learning_rate": {"low": 1, "high": 2}}, {}, "a range, which needs 'trials'"),
        ({"trials": 3, "settings.r": {"low": 9, "high": 2}}, {}, "'low' below 'high'"),
        ({"trials": 3, "settings.r": {"lo": 9, "high": 2}}, {}, "unknown key 'lo'; did you mean"),
        ({"trials": 1, "settings.r": [1, 2]}, {}, "'trials' must be a whole number above 1"),
        ({"trials": 3}, {}, "needs something to try"),
        (RATES, {"validation": None}, "chooses by the loss on held-out rows: set 'validation'"),
        ({"training.beta": [0.1, 0.5]}, {"objective": "dpo"}, "changes what the loss measures"),
        ({"settings.r": ["many"]}, {}, "'r' must be a number: found 'many'"),
    ],
)
def test_what_cannot_be_tried_is_refused(
    sweep: dict[str, Any], fields: dict[str, Any], message: str
) -> None:
    """Every declared value is checked before the first trial."""
    with pytest.raises(StudyError) as caught:
        check(candidate(sweep, **fields))
    assert message in str(caught.value)


def test_optuna_chooses_the_same_when_told_the_same() -> None:
    """Told again what it knew, it goes on as if it had not been interrupted."""
    section = candidate(
        {
            "trials": 8,
            "training.learning_rate": {"low": "1e-5", "high": 1e-1, "log": True},
            "settings.r": [4, 8, 16],
        }
    )

    def choices() -> list[Any]:
        search = Optuna(space_of(section), 3)
        made = []
        for _ in range(8):
            made.append(dict(search.ask()))
            loss = abs(made[-1]["training.learning_rate"] - 0.01)
            search.tell((2 * loss, loss), "diverged" if loss > 0.05 else "finished")
        return made

    first = choices()
    assert first == choices()
    assert all(1e-5 <= c["training.learning_rate"] <= 1e-1 for c in first)
    assert {c["settings.r"] for c in first} <= {4, 8, 16}


@pytest.mark.nightly
@pytest.mark.model
def test_the_trial_with_the_lowest_validation_loss_is_the_candidate(
    tiny_base: Path, tmp_path: Path
) -> None:
    """The winner equals a training with its settings alone; each trial leaves a row."""
    told: list[tuple[int, int]] = []
    arm = run(
        tiny_base,
        tmp_path / "mine",
        candidate(RATES, note="why"),
        on_progress=lambda point, steps: told.append((point.step, steps)),
    )
    assert [trial.choice for trial in arm.trials] == [
        {"training.learning_rate": 1e-5},
        {"training.learning_rate": 0.01},
    ]
    slow, fast = (min(trial.losses) for trial in arm.trials)
    assert fast < slow
    assert arm.settings["learning_rate"] == 0.01
    assert (arm.name, arm.note) == ("mine", "why")
    assert max(told) == (20, 20)  # the bar counts through both trials
    alone = run(tiny_base, tmp_path / "alone", candidate(None, training={"learning_rate": 0.01}))
    assert alone.weights_sha256 == arm.weights_sha256
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["alone", "mine", "mine.trials.json"]


@pytest.mark.model
def test_a_finished_trial_is_not_trained_again(tiny_base: Path, tmp_path: Path) -> None:
    """Stopped in the second trial, a sweep goes on with it; run again, nothing is trained."""

    def stop(point: LossPoint, _steps: int) -> None:
        if point.step == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_base, tmp_path / "mine", candidate(RATES), on_progress=stop)
    assert not (tmp_path / "mine").exists()
    steps: list[int] = []
    arm = run(
        tiny_base,
        tmp_path / "mine",
        candidate(RATES),
        on_progress=lambda point, _: steps.append(point.step),
    )
    assert min(steps) > 10
    undisturbed = run(tiny_base, tmp_path / "whole", candidate(RATES))
    assert arm.trials[0].losses == undisturbed.trials[0].losses
    assert arm.loss[-1].loss == pytest.approx(undisturbed.loss[-1].loss, abs=1e-3)
    steps.clear()
    again = run(
        tiny_base,
        tmp_path / "mine",
        candidate(RATES),
        on_progress=lambda point, _: steps.append(point.step),
    )
    assert not steps
    assert again == arm


def test_a_trial_behind_the_median_is_hopeless() -> None:
    """Optuna's pruner gives up a trial whose best loss so far is worse than that of most."""
    search = Optuna(space_of(candidate({"trials": 9, **RATES})), 0)
    for level in (1.3, 1.2, 1.1, 1.0):
        search.ask()
        assert not any(search.should_prune(tenth, level - tenth / 100) for tenth in range(1, 4))
        search.tell((level,), "finished")
    search.ask()
    assert not search.should_prune(3, 0.5)
    search.tell((0.5,), "finished")
    search.ask()
    assert [search.should_prune(tenth, 5.0) for tenth in (1, 2, 3)] == [False, True, True]


@pytest.mark.model
@pytest.mark.nightly
def test_a_pruned_trial_leaves_its_row_and_no_weights(tiny_base: Path, tmp_path: Path) -> None:
    """Some of the trials are given up before their last step; the winner never is."""
    rates = {"low": 1e-6, "high": 0.02, "log": True}
    section = candidate({"trials": 7, "training.learning_rate": rates})
    arm = run(tiny_base, tmp_path / "mine", section)
    pruned = [trial for trial in arm.trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.steps < 10 for trial in pruned)
    best = min(min(trial.losses) for trial in arm.trials if trial.state == "finished")
    assert min(point.eval_loss for point in arm.loss if point.eval_loss) == best
    ledger = json.loads((tmp_path / "mine.trials.json").read_text())
    assert [row["state"] for row in ledger] == [trial.state for trial in arm.trials]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "mine.trials.json"]


@pytest.mark.model
@pytest.mark.nightly
def test_a_diverging_trial_is_a_row_and_no_error(tiny_base: Path, tmp_path: Path) -> None:
    """It loses; only where every trial diverges is there nothing to keep."""
    wild = {"max_grad_norm": 0.0}
    section = candidate({"training.learning_rate": [1e38, 0.01]}, training=wild)
    arm = run(tiny_base, tmp_path / "mine", section)
    assert [trial.state for trial in arm.trials] == ["diverged", "finished"]
    hopeless = candidate({"training.learning_rate": [1e38, 2e38]}, training=wild)
    with pytest.raises(ModelError, match=r"no trial of candidate 'mine' ended with a loss"):
        run(tiny_base, tmp_path / "none", hopeless)
