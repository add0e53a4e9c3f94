"""Hyperparameter sweeps: trials of one candidate, of which the lowest validation loss wins.

A trial leaves one entry in ``<candidate>.trials.json``; only the best one's weights are saved. A
trial that is in the file is not trained again.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from harness.errors import DivergedError, HarnessError, ModelError
from harness.files import write_text
from harness.inputs import parse_json, read_input
from harness.records import Arm, LossPoint, Trial
from harness.study import CandidateSection
from harness.training import distributed
from harness.training.config.search_space import Choice, Grid, Optuna, Search, chosen, space_of

Train = Callable[[CandidateSection, Path, Callable[[LossPoint, int], None]], Arm]
"""Trains a candidate into a folder, reporting each point of the loss curve and the steps in all."""


class _PrunedError(HarnessError):
    """A trial is pruned."""


def best_of(
    candidate: CandidateSection,
    train: Train,
    *,
    out: Path,
    seed: int,
    fingerprint_of: Callable[[CandidateSection], str],
    on_progress: Callable[[LossPoint, int], None] | None,
) -> Arm:
    """Train every trial of a candidate's sweep that is not in the file yet; keep the best.

    Args:
        candidate: A candidate with a ``sweep``.
        train: Trains one choice, or returns the arm that an earlier training left.
        out: The winner's folder.
        seed: Of Optuna's sampler.
        fingerprint_of: The fingerprint of one choice's training.
        on_progress: Called with points whose step counts through all trials.

    Raises:
        ModelError: If no trial ended with a loss.
    """
    space = space_of(candidate)
    search: Search = Optuna(space, seed) if space.trials else Grid(space)
    ledger = out.with_name(f"{out.name}.trials.json")
    best = out.with_name(f".{out.name}.best")
    known = _read(ledger)
    trials: list[Trial] = []
    report = on_progress or (lambda _point, _steps: None)
    for number in range(space.size):
        choice = search.ask()
        section = chosen(candidate, choice)
        fingerprint = fingerprint_of(section)
        if fingerprint not in known:
            running = _Running(search, report, number, space.size)
            folder = out.with_name(f".{out.name}.trial")
            known[fingerprint] = _try(section, train, folder, running, choice)
            distributed.wait()  # all have read what the first is about to move
            trials.append(replace(known[fingerprint], number=number))
            if distributed.is_first():
                if _winner(trials) is trials[-1]:
                    shutil.rmtree(best, ignore_errors=True)
                    folder.replace(best)
                shutil.rmtree(folder, ignore_errors=True)
                _write(ledger, known)
            distributed.wait()
        else:
            trials.append(replace(known[fingerprint], number=number, choice=dict(choice)))
        search.tell(trials[-1].losses, trials[-1].state)
    winner = _winner(trials)
    if winner is None:
        raise ModelError(
            f"no trial of candidate {candidate.name!r} ended with a loss: all of {len(trials)} "
            "diverged; lower the learning rates of its sweep"
        )
    if distributed.is_first() and best.is_dir():
        shutil.rmtree(out, ignore_errors=True)
        best.replace(out)
    distributed.wait()
    arm = train(chosen(candidate, winner.choice), out, report)
    return replace(arm, trials=tuple(trials))


class _Running:
    """Reports one trial's progress within the sweep, and prunes it where the search says so."""

    def __init__(
        self, search: Search, report: Callable[[LossPoint, int], None], number: int, total: int
    ) -> None:
        self._search, self._report, self._number, self._total = search, report, number, total
        self.losses: list[float] = []
        self.steps = 0

    def __call__(self, point: LossPoint, steps: int) -> None:
        self.steps = point.step
        self._report(replace(point, step=self._number * steps + point.step), self._total * steps)
        if point.eval_loss is not None:
            self.losses.append(point.eval_loss)
            if self._search.should_prune(round(10 * point.step / steps), point.eval_loss):
                raise _PrunedError


def _try(
    section: CandidateSection, train: Train, folder: Path, running: _Running, choice: Choice
) -> Trial:
    started = time.monotonic()
    try:
        arm = train(section, folder, running)
    except (_PrunedError, DivergedError) as error:
        state = "pruned" if isinstance(error, _PrunedError) else "diverged"
        distributed.wait()
        if distributed.is_first():
            shutil.rmtree(folder.with_name(f".{folder.name}.training"), ignore_errors=True)
        losses, steps = tuple(running.losses), running.steps
    else:
        state = "finished"
        losses = tuple(point.eval_loss for point in arm.loss if point.eval_loss is not None)
        steps = arm.loss[-1].step
    return Trial(
        number=0,
        choice=dict(choice),
        state=state,
        losses=losses,
        steps=steps,
        seconds=round(time.monotonic() - started, 2),
    )


def _winner(trials: Sequence[Trial]) -> Trial | None:
    """Return the finished trial with the lowest validation loss, the earlier one of two alike."""
    finished = [trial for trial in trials if trial.state == "finished" and trial.losses]
    return min(finished, key=lambda trial: min(trial.losses), default=None)


def _read(ledger: Path) -> dict[str, Trial]:
    try:
        rows = parse_json(read_input(ledger))
        return {
            row.pop("fingerprint"): Trial(**{**row, "losses": tuple(row["losses"])}) for row in rows
        }
    except (OSError, ValueError, TypeError, KeyError):
        return {}  # not there or of another version: all trials are trained


def _write(ledger: Path, known: dict[str, Trial]) -> None:
    rows = [{"fingerprint": key, **asdict(trial)} for key, trial in known.items()]
    write_text(ledger, json.dumps(rows, indent=1, default=str) + "\n")
