"""The folder that a run leaves: where its files are, and which study it belongs to."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ComparisonError, HarnessError, StudyError
from harness.files import IN_USE, alone, inside, refuse_links
from harness.records import AnswerTime, Arm, TrainingData
from harness.store.answer_times import added_up
from harness.store.data_cards import read_card
from harness.store.run_history import history_of
from harness.store.run_lock import (
    Declarations,
    RunLock,
    ScoredFile,
    merge_declarations,
    read_lock,
    write_lock,
)
from harness.store.shard_file import ENDING, ShardFile

if TYPE_CHECKING:
    from harness.models.scoring_dtype import ScoringDtype
    from harness.study import Study


SHARDS = "answers"

ELSEWHERE = "trained elsewhere"
"""The method of a candidate that the study names by its folder."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where everything of one run lies (``runs/<study>/``); it may come from a stranger.

    Raises:
        StudyError: If a link in it leads out of it, or a name of something in it is a path.
    """

    path: Path

    def __post_init__(self) -> None:
        if self.lock_file.exists():
            refuse_links(self.path)

    @property
    def lock_file(self) -> Path:
        """The study as run: versions, seeds, declarations, hashes."""
        return self.path / "study.lock.json"

    @property
    def answers(self) -> Path:
        """The SQLite file of every answer."""
        return self.path / "answers.db"

    @property
    def shards(self) -> Path:
        """The files of several processes that answer, each its own; see `shard_file`."""
        return self.path / SHARDS

    @property
    def hashes(self) -> Path:
        """The hashes of large files, used again while these stand."""
        return self.path / "hashes.json"

    @property
    def review(self) -> Path:
        """Sheets for raters, and the key to them."""
        return self.path / "review"

    @property
    def aa(self) -> Path:
        """The base against itself: the report and what moved."""
        return self.path / "aa"

    @property
    def baseline(self) -> Path:
        """The comparison with a baseline."""
        return self.path / "against_baseline"

    @property
    def chats(self) -> Path:
        """Transcripts of conversations with the arms."""
        return self.path / "chats"

    def adapter(self, candidate: str) -> Path:
        """Return the folder of a candidate's trained adapter."""
        return inside(self.path, "adapters", candidate)

    def weights(self, arm: Arm) -> Path:
        """Return where a candidate's weights lie, also after the run folder was moved.

        Those that were trained elsewhere lie where the study says, whatever was trained here under
        the same name before.

        Raises:
            StudyError: If they are gone.
        """
        name = arm.form_of if arm.form else arm.name
        trained_here = [] if arm.method.startswith(ELSEWHERE) else [self.adapter(name)]
        for folder in (*trained_here, Path(arm.path or "")):
            if any((folder / name).is_file() for name in ("adapter_config.json", "config.json")):
                return folder
        raise StudyError(
            f"a candidate's weights must still be there: {arm.name!r} has none at {arm.path}"
        )

    def samples(self, arm: str, suite: str) -> Path:
        """Return the file of one arm's scored items of one suite."""
        return inside(self.path, "samples", arm, f"samples_{suite}.jsonl")

    def held(self) -> AbstractContextManager[None]:
        """Keep every other command that writes out of the folder; see `files.alone`."""
        return alone(self.path)

    @contextmanager
    def held_for(self, candidates: Collection[str]) -> Iterator[None]:
        """Keep others out of some candidates, and out of the folder who wants it alone.

        Others may hold other candidates of the same folder.
        """
        with ExitStack() as held:
            held.enter_context(alone(self.path, shared=True))
            for name in sorted(set(candidates)):
                held.enter_context(alone(self.path, inside(self.path, f"{IN_USE}.{name}").name))
            yield

    def files(self) -> Iterator[Path]:
        """Yield what a comparison of this run is made from."""
        yield from (self.lock_file, self.answers)
        yield from self.path.glob("samples/*/samples_*.jsonl")

    def read_lock(self) -> RunLock | None:
        """Return the run's lock, or None where there is none; see `run_lock.read_lock`."""
        return read_lock(self.lock_file)

    def day(self) -> date:
        """Return the day on which the run was begun: the lock's, else its shards', else today."""
        lock = self.read_lock()
        known = lock.date if lock else None
        for file in () if known else self.shards.glob(f"*{ENDING}"):
            with suppress(HarnessError, ValueError):  # whoever merges says what is wrong with it
                known = date.fromisoformat(ShardFile.read(file).origin.day)
                break
        return known or datetime.now().astimezone().date()

    def measures(self) -> dict[str, str]:
        """Return by suite what conversations were declared to be scored by."""
        lock = self.read_lock()
        suites = lock.declared.suites if lock and lock.declared else {}
        return {name: suite.measure for name, suite in suites.items() if suite.measure}

    def base_path(self, study: "Study") -> str:
        """Return what to load as the base: where the run found it, or by its name."""
        lock = self.read_lock()
        return (lock.base_path if lock else "") or study.model_path

    def cards(self, arms: Sequence[Arm]) -> tuple[TrainingData, ...]:
        """Return the data cards of the arms that were trained in this run."""
        trained = [arm.name for arm in arms if arm.seconds is not None]
        return tuple(card for name in trained if (card := read_card(self.path, name)))

    def check(self, study: "Study") -> None:
        """Refuse a folder that is not this study's, without writing anything.

        Raises:
            StudyError: If it holds another study, or other files.
        """
        lock = self.read_lock()
        if self.path.exists() and not self.path.is_dir():
            raise StudyError(f"an output folder must be a folder: {self.path} is a file")
        others = [] if lock or not self.path.exists() else self.path.iterdir()
        if (self.path / IN_USE).is_symlink():
            refuse_links(self.path)
        if any(each.name != SHARDS and not each.name.startswith(IN_USE) for each in others):
            raise StudyError(
                f"an output folder must be empty or hold an earlier run of this study: {self.path} "
                "holds other files; give another --out"
            )
        if lock and (lock.study, lock.base) != (study.name, study.base.title):
            raise StudyError(
                f"{self.path} belongs to study {lock.study!r} on base {lock.base!r}; this is "
                f"study {study.name!r} on {study.base.title!r}; give another --out"
            )

    def check_dtype(self, precision: "ScoringDtype") -> None:
        """Refuse to score in another precision than an earlier run of this folder.

        Raises:
            ComparisonError: If the folder was begun in another one; its answers are kept.
        """
        lock = self.read_lock()
        begun = lock.dtype if lock else None
        if begun is not None and begun != precision.dtype:
            raise ComparisonError(
                f"a run is scored in one precision: {self.path} was begun in {begun} and would now "
                f"be {precision.sentence}; set 'dtype: {begun}' under 'base', go on where it was "
                "begun, or give another --out"
            )

    def claim(self, study: "Study") -> None:
        """Take the folder for this study; see `check`."""
        self.check(study)
        if not self.lock_file.exists():
            lock = RunLock(study=study.name, base=study.base.title, date=study.base.date)
            write_lock(self.lock_file, lock)

    def declare(
        self,
        study: "Study",
        declared: Declarations,
        *,
        arms: Sequence[Arm],
        versions: Mapping[str, str],
        fingerprints: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        backend_files: Mapping[str, Mapping[str, str]] | None = None,
    ) -> RunLock:
        """Record what the comparison is, before any answer is scored; return the whole lock.

        Args:
            study: The study as it is run.
            declared: What may not change.
            arms: Everything that answers.
            versions: Of the parts that can change a number.
            fingerprints: What each arm's answers depend on; see `run_lock.RunLock`.
            settings: What each arm's folder says beside its weights.
            backend_files: What each arm's backend reads here.

        Raises:
            ComparisonError: If an earlier run of this folder was declared otherwise.
        """
        earlier = self.read_lock() or RunLock(study=study.name, base=study.base.title)
        lock = replace(
            earlier,
            declared=merge_declarations(earlier.declared, declared, lock_file=self.lock_file),
            arms=tuple(arms),
            versions=versions,
            base_path=study.model_path,
            study_file=study.model_dump(mode="json"),
            file=study.file,
            date=study.base.date,
            fingerprints=fingerprints or {},
            settings=settings or {},
            backend_files=backend_files or {},
        )
        lock = replace(lock, history=history_of(earlier, lock))
        write_lock(self.lock_file, lock)
        return lock

    def mark_identical(self, names: Collection[str]) -> None:
        """Record in the lock which arms are proven to give the base's own logits."""
        lock = self.read_lock()
        if lock is not None:
            arms = tuple(replace(arm, identical=arm.name in names) for arm in lock.arms)
            write_lock(self.lock_file, replace(lock, arms=arms))

    def seal(self, scored: Mapping[str, Mapping[str, ScoredFile]]) -> RunLock:
        """Record which samples a scoring has written; return the whole lock.

        Raises:
            StudyError: If no study has claimed the folder.
        """
        return self._record(scored=scored)

    def clock(self, times: Sequence[AnswerTime]) -> RunLock:
        """Add how long answering took this time; return the whole lock.

        Raises:
            StudyError: If no study has claimed the folder.
        """
        lock = self.read_lock()
        return self._record(times=added_up([*(lock.times if lock else ()), *times]))

    def note(self, notes: Sequence[str]) -> RunLock:
        """Record what a person should know about how the run was made; return the whole lock.

        Raises:
            StudyError: If no study has claimed the folder.
        """
        return self._record(notes=tuple(notes))

    def _record(self, **known: object) -> RunLock:
        lock = self.read_lock()
        if lock is None:
            raise StudyError(f"a run folder must belong to a study: {self.path} has no lock")
        lock = replace(lock, **known)  # type: ignore[arg-type]
        write_lock(self.lock_file, lock)
        return lock
