"""Limits in time and size for what a stranger's files let us compute: templates and patterns.

Chat templates run in Jinja's sandbox, which keeps them from everything but the processor and the
memory; patterns of module names are tried by PEFT on every module of a base.
"""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ModelError

if TYPE_CHECKING:
    from types import FrameType

    from harness.models.protocols import PretrainedTokenizer

SECONDS = 10.0
"""Of processor time for a conversation through a template; for all patterns of an adapter."""

MEMORY = 2**29
"""Bytes that a template may take while it runs (Linux)."""

WRITTEN = 4_000_000
"""Characters that a template may write, and that it may have itself."""

_PATTERNS = (
    "target_modules", "exclude_modules", "feedforward_modules", "layers_pattern", "rank_pattern",
    "alpha_pattern", "modules_to_save", "target_parameters",
)  # fmt: skip
_REPEATS = re.compile(r"[*+{]")

_TRY = """
import json, re, sys
patterns, names = json.load(sys.stdin)
for pattern in patterns:
    for form in (pattern, rf"(.*\\.)?({pattern})$", rf".*\\.[^.]*\\.{pattern}\\.(\\d+)\\."):
        try:
            tried = re.compile(form)
        except (re.error, RecursionError, OverflowError):
            continue
        for name in names:
            tried.fullmatch(name), tried.match(name)
"""
"""The forms in which PEFT 0.20 uses a pattern, each on every module's name."""


class _OverrunError(BaseException):
    """The time is over; no ``Exception``, which Jinja ignores while it folds constants."""


def limits_here(system: str = sys.platform) -> str:
    """Say which limits this system can set to foreign templates and to SQL.

    >>> limits_here("darwin")
    'processor time of templates and SQL; not memory, which macOS does not limit'
    """
    if system.startswith("linux"):
        return "processor time and memory of templates and SQL"
    if system == "darwin":
        return "processor time of templates and SQL; not memory, which macOS does not limit"
    if system == "win32":
        return "none for templates, and no SQL: Windows has neither limits; use WSL"
    return "processor time of templates and SQL"


def bound_template(tokenizer: "PretrainedTokenizer") -> None:
    """Let a tokenizer lay conversations out within `SECONDS`, `MEMORY` and `WRITTEN`.

    The limit of time needs the main thread and a system with timers (not Windows), that of memory
    needs Linux; that of what is written holds everywhere.
    """
    for template in _texts(tokenizer.chat_template):
        if len(template) > WRITTEN:
            raise ModelError(
                f"a chat template must have at most {WRITTEN:,} characters: found {len(template):,}"
            )
    bounded = partial(_apply_bounded, tokenizer.apply_chat_template)
    vars(tokenizer)["apply_chat_template"] = bounded


def _apply_bounded(apply: Callable[..., object], *args: object, **options: object) -> object:
    try:
        with _time_limit(SECONDS), _memory_limit(MEMORY):
            made = apply(*args, **options)
    except _OverrunError as error:
        raise ModelError(
            f"a chat template must lay a conversation out in {SECONDS:g} seconds: it took longer; "
            "set 'template: none' under 'base', or mend the model's chat template"
        ) from error
    except (MemoryError, RecursionError, OverflowError) as error:
        raise ModelError(
            "a chat template must lay a conversation out in little memory: it ended in "
            f"{type(error).__name__}; set 'template: none' under 'base', or mend the model's chat "
            "template"
        ) from error
    if isinstance(made, str) and len(made) > WRITTEN:
        raise ModelError(
            f"a chat template must write at most {WRITTEN:,} characters for a conversation: found "
            f"{len(made):,}; set 'template: none' under 'base', or shorten the row"
        )
    return made


def _texts(template: object) -> list[str]:
    """Return the texts of one template, or of several by name."""
    several = template.values() if isinstance(template, Mapping) else [template]
    return [text for text in several if isinstance(text, str)]


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise `_OverrunError` after so much processor time; Python's ``re`` ends for it, too."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def end(_number: int, _frame: "FrameType | None") -> None:
        raise _OverrunError

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _memory_limit(size: int) -> Iterator[None]:
    """Let allocations fail that take so many bytes more than the process has now."""
    statm = Path("/proc/self/statm")
    try:
        import resource
    except ImportError:  # not on Windows
        resource = None  # type: ignore[assignment]
    if resource is None or not statm.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    wanted = int(statm.read_bytes().split()[0]) * resource.getpagesize() + size
    known = [limit for limit in before if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *known]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def check_patterns(config: Mapping[str, object], names: Collection[str], *, where: str) -> None:
    """Refuse patterns of module names that take forever on a base.

    They are tried in a process of their own, which can be ended on every system.

    Args:
        config: An adapter's configuration, or the settings of a study.
        names: Of the base's modules.
        where: Whose patterns they are, for the error.

    Raises:
        ModelError: If they take more than `SECONDS`.
    """
    found = [text for key in _PATTERNS for text in _parts(config.get(key))]
    patterns = sorted({text for text in found if _REPEATS.search(text)})
    if not patterns:
        return
    try:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _TRY],
            input=json.dumps([patterns, sorted(names)]),
            text=True, capture_output=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        shown = ", ".join(repr(text[:60]) for text in patterns[:3])
        raise ModelError(
            f"patterns of module names must be tried in {SECONDS:g} seconds: {where} has {shown}, "
            "which takes longer; name the modules in a list"
        ) from error


def _parts(value: object) -> list[str]:
    """Return the texts of a setting that is one, a list of them, or has them as keys."""
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, (list, tuple, set, Mapping)):
        return []
    return [text for text in several if isinstance(text, str)]
