"""Atomic writes and content hashes."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from harness.errors import InfrastructureError

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")


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
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_sha256(folder: Path) -> str:
    """Return the sha256 of a folder's weight files, whatever the folder is called.

    One weight file gives that file's own sha256.
    """
    files = sorted({file for pattern in _WEIGHTS for file in folder.glob(pattern)})
    hashes = [sha256_of(file) for file in files]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
