"""The lock of a run folder, ``study.lock.json``: what was declared before the first answer.

Only this module knows the file's keys. Format 1 is the same file without the key ``format``;
formats 1 and 2 lack what tells one model and one set of samples from another (``fingerprints``
and what follows it).
"""

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.errors import ComparisonError, InfrastructureError, StudyError
from harness.files import write_text
from harness.inputs import parse_json, read_input
from harness.records import AnswerTime, Arm, Document, ItemKey, Suite
from harness.stats import Schedule
from harness.store.format_version import require_known

FORMAT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """What may not change once an arm has been scored: a changed declaration is another comparison.

    ``items`` has the sha256 of each suite's items and token ids, ``must_pass`` the items of each
    suite that a candidate has to answer right, ``schedules`` the looks of each suite that may be
    decided early (none: all items are used), ``overlap`` what becomes of test items that occur in
    training rows.
    """

    alpha: float
    beta: float
    suites: Mapping[str, Suite]
    items: Mapping[str, str]
    must_pass: Mapping[str, tuple[ItemKey, ...]] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    overlap: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredFile:
    """A samples file as it was written: by which arm, told by its fingerprint, and its sha256."""

    fingerprint: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLock:
    """The contents of a run folder's lock.

    ``study`` and ``base`` name what the folder belongs to, ``date`` is the day that chat templates
    write, None where they write none; the rest is known once the run is declared: ``study_file`` is
    the whole study, ``base_path`` what the base was loaded from, ``notes`` what a person should
    know, ``file`` the name of the file that the study was read from, ``times`` how long answering
    took.

    By arm: ``fingerprints`` are of everything that can change an answer, ``settings`` of what its
    folder says beside its weights, ``backend_files`` of the local paths that its backend's
    arguments name, ``scored`` of its samples by suite. ``history`` has every value that was ever
    declared in this folder.
    """

    study: str
    base: str
    date: datetime.date | None = None
    declared: Declarations | None = None
    arms: tuple[Arm, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    base_path: str = ""
    study_file: Document = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    file: str = ""
    times: tuple[AnswerTime, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    backend_files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    scored: Mapping[str, Mapping[str, ScoredFile]] = field(default_factory=dict)
    history: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def dtype(self) -> str | None:
        """The precision that weights loaded here are scored in; None where there are none yet."""
        base = self.study_file.get("base")
        known = base if isinstance(base, Mapping) and not base.get("backend") else {}
        return str(known["dtype"]) if "dtype" in known else None


def merge_declarations(
    earlier: Declarations | None, new: Declarations, *, lock_file: Path
) -> Declarations:
    """Return what holds after ``new`` is declared in a folder: a suite may be added or left out.

    Raises:
        ComparisonError: If something was declared otherwise before.
    """
    if earlier is None:
        return new
    if new.schedules and not earlier.schedules:
        raise ComparisonError(
            f"a run that was declared to use all items cannot be decided early: {lock_file} "
            "says so; leave --until-decided out or give another --out"
        )
    for key, changed in _changes(earlier, new).items():
        if changed:
            raise ComparisonError(
                f"{key} were declared before the first answer and may not change: "
                f"{', '.join(changed)} differ from {lock_file}; give another --out"
            )
    return replace(
        new,
        suites={**earlier.suites, **new.suites},
        items={**earlier.items, **new.items},
        must_pass={**earlier.must_pass, **new.must_pass},
    )


def _changes(earlier: Declarations, new: Declarations) -> dict[str, list[str]]:
    """Return by the lock's keys what is declared otherwise than before."""
    return {
        "alpha": ["alpha"] if earlier.alpha != new.alpha else [],
        "beta": ["beta"] if earlier.beta != new.beta else [],
        "suites": _changed(_deciding(earlier.suites), _deciding(new.suites)),
        "items": _changed(earlier.items, new.items),
        "must_pass": _changed(earlier.must_pass, new.must_pass),
        "until_decided": _changed(earlier.schedules, new.schedules),
        "overlap": ["overlap"] if earlier.overlap not in (None, new.overlap) else [],
    }


def _deciding(suites: Mapping[str, Suite]) -> dict[str, Suite]:
    """Return suites without what only a report shows."""
    return {
        name: replace(suite, title="", slices=(), target=False, agreement="")
        for name, suite in suites.items()
    }


def _changed(earlier: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return [n for n in sorted(earlier.keys() & new.keys()) if earlier[n] != new[n]]


def read_lock(path: Path) -> RunLock | None:
    """Read a lock; None where there is none.

    Raises:
        InfrastructureError: If the lock cannot be read.
        DataError: If a newer version of this package wrote it.
        StudyError: If it holds something else than a lock of this or an earlier format.
    """
    if not path.exists():
        return None
    try:
        data = dict(parse_json(read_input(path)))
    except (OSError, ValueError, TypeError) as error:
        raise InfrastructureError(
            f"a run folder needs a readable lock: {path}: {error}; move the folder away or give "
            "another --out"
        ) from error
    require_known(data.pop("format", 1), FORMAT, what="a run's lock", path=path)
    _forget_idle_dtype(data.get("study_file"))
    try:
        data["schedules"] = data.pop("until_decided", None) or {}
        declared = TypeAdapter(Declarations).validate_python(data) if "suites" in data else None
        return TypeAdapter(RunLock).validate_python({**data, "declared": declared})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StudyError(
            f"a run folder's lock must hold what a run declares: {path}: {where}: {first['msg']}; "
            "move the folder away or give another --out, and run the study again"
        ) from error


def _forget_idle_dtype(study_file: object) -> None:
    """Drop the precision of endpoints, which earlier versions kept although it meant nothing."""
    study = study_file if isinstance(study_file, dict) else {}
    for section in (study.get("base"), (study.get("review") or {}).get("judge")):
        if isinstance(section, dict) and section.get("backend"):
            section.pop("dtype", None)


def write_lock(path: Path, lock: RunLock) -> None:
    """Replace the lock, whole or not at all.

    Raises:
        InfrastructureError: If the file cannot be written.
    """
    data: dict[str, object] = {
        "format": FORMAT,
        "study": lock.study,
        "base": lock.base,
        "date": lock.date.isoformat() if lock.date else None,
        "notes": lock.notes,
    }
    if declared := lock.declared:
        data |= {
            "alpha": declared.alpha,
            "beta": declared.beta,
            "suites": {name: asdict(suite) for name, suite in declared.suites.items()},
            "items": declared.items,
            "must_pass": declared.must_pass,
            "until_decided": {name: asdict(looks) for name, looks in declared.schedules.items()},
            "overlap": declared.overlap,
            "arms": [asdict(arm) for arm in lock.arms],
            "versions": lock.versions,
            "base_path": lock.base_path,
            "study_file": lock.study_file,
            "file": lock.file,
            "times": [asdict(time) for time in lock.times],
            "fingerprints": lock.fingerprints,
            "settings": lock.settings,
            "backend_files": lock.backend_files,
            "scored": {
                arm: {suite: asdict(file) for suite, file in files.items()}
                for arm, files in lock.scored.items()
            },
            "history": lock.history,
        }
    write_text(path, json.dumps(data, indent=2, sort_keys=True) + "\n")
