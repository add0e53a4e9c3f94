"""Atomic writes and content hashes."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from harness.errors import InfrastructureError

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")
_SETTINGS = (
    "config.json", "generation_config.json", "adapter_config.json", "*.index.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "*.model", "*.jinja", "*.py",
)  # fmt: skip
_VOLATILE = frozenset(
    {
        "transformers_version", "_name_or_path", "name_or_path", "base_model_name_or_path",
        "inference_mode", "peft_version",
    }
)  # fmt: skip
"""What libraries write into a configuration that changes no answer."""

_SETTLED = 2_000_000_000
"""Nanoseconds after which a change of a file cannot hide behind the clock's granularity."""

Stamp = tuple[int, int, int]
"""A file's size, and when its content and its entry were changed last, in nanoseconds."""


def write_text(path: Path, text: str) -> None:
    """Write a file atomically; see `write_lines`."""
    write_lines(path, (text,))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write pieces of text to a temporary file, then move it into place.

    Raises:
        InfrastructureError: If the disk is full or the folder is not writable.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w", encoding="utf-8", newline="\n") as out:
                out.writelines(lines)
            os.replace(part, path)  # noqa: PTH105 - the atomic rename is the point
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InfrastructureError(f"cannot write {path}: {error.strerror or error}") from error


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes; read once in a process while size and times stand."""
    stamp = stamp_of(path)
    return _sha256_at(path, stamp) if stamp else _read_sha256(path)


def stamp_of(path: Path) -> Stamp | None:
    """Return what stands while a file is unchanged, None where it was changed a moment ago."""
    found = path.stat()
    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _SETTLED:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


@cache
def _sha256_at(path: Path, stamp: Stamp) -> str:  # noqa: ARG001 - a part of the key
    return _read_sha256(path)


def _read_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """Return a folder's weight files, in the order of their names."""
    return sorted({file for pattern in _WEIGHTS for file in folder.glob(pattern)})


def weights_sha256(folder: Path, sha256: Callable[[Path], str] = sha256_of) -> str:
    """Return the sha256 of a folder's weight files, whatever the folder is called.

    One weight file gives that file's own sha256.

    Args:
        folder: Of a model or an adapter.
        sha256: Hashes one file.
    """
    hashes = [sha256(file) for file in weight_files(folder)]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()


def settings_sha256(folder: Path) -> str:
    """Return a sha256 of what a model's folder says beside its weights.

    Configuration, settings of generation, tokenizer, chat template and code; not what libraries
    write about themselves, and not the order or layout of JSON.
    """
    files = sorted({file for pattern in _SETTINGS for file in folder.glob(pattern)})
    said = json.dumps({file.name: _said(file) for file in files}, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _said(file: Path) -> object:
    if file.suffix != ".json" or file.name in ("tokenizer.json", "vocab.json"):
        return sha256_of(file)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return sha256_of(file)
    if not isinstance(data, dict):
        return data
    return {key: value for key, value in data.items() if key not in _VOLATILE}
