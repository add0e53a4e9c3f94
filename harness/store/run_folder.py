"""The folder that a run leaves, and the lock that says which study it belongs to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ComparisonError, InfrastructureError, StudyError
from harness.files import write_text
from harness.records import Arm, LossPoint, Suite

if TYPE_CHECKING:
    from harness.study import Study

DECLARED = ("alpha", "beta", "suites", "items")
"""What may not change once an arm has been scored: a changed declaration is another comparison."""


SHOWN = {"title", "slices"}
"""Parts of a suite's declaration that only a report shows."""


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

    def adapter(self, candidate: str) -> Path:
        """Return the folder of a candidate's trained adapter."""
        return self.path / "adapters" / candidate

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
        if lock and (lock["study"], lock["base"]) != (study.name, study.base.model):
            raise StudyError(
                f"{self.path} belongs to study {lock['study']!r} on base {lock['base']!r}; this is "
                f"study {study.name!r} on {study.base.model!r}; give another --out"
            )

    def claim(self, study: "Study") -> None:
        """Take the folder for this study; see `check`."""
        self.check(study)
        if not self.lock.exists():
            self.write_lock({"study": study.name, "base": study.base.model})

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
        for key in ("suites", "items"):
            declarations[key] = {**lock.get(key, {}), **declarations[key]}
        self.write_lock({**lock, **declarations})

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
    return Arm(**{**data, "loss": tuple(LossPoint(**point) for point in data["loss"])})


def read_suite(data: dict[str, Any]) -> Suite:
    """Return a suite's declaration from its entry in the lock."""
    return Suite(**{**data, "slices": tuple(data["slices"]), "allow": tuple(data["allow"])})
