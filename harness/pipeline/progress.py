"""How a step tells a person how far it is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[..., None]
"""Takes ``done=`` (absolute), ``total=`` and ``note=``, each optional."""


class Progress(Protocol):
    """How a step tells a person how far it is."""

    def task(self, title: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Open a task; call what it yields with ``done=`` (absolute) and ``note=``."""
        ...


class Silent:
    """A progress that says nothing."""

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:  # noqa: ARG002
        """Yield a function that ignores what it is told."""
        yield lambda **_: None
