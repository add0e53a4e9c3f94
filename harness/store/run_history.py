"""What was ever declared in a run folder, so that no report hides an earlier try."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from harness.models.fingerprint import TRANSPORT
from harness.records import BASE, Arm
from harness.store.run_lock import RunLock

_SCALARS = (
    ("gate", "max_unscored"), ("base", "quantization"), ("base", "revision"),
)  # fmt: skip
"""Section and key of what a study may change and must not hide."""
_SUITE, _CANDIDATE, _MODEL = "suite", "candidate", "model of "


def history_of(earlier: RunLock, new: RunLock) -> dict[str, tuple[str, ...]]:
    """Return every value that a folder's lock has declared, oldest first, ``new``'s included."""
    known: dict[str, list[str]] = {key: list(values) for key, values in earlier.history.items()}
    for lock in (earlier, new):
        for key, value in _facts(lock):
            values = known.setdefault(key, [])
            if value not in values:
                values.append(value)
    return {key: tuple(values) for key, values in known.items()}


def changes(lock: RunLock) -> list[str]:
    """Say in one sentence each what a run declares otherwise than an earlier one in its folder."""
    now: dict[str, list[str]] = {}
    for key, value in _facts(lock):
        now.setdefault(key, []).append(value)
    return [
        sentence
        for key, values in lock.history.items()
        if (before := [value for value in values if value not in now.get(key, [])])
        for sentence in _sentences(key, before, now)
    ]


def _sentences(key: str, before: Sequence[str], now: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if key in (_SUITE, _CANDIDATE):
        for name in before:
            yield f"{key} {name!r} was declared in this folder before and is left out now"
    elif key not in now:
        return  # of a candidate that is left out: said already
    elif key.startswith(_MODEL):
        name, hashes = key.removeprefix(_MODEL), ", ".join(value[:8] for value in before)
        yield (
            f"{name!r} had other weights or arguments in this folder before ({hashes}) than now "
            f"({now[key][0][:8]})"
        )
    else:
        yield f"{key} was {', '.join(before)} in this folder before and is {now[key][0]} now"


def _facts(lock: RunLock) -> Iterator[tuple[str, str]]:
    """Yield what a lock declares: suites, candidates, their models, and what else may change."""
    if lock.declared is None:
        return
    for suite in _list(lock.study_file.get("suites")):
        yield _SUITE, str(suite.get("name"))
    for arm in lock.arms:
        if arm.name != BASE:
            yield _CANDIDATE, arm.name
        if known := _model(arm):
            yield _MODEL + arm.name, known
    yield from lock.versions.items()
    if lock.dtype:
        yield "dtype", lock.dtype
    yield "seed", str(lock.study_file.get("seed"))
    for section, key in _SCALARS:
        values = lock.study_file.get(section)
        if isinstance(values, Mapping):
            yield key, str(values.get(key))


def _model(arm: Arm) -> str:
    """Return a hash of an arm's weights, or of where it answers."""
    if arm.base is not None:
        told = [arm.base.title, arm.base.weights_sha256, arm.weights_sha256]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()
    if arm.weights_sha256 or arm.path or not arm.settings:
        return arm.weights_sha256
    asked = {key: value for key, value in arm.settings.items() if key not in TRANSPORT}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def _list(value: object) -> Sequence[Mapping[str, object]]:
    entries = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [entry for entry in entries if isinstance(entry, Mapping)]
