"""The door's last word: whatever stops a command is one sentence and a documented exit code."""

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import typer

from harness.cli.console import STOPPED, say
from harness.display_text import one_line
from harness.errors import HarnessError, InfrastructureError
from harness.extras import missing_extra
from harness.secrets import redact

USAGE, CRASHED = 2, 3
"""Exit codes of a mistyped command and of an infrastructure failure, as in `harness.errors`."""

LEAST_MEMORY = 512 * 2**20
"""Bytes of address space without which numpy and scipy do not load."""
MODEL_MEMORY = 1536 * 2**20
"""The same for PyTorch and its kind, before any weights."""
WITH_MODEL = {"chat", "export", "lm-eval", "plan", "quickstart", "run", "score", "train"}
"""Commands that load them."""
NO_MEMORY = "not enough memory: close other programs, or give less at once"

DEBUG = "HARNESS_DEBUG"
"""The environment variable that asks for tracebacks on the terminal."""

_REMEDIES = {
    errno.ENOSPC: "free some space and give the same command again",
    errno.EDQUOT: "free some space and give the same command again",
    errno.EMFILE: "allow more open files, as with 'ulimit -n 1024'",
    errno.ENFILE: "allow more open files",
    errno.EACCES: "give yourself the right to it, or another path",
    errno.EPERM: "give yourself the right to it, or another path",
    errno.EROFS: "give a path that can be written to",
    errno.ENOMEM: "close other programs, or take a machine with more memory",
}


def guarded(work: Callable[[], object]) -> int:
    """Do a command's work and return its exit code; never raise, never print a traceback unasked.

    Args:
        work: Returns the exit code, or raises: what a user can mend, or anything else.
    """
    try:
        _require_memory()
        found = work()
    except SystemExit as stop:
        if isinstance(stop.code, str):
            say(stop.code, err=True)
        return stop.code if isinstance(stop.code, int) else USAGE if stop.code else 0
    except KeyboardInterrupt:
        say("\nharness: stopped", err=True)
        return STOPPED
    except Exception as error:  # noqa: BLE001 - a crash must not look like a regression (exit 1)
        return _told(error)
    return found if isinstance(found, int) else 0


def _require_memory() -> None:
    """Refuse an address space in which numerical libraries cannot be loaded.

    OpenBLAS asks for memory again and again there, without end.

    Raises:
        InfrastructureError: With the limit and how to raise it.
    """
    try:
        import resource
    except ImportError:  # no such limit on this system
        return
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    command = next(iter(sys.argv[1:]), "")
    least = MODEL_MEMORY if command in WITH_MODEL else LEAST_MEMORY
    if allowed != resource.RLIM_INFINITY and allowed < least:
        raise InfrastructureError(
            f"a command needs {least // 2**20} MiB of address space: the limit here is "
            f"{allowed // 2**20} MiB; raise it with 'ulimit -v unlimited'"
        )


def _told(error: Exception) -> int:
    """Print one sentence about what stopped a command, and return its exit code."""
    if isinstance(error, ModuleNotFoundError) and (missing := missing_extra(error)):
        error = missing
    if hasattr(error, "format_message"):  # of the command line itself
        return _usage(error)
    if os.environ.get(DEBUG):
        say(redact(traceback.format_exc()), err=True)
    match error:
        case HarnessError():
            said, code = str(error), error.exit_code
        case MemoryError():
            said, code = NO_MEMORY, CRASHED
        case ImportError() if "map segment" in str(error) or "allocate memory" in str(error):
            said, code = NO_MEMORY, CRASHED  # the system's loader found no room for a library
        case RecursionError():
            said, code = "an input is nested more deeply than can be read: flatten it", USAGE
        case OSError() if error.errno is not None:
            said, code = _of_system(error), CRASHED
        case EOFError() | typer.Abort():
            said, code = "stopped: there is nothing more to read", STOPPED
        case _:
            said, code = _unexpected(error), CRASHED
    say(f"harness: {one_line(redact(said))}", err=True)
    return code


def _of_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    remedy = _REMEDIES.get(error.errno or 0)
    said = f"{where}{error.strerror or error}".lower() if not where else f"{where}{error.strerror}"
    return f"the system refuses: {said}" + (f"; {remedy}" if remedy else "")


def _unexpected(error: Exception) -> str:
    """Keep the traceback of what nobody foresaw in a file, and say where."""
    told = redact(traceback.format_exc())
    try:
        handle, name = tempfile.mkstemp(prefix="harness-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(told)
        where = f"the traceback in {Path(name)}"
    except OSError:
        where = f"what it prints with {DEBUG}=1"
    reason = one_line(str(error), 300)
    return (
        f"an error that is ours, not yours: {type(error).__name__}: {reason}; what was finished is "
        f"kept; please report it with {where}"
    )


def _usage(error: Exception) -> int:
    """Print what the command line's own library says about a mistyped command."""
    buffer = StringIO()
    error.show(file=buffer)  # type: ignore[attr-defined]  # it has a format_message, so it has this
    say(buffer.getvalue().rstrip("\n"), err=True)
    return int(getattr(error, "exit_code", USAGE))


def close_output() -> None:
    """Write out what is buffered; a reader that is gone must not become an exit code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
