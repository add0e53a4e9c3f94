"""How a step reports its progress."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[..., None]
"""Takes ``done=`` (absolute), ``total=`` and ``note=``, each optional."""


class Progress(Protocol):
    """Where a step reports its progress."""

    def task(self, title: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Open a task; call what it yields with ``done=`` (absolute) and ``note=``."""
        ...


class Silent:
    """A progress that shows nothing."""

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:  # noqa: ARG002
        """Yield a function that ignores its arguments."""
        yield lambda **_: None
