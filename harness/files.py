"""Writes that are whole or absent, one command at a time in a folder, and content hashes."""

import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO
from uuid import uuid4

from harness.errors import InfrastructureError, StudyError

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


IN_USE = ".in_use"
"""The file by which a command keeps others out of a folder; it stays there and says nothing."""

_PART = "part"
_TAKEN = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
_KINDS = (
    (stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"), (stat.S_ISSOCK, "a socket"),
)  # fmt: skip
_FULL = ("No space left", "quota exceeded", "File too large", "PytorchStreamWriter failed")
"""What libraries that write files by themselves say when they cannot."""


def check_output(path: Path, *, inputs: Iterable[Path] = ()) -> None:
    """Refuse a place where no file may be written, before any work is done for it.

    A device or a pipe would be replaced by a file, a link could lead anywhere, and what a command
    reads must be there afterwards.

    Args:
        path: Where a file is to be written.
        inputs: Files that the command reads.

    Raises:
        StudyError: If what is there is no regular file, or one of the inputs.
    """
    if str(path) == "-":
        raise StudyError("an output is a file, there whole or not at all: found '-'; name a file")
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # not there; or writing it says what is wrong
    if not stat.S_ISREG(mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "something else")
        raise StudyError(
            f"an output must be a new or a regular file: {path} is {kind}; name another file"
        )
    for each in inputs:
        if each.exists() and each.samefile(path):
            raise StudyError(
                f"an output must not replace what the command reads: {path} is an input; name "
                "another file"
            )


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write a text file, whole or not at all; see `write_bytes`."""
    write_lines(path, (text,), private=private)


def write_lines(path: Path, lines: Iterable[str], *, private: bool = False) -> None:
    r"""Write pieces of text as UTF-8, whole or not at all; see `write_bytes`.

    Half a surrogate pair, which is no text, becomes its escape (the letters ``\ud83d``): in JSON
    that is the same string again.
    """
    encoded = (line.encode("utf-8", "backslashreplace") for line in lines)
    write_bytes(path, encoded, private=private)


def json_line(value: object, *, default: Callable[[object], object] | None = None) -> str:
    """Return a value as one line of JSON that every program reads: what is no number is null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=default)
    except ValueError:
        told = json.loads(json.dumps(value, default=default), parse_constant=lambda _: None)
        text = json.dumps(told, ensure_ascii=False)
    return text + "\n"


