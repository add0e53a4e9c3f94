"""The folder that a run leaves, and the lock that says which study it belongs to."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ComparisonError, InfrastructureError, StudyError
from harness.files import write_text
from harness.records import Arm, ItemKey, LossPoint, Suite, SuitePoint, TrainingData, Trial
from harness.store.data_cards import read_card

if TYPE_CHECKING:
    from harness.stats import Schedule
    from harness.study import Study

DECLARED = ("alpha", "beta", "suites", "items", "must_pass", "until_decided", "overlap")
"""What may not change once an arm has been scored: a changed declaration is another comparison."""

SHOWN = {"title", "slices"}
"""Parts of a suite's declaration that only a report shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a run's lock fixes beside its suites.

    ``schedules`` by suite where verdicts may close early, ``must_pass`` the items by suite that a
    candidate has to answer right, ``notes`` what a person should know, ``data`` the cards of what
    the candidates learnt from.
    """

    schedules: Mapping[str, "Schedule"] = field(default_factory=dict)
    must_pass: Mapping[str, Collection[ItemKey]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    data: tuple[TrainingData, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where everything of one run lies (``runs/<study>/``)."""

    path: Path

    @property
    def lock(self) -> Path:
        """The study as run: versions, seeds, declarations, hashes."""
        return self.path / "study.lock.json"

    @property
    def answers(self) -> Path:
        """The SQLite file of every answer."""
        return self.path / "answers.db"

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

    def base_path(self, study: "Study") -> str:
        """Return what to load as the base: where the run found it, or by its name."""
        return str(self.read_lock().get("base_path") or study.model_path)

    def adapter(self, candidate: str) -> Path:
        """Return the folder of a candidate's trained adapter."""
        return self.path / "adapters" / candidate

    def weights(self, arm: Arm) -> Path:
        """Return where a candidate's weights lie, also after the run folder was moved.

        Raises:
            StudyError: If they are gone.
        """
        for folder in (self.adapter(arm.name), Path(arm.path or "")):
            if any((folder / name).is_file() for name in ("adapter_config.json", "config.json")):
                return folder
        raise StudyError(
            f"a candidate's weights must still be there: {arm.name!r} has none at {arm.path}"
        )

    def samples(self, arm: str, suite: str) -> Path:
        """Return the file of one arm's scored items of one suite."""
        return self.path / "samples" / arm / f"samples_{suite}.jsonl"

    def read_lock(self) -> dict[str, Any]:
        """Return what the lock says, or an empty mapping where there is none.

        Raises:
            InfrastructureError: If the lock cannot be read.
        """
        if not self.lock.exists():
            return {}
        try:
            lock: dict[str, Any] = json.loads(self.lock.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            remedy = "move the folder away or give another --out"
            raise InfrastructureError(
                f"a run folder needs a readable lock: {self.lock}: {error}; {remedy}"
            ) from error
        return lock

    def check(self, study: "Study") -> None:
        """Refuse a folder that is not this study's, without writing anything.

        Raises:
            StudyError: If it holds another study, or other files.
        """
        lock = self.read_lock()
        if self.path.exists() and not self.path.is_dir():
            raise StudyError(f"an output folder must be a folder: {self.path} is a file")
        if not lock and self.path.exists() and any(self.path.iterdir()):
            raise StudyError(
                f"an output folder must be empty or hold an earlier run of this study: {self.path} "
                "holds other files; give another --out"
            )
        if lock and (lock["study"], lock["base"]) != (study.name, study.base.title):
            raise StudyError(
                f"{self.path} belongs to study {lock['study']!r} on base {lock['base']!r}; this is "
                f"study {study.name!r} on {study.base.title!r}; give another --out"
            )

    def claim(self, study: "Study") -> None:
        """Take the folder for this study; see `check`."""
        self.check(study)
        if not self.lock.exists():
            self.write_lock({"study": study.name, "base": study.base.title})

    def write_lock(self, lock: dict[str, Any]) -> None:
        """Replace the lock, whole or not at all."""
        write_text(self.lock, json.dumps(lock, indent=2, sort_keys=True) + "\n")

    def declare(self, declarations: dict[str, Any]) -> None:
        """Record what the comparison is, before any answer is scored.

        Raises:
            ComparisonError: If an earlier run of this folder was declared otherwise.
        """
        lock = self.read_lock()
        declarations = json.loads(json.dumps(declarations))
        if "suites" in lock and declarations["until_decided"] and not lock.get("until_decided"):
            raise ComparisonError(
                f"a run that was declared to use all items cannot be decided early: {self.lock} "
                "says so; leave --until-decided out or give another --out"
            )
        for key in DECLARED:
            declared, found = lock.get(key), declarations[key]
            if declared is None:
                continue
            if isinstance(found, dict):  # a suite may be added or left out, not changed
                shared = declared.keys() & found.keys()
                changed = [n for n in sorted(shared) if _differ(declared[n], found[n])]
            else:
                changed = [key] if declared != found else []
            if changed:
                raise ComparisonError(
                    f"{key} were declared before the first answer and may not change: "
                    f"{', '.join(changed)} differ from {self.lock}; give another --out"
                )
        for key in ("suites", "items", "must_pass"):
            declarations[key] = {**lock.get(key, {}), **declarations[key]}
        self.write_lock({**lock, **declarations})

    def declared(self) -> Declared:
        """Return what `declare` fixed beside the suites, and the notes."""
        from harness.stats import Schedule  # loads scipy

        lock = self.read_lock()
        return Declared(
            schedules={
                name: Schedule(**{**data, "cluster_sizes": tuple(data["cluster_sizes"])})
                for name, data in (lock.get("until_decided") or {}).items()
            },
            must_pass={
                name: frozenset(ItemKey(*key) for key in keys)
                for name, keys in lock.get("must_pass", {}).items()
            },
            notes=tuple(lock.get("notes", ())),
            data=tuple(
                card
                for arm in lock.get("arms", ())
                if arm["seconds"] is not None and (card := read_card(self.path, arm["name"]))
            ),
        )

    def note(self, notes: Sequence[str]) -> None:
        """Record what a person should know about how the run was made."""
        self.write_lock({**self.read_lock(), "notes": list(notes)})


def _differ(declared: Any, found: Any) -> bool:
    """Say whether two declarations decide differently; how they are shown does not matter."""
    if not isinstance(declared, dict):
        return bool(declared != found)
    keys = (declared.keys() | found.keys()) - SHOWN
    return any(declared.get(key) != found.get(key) for key in keys)


def read_arm(data: dict[str, Any]) -> Arm:
    """Return an arm from its entry in the lock."""
    trials = (Trial(**{**row, "losses": tuple(row["losses"])}) for row in data.get("trials", ()))
    curve = (LossPoint(**point) for point in data["loss"])
    watched = tuple(SuitePoint(**point) for point in data.get("watched", ()))
    read = {"loss": tuple(curve), "trials": tuple(trials), "watched": watched}
    return Arm(**{**data, **read})


def read_suite(data: dict[str, Any]) -> Suite:
    """Return a suite's declaration from its entry in the lock."""
    return Suite(**{**data, "slices": tuple(data["slices"]), "allow": tuple(data["allow"])})
