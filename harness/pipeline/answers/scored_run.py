"""A run whose answers are scored: all that a comparison needs, fresh or read from its folder."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

from pydantic import ValidationError

from harness.errors import StudyError
from harness.records import (
    AnswerLength,
    AnswerTime,
    Arm,
    ItemKey,
    Origin,
    Sample,
    Suite,
    TrainingData,
)
from harness.store.at_hand import check_models, check_samples
from harness.store.run_folder import RunFolder
from harness.store.run_history import changes
from harness.store.run_lock import Declarations, RunLock
from harness.store.run_origin import origin_of
from harness.store.samples import SampleReader
from harness.study import Study

Scored = Mapping[tuple[str, str], Sequence[Sample]]
"""Samples by (arm, suite)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRun:
    """What was declared, who answered, and every scored answer; ``data`` are the data cards.

    Where ``samples`` lack texts, ``lengths`` says how long they are, and ``with_texts`` reads those
    of some items again.
    """

    study: Study
    suites: tuple[Suite, ...]
    arms: tuple[Arm, ...]
    samples: Scored
    declared: Declarations
    notes: tuple[str, ...] = ()
    data: tuple[TrainingData, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    times: tuple[AnswerTime, ...] = ()
    origin: Origin = field(default_factory=Origin)
    with_texts: Callable[[Container[ItemKey]], Scored] | None = None
    lengths: Mapping[tuple[str, str], AnswerLength] = field(default_factory=dict)


def scored_run(
    folder: RunFolder,
    study: Study,
    suites: Sequence[Suite],
    arms: Sequence[Arm],
    samples: Scored,
) -> ScoredRun:
    """Join scored answers with the run's lock, which knows identical arms, and its data cards.

    Raises:
        StudyError: If nothing was declared in the folder.
    """
    lock, declared = _declared(folder)
    identical = {arm.name for arm in lock.arms if arm.identical}
    return ScoredRun(
        study=study,
        suites=tuple(suites),
        arms=tuple(replace(arm, identical=arm.name in identical) for arm in arms),
        samples=samples,
        declared=declared,
        notes=(*lock.notes, *changes(lock)),
        data=folder.cards(arms),
        versions=lock.versions,
        times=lock.times,
        origin=origin_of(lock),
    )


def read_run(
    folder: RunFolder, *, remember: bool = True, texts: frozenset[ItemKey] | None = None
) -> ScoredRun:
    """Read a scored run from its lock and samples; no model, no task is loaded.

    Without ``remember`` nothing is written, not even the hashes of large files. ``texts`` are the
    items whose texts are wanted, by default all; see `SampleReader`.

    Models that lie here are compared with those that were scored; a note names those that do not.
    The lock's ``trust_remote_code`` counts for nothing.

    Raises:
        StudyError: If the folder holds no scored run.
        ComparisonError: If models or samples are not those that were scored.
    """
    lock, declared = _declared(folder)
    study, suites = opened_study(folder)
    _require_finished(folder, lock, [suite.name for suite in suites])
    notes = check_samples(folder, lock, [suite.name for suite in suites])
    notes += check_models(folder, lock, remember=remember)
    if texts is not None:
        texts |= frozenset(chain(*declared.must_pass.values()))  # they are named by their rows
    reader = SampleReader(texts)
    samples = {
        (arm.name, suite.name): reader.read(folder.samples(arm.name, suite.name))
        for arm in lock.arms
        for suite in suites
    }
    run = scored_run(folder, study, suites, lock.arms, samples)
    run = replace(run, notes=(*run.notes, *notes))
    if texts is None:
        return run
    again = partial(_with_texts, folder, samples)
    return replace(run, with_texts=again, lengths=reader.lengths)


def opened_study(folder: RunFolder) -> tuple[Study, list[Suite]]:
    """Return the study that a run folder holds, and its suites as they were declared.

    Raises:
        StudyError: If the folder holds no scored run.
    """
    lock, declared = _declared(folder)
    try:
        study = Study.model_validate({**lock.study_file, "folder": folder.path})
        suites = [declared.suites[section.name] for section in study.suites]
        # whoever hands a run folder over must not decide whose code runs here
        untrusted = study.base.model_copy(update={"trust_remote_code": False})
        return study.model_copy(update={"base": untrusted}), suites
    except (KeyError, ValidationError) as error:
        raise StudyError(
            f"a run folder must be of this version: {folder.lock_file} is not; run the study again"
        ) from error


def _with_texts(folder: RunFolder, samples: Scored, wanted: Container[ItemKey]) -> Scored:
    """Read the lines of some items again, with their texts."""
    reader = SampleReader()
    return {
        (arm, suite): reader.read(
            folder.samples(arm, suite),
            lines={n for n, sample in enumerate(found) if sample.item.key in wanted},
        )
        for (arm, suite), found in samples.items()
    }


def _declared(folder: RunFolder) -> tuple[RunLock, Declarations]:
    lock = folder.read_lock()
    if lock is None:
        raise StudyError(f"a run folder must hold a scored run: {folder.path} does not; run first")
    if lock.declared is None:
        raise _unfinished(folder, lock)
    return lock, lock.declared


def _require_finished(folder: RunFolder, lock: RunLock, suites: Sequence[str]) -> None:
    """Refuse a run that ended before all was scored; a file that was scored and is gone is another.

    Raises:
        StudyError: With the command that goes on with it.
    """
    for arm in lock.arms:
        scored = lock.scored.get(arm.name, {})
        if any(
            name not in scored and not folder.samples(arm.name, name).exists() for name in suites
        ):
            raise _unfinished(folder, lock)


def _unfinished(folder: RunFolder, lock: RunLock) -> StudyError:
    command = origin_of(lock).command or "harness run STUDY"
    return StudyError(f"{folder.path} is not finished; `{command}` goes on with it")