def write_bytes(path: Path, pieces: Iterable[bytes], *, private: bool = False) -> None:
    """Write a file beside its place, make sure that it is on the disk, then move it there.

    Args:
        path: Where it goes.
        pieces: What it holds.
        private: Whether only its owner may read it, from its first byte on.

    Raises:
        StudyError: If what is there is no regular file.
        InfrastructureError: If the disk is full or the folder is not writable; what was there
            before still is.
    """
    check_output(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path)
        try:
            with open(part, "xb", opener=_mine if private else None) as out:
                _locked(out)
                out.writelines(pieces)
                out.flush()
                os.fsync(out.fileno())
            os.replace(part, path)  # noqa: PTH105 - the atomic rename is the point
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _mine(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a hidden folder that becomes ``path`` when the block ends well, else is removed.

    Raises:
        StudyError: If something else than an empty folder is there.
        InfrastructureError: If the block could not write, or the folder not be moved.
    """
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise StudyError(f"an output needs a new or empty folder: {path} is not; name another")
    with explained(path):
        part = _part_of(path)
        part.mkdir(parents=True)
        try:
            with alone(part):
                yield part
                for file in part.rglob("*"):
                    if file.is_file():
                        sync(file)
            (part / IN_USE).unlink()
            if path.exists():
                path.rmdir()
            part.replace(path)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


@contextmanager
def kept_until_whole(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Yield a hidden file that becomes ``path`` when the block ends well, and is kept if it fails.

    The next call with the same name gets it with what it holds: for work that goes on from there.

    Args:
        path: Where the whole file goes.
        name: Of what is written: whatever would make it another file is told by it.

    Raises:
        InfrastructureError: If another command writes it now, or the folder is not writable.
    """
    check_output(path)
    start, end = f".{path.name[:64]}.", ".kept"
    part = path.with_name(f"{start}{name}{end}")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("a+b")
    with file:
        if _locked(file) is False or not _is_at(file, part):
            raise InfrastructureError(f"another command writes {path} now: wait for its end")
        try:
            yield file
            with explained(path):
                file.flush()
                os.fsync(file.fileno())
                if sys.platform == "win32":
                    file.close()  # nothing that is open can be moved there
                os.replace(part, path)  # noqa: PTH105 - the atomic rename is the point
        except BaseException:
            with suppress(OSError):  # what could not be written cannot be now: it was said
                file.close()
            with suppress(OSError):
                if not part.stat().st_size:
                    part.unlink()
            raise
    for old in path.parent.iterdir():
        if old.name.startswith(start) and old.name.endswith(end) and _is_abandoned(old):
            old.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path, name: str = IN_USE, *, shared: bool = False) -> Iterator[None]:
    """Keep every other command that asks for a folder out of it; ends with the process, if killed.

    Args:
        folder: Where the command works; it is made if it does not exist.
        name: Of the file that stands for what is asked for: all of the folder, or a part.
        shared: Let those in that share it, too, and keep out who wants it alone.

    Raises:
        InfrastructureError: If another command is at work there, or the folder is not writable.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / name).open("ab")
    with file:
        if _locked(file, shared=shared) is False:
            raise InfrastructureError(
                f"one command at a time may work in a folder: another is at work in {folder}; wait "
                "for its end, or give another --out"
            )
        yield


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one sentence.

    Raises:
        InfrastructureError: Naming the path and the reason.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise _cannot_write(path, reason) from error
    except Exception as error:
        said = str(error).split("\n")
        reason = next((line for line in said if any(words in line for words in _FULL)), "")
        if not reason:
            raise
        raise _cannot_write(path, reason) from error


def _cannot_write(path: Path, reason: str) -> InfrastructureError:
    return InfrastructureError(
        f"cannot write {path}: {reason}; what was there before is kept: free space, or choose "
        "another place"
    )


def _part_of(path: Path) -> Path:
    """Return a name beside a path that no other process uses; remove what killed ones left."""
    start, end = f".{path.name[:64]}.", f".{_PART}"
    for old in path.parent.iterdir() if path.parent.is_dir() else ():
        if old.name.startswith(start) and old.name.endswith(end) and _is_abandoned(old):
            shutil.rmtree(old, ignore_errors=True)
            old.unlink(missing_ok=True)
    return path.with_name(f"{start}{uuid4().hex[:12]}{end}")


def _is_abandoned(part: Path) -> bool:
    if part.is_symlink():
        return False
    with suppress(OSError), (part / IN_USE if part.is_dir() else part).open("rb") as file:
        return _locked(file) is True
    return False


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Say whether an open file is still where it was opened: another may have moved it."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


def _locked(file: IO[bytes], *, shared: bool = False) -> bool | None:
    """Lock an open file until it is closed or its process ends.

    Returns:
        False where another process has it, None where the file system knows no locks, or (on
        Windows) none that are shared.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            if shared:
                return None

            file.seek(1 << 30)  # beyond what anybody reads
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _TAKEN else None
    return True


def sync(path: Path) -> None:
    """Make sure that a file or a folder's entries outlive a loss of power, where that works."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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


def inside(folder: Path, *names: str) -> Path:
    """Return what lies in a folder under names that a file gave, each of which must be only a name.

    Args:
        folder: Of a run, or below it.
        names: Of folders, the file's last.

    Raises:
        StudyError: If one is a path: absolute, with separators or a drive, or ``..``.
    """
    for name in names:
        if name in ("", ".", "..") or any(sign in name for sign in "/\\:\0"):
            raise StudyError(
                f"what lies in a folder must be called by a name, not a path: found {name!r} for "
                f"something in {folder}; the file that says so was not written by a run"
            )
    return folder.joinpath(*names)


def refuse_links(folder: Path) -> None:
    """Refuse a folder in which a link leads out of it: what is written there would land elsewhere.

    Raises:
        StudyError: Naming the first one.
    """
    root = folder.resolve()
    for place, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise StudyError(
                    f"everything of a run must lie in its folder: {folder / path.relative_to(root)}"
                    f" is a link to {path.resolve()}; put what it leads to in its place"
                )
