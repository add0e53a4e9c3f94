"""Whether the models and samples of a run are still those that were scored."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import ComparisonError, InfrastructureError, StudyError
from harness.files import (
    Stamp,
    settings_sha256,
    sha256_of,
    stamp_of,
    weight_files,
    weights_sha256,
    write_text,
)
from harness.inputs import parse_json, read_input
from harness.models.fingerprint import local_paths, path_sha256
from harness.records import BASE, Arm
from harness.store.run_folder import RunFolder
from harness.store.run_lock import RunLock
from harness.study import ArmSection, Study

Sha256 = Callable[[Path], str]
"""Hashes one file."""


class KnownHashes:
    """The sha256 of large files, kept beside a run and used again while size and times stand."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[Stamp, str]] = {}
        with suppress(OSError, ValueError, TypeError, AttributeError):  # no cache, or none of ours
            for name, (size, changed, entry, sha256) in parse_json(read_input(path)).items():
                self._known[name] = ((int(size), int(changed), int(entry)), str(sha256))

    def sha256(self, file: Path) -> str:
        """Return a file's sha256."""
        name, stamp = str(file.absolute()), stamp_of(file)
        known = self._known.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        found = sha256_of(file)
        if stamp is not None:
            self._known[name] = (stamp, found)
        return found

    def save(self) -> None:
        """Keep what is known; a folder that cannot be written to goes without."""
        rows = {name: [*stamp, sha256] for name, (stamp, sha256) in self._known.items()}
        with suppress(InfrastructureError):
            write_text(self._path, json.dumps(rows, indent=1, sort_keys=True) + "\n")


def settings_of_arms(study: Study, arms: Sequence[Arm]) -> dict[str, str]:
    """Return by arm a hash of what its folder here says beside its weights."""
    folders = {arm.name: Path(arm.path) for arm in arms if arm.path is not None}
    if not study.base.elsewhere and Path(study.model_path).is_dir():
        folders[BASE] = Path(study.model_path)
    return {name: settings_sha256(folder) for name, folder in folders.items()}


def backend_files(study: Study) -> dict[str, dict[str, str]]:
    """Return by arm the content of every path here that its backend's arguments name."""
    sections = {BASE: study.base, **{one.name: one for one in study.candidates}}
    found = {
        name: {str(path): path_sha256(path) for path in _paths(study, section)}
        for name, section in sections.items()
        if section.elsewhere
    }
    return {name: files for name, files in found.items() if files}


def _paths(study: Study, section: ArmSection) -> list[Path]:
    """Return what lies here of an arm that has its own weights."""
    return [study.path(section.gguf)] if section.gguf else list(local_paths(section).values())


def check_models(folder: RunFolder, lock: RunLock, *, remember: bool = True) -> list[str]:
    """Compare the models that lie here with those that were scored; return notes.

    With ``remember`` the hashes of large files are kept in the folder.

    Raises:
        ComparisonError: If weights, settings or files of an arm are others by now.
    """
    known = KnownHashes(folder.hashes)
    absent = []
    for arm in lock.arms:
        for place, scored, sha256 in _hashed(folder, lock, arm, known.sha256):
            if place is None:
                absent.append(arm.name)
            elif (now := sha256(place)) != scored:
                raise ComparisonError(
                    f"a model must be the one that was scored: {arm.name!r} had {scored[:8]} and "
                    f"{place} has {now[:8]} now; run the study again, or put back what was scored"
                )
    if remember:
        known.save()
    names = ", ".join(dict.fromkeys(absent))
    note = f"not at hand, not checked: the weights of {names}, which these scores are of"
    return [note] if absent else []


def _hashed(
    folder: RunFolder, lock: RunLock, arm: Arm, sha256: Sha256
) -> Iterator[tuple[Path | None, str, Sha256]]:
    """Yield what was hashed of an arm: where it lies, its hash when scored, how to hash it now."""
    if arm.weights_sha256:
        place = _place(folder, lock, arm)
        yield place, arm.weights_sha256, lambda path: weights_sha256(path, sha256)
        if place and arm.name in lock.settings:
            yield place, lock.settings[arm.name], settings_sha256
    if arm.base is not None and arm.base.weights_sha256:
        own = Path(arm.base.path)
        place = own if weight_files(own) else None
        yield place, arm.base.weights_sha256, lambda path: weights_sha256(path, sha256)
    for name, scored in lock.backend_files.get(arm.name, {}).items():
        path = Path(name) if Path(name).exists() else None
        yield path, scored, lambda path: path_sha256(path, sha256)


def _place(folder: RunFolder, lock: RunLock, arm: Arm) -> Path | None:
    """Return where an arm's weights lie, None where there are none."""
    try:
        found = Path(lock.base_path) if arm.name == BASE else folder.weights(arm)
    except StudyError:
        return None
    return found if weight_files(found) else None


def check_samples(folder: RunFolder, lock: RunLock, suites: Sequence[str]) -> list[str]:
    """Refuse samples that another model wrote, or somebody by hand; return notes.

    Raises:
        ComparisonError: If a samples file is not the one that the run's last scoring wrote.
    """
    if not lock.fingerprints:
        return ["not checked: this run is of an earlier version, which kept no hashes of samples"]
    for arm in lock.arms:
        for suite in suites:
            path = folder.samples(arm.name, suite)
            written = lock.scored.get(arm.name, {}).get(suite)
            if not path.exists():
                continue  # reading it says so
            if written is None or written.fingerprint != lock.fingerprints.get(arm.name):
                raise ComparisonError(
                    f"scores must be of the model that the run declares: {path} was written before "
                    f"{arm.name!r} changed, and the run ended before it was scored again; run the "
                    "study again"
                )
            if sha256_of(path) != written.sha256:
                raise ComparisonError(
                    f"samples must be as the run wrote them: {path} is not (changed by hand, or "
                    "by a run that was ended); run the study again"
                )
    return []
