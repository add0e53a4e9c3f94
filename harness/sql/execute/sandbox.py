"""A pool of killable processes that run SQL which nobody has vetted.

The judge never opens a database itself: every statement runs in a child process (``jail/``) that
the kernel limits and that this module kills when it stops answering. One opcode of SQLite can run
for minutes without looking at its progress handler, so nothing less than a kill will do.

Children are started as plain scripts, not by fork: that is safe in a process with threads (torch
loaded), and needs no ``__main__`` guard.
"""

import os
import queue
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import InfrastructureError
from harness.sql.execute.worker import Child, EndedError, ResultKind

BUILDING = 10
"""Opening a database may take so many times as long as a statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """What one statement gave: rows, or the way in which it ended.

    ``kind`` is ``ok``; ``error`` (the engine's message is in ``error``); ``denied`` (it asked for
    more than reading); ``timeout``; ``rows`` or ``memory`` (over a cap); ``crash`` (the process
    died twice over it); ``database`` (the database itself cannot be opened). ``seconds`` is
    processor time, ``unstable`` whether ``random()`` was called.
    """

    kind: ResultKind
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    error: str = ""
    seconds: float = 0.0
    unstable: bool = False

    @property
    def ok(self) -> bool:
        """Whether there are rows to compare."""
        return self.kind == "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How a worker gets at a database: ``spec`` is sent once for each ``key``."""

    key: str
    spec: Mapping[str, Any] = field(hash=False)


class Sandbox:
    """Runs statements in up to ``workers`` children, started when first needed.

    Safe to share between threads; a context manager. ``seconds`` is processor time for one
    statement; in wall time it may take three times that, plus two seconds, before the kill.
    """

    def __init__(self, *, workers: int = 2, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self._wall = 3 * seconds + 2
        self._workers = workers
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._idle: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(self._workers):
            self._idle.put(None)
        self._alive: set[Child] = set()
        self._finalizer = weakref.finalize(self, _kill_all, self._alive, self._pid)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every child; a later `run` starts new ones."""
        with self._lock:
            self._finalizer()
            self._reset()

    def run(
        self,
        source: Source,
        statements: Sequence[str],
        *,
        backwards: int = 0,
        seed: int = 0,
        forget: bool = False,
    ) -> list[QueryResult]:
        """Run statements one after the other on one database, each with its own limits.

        The last ``backwards`` statements read unordered tables from their end; ``forget`` closes
        the database afterwards.
        A statement that gets its worker killed has no effect on those behind it.
        """
        results: list[QueryResult] = []
        doubted_at = -1
        while len(results) < len(statements):
            left = list(statements[len(results) :])
            options = {"backwards": min(backwards, len(left)), "seed": seed, "forget": forget}
            request = {"sql": left, **options}
            ended = self._exchange(source, request, results)
            if ended is None:
                break
            if ended.doubtful and doubted_at != len(results):
                doubted_at = len(results)
                continue  # once more, on a fresh worker
            results.append(QueryResult(kind=ended.kind, error=str(ended)))
            if ended.kind == "database":
                break
        last = results[-1] if results else QueryResult(kind="crash", error="no answer")
        return results + [last] * (len(statements) - len(results))

    def describe(self, source: Source, *, sample: int) -> list[dict[str, Any]]:
        """Return the database's tables, keys and up to ``sample`` rows of each.

        Raises:
            InfrastructureError: If the database cannot be opened or read.
        """
        found: list[dict[str, Any]] = []
        ended = self._exchange(source, {"describe": sample}, found, raw=True)
        if ended is not None or not found or found[0]["kind"] != "ok":
            reason = str(ended) if ended is not None else found[0].get("error", "no answer")
            raise InfrastructureError(reason)
        tables: list[dict[str, Any]] = found[0]["tables"]
        return tables

    def _exchange(
        self, source: Source, request: Mapping[str, Any], results: list[Any], *, raw: bool = False
    ) -> EndedError | None:
        """Send one request and collect its answers; return how the child ended, if it did."""
        process = self._borrow()
        slot: Child | None = None
        try:
            first = self._open(process, source, request)
            for number in range(len(request.get("sql", "1"))):
                answer = first if number == 0 and first else process.receive(self._wall)
                results.append(answer if raw else _result(answer))
            slot = process
        except EndedError as ended:
            slot = process if ended.alive else None
            return ended
        finally:
            if slot is None:
                self._alive.discard(process)
                process.kill()
            self._idle.put(slot)
        return None

    def _open(
        self, process: Child, source: Source, request: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Send the request; return its first answer, or None if that is yet to come."""
        message = {"key": source.key, "seconds": self.seconds, **request}
        if source.key in process.known:
            process.send(message)
            first = process.receive(self._wall)
            if first["kind"] != "missing":
                return first
        process.send({**message, "source": source.spec})
        try:
            opened = process.receive(BUILDING * self._wall)
        except EndedError as ended:
            if ended.kind != "timeout":
                raise
            raise EndedError("database", f"it did not open: {ended}") from None
        if opened["kind"] == "database":
            raise EndedError("database", opened["error"], alive=True)
        if request.get("forget"):
            process.known.discard(source.key)
        else:
            process.known.add(source.key)
        return None if opened["kind"] == "open" else opened

    def _borrow(self) -> Child:
        with self._lock:
            if os.getpid() != self._pid:  # forked: the children belong to the parent
                self._finalizer.detach()
                self._reset()
            idle = self._idle
        process = idle.get()
        if process is None:
            process = Child()
            self._alive.add(process)
        return process


def _kill_all(alive: set[Child], pid: int) -> None:
    if os.getpid() == pid:
        for process in list(alive):
            process.kill()
        alive.clear()


def _result(answer: Mapping[str, Any]) -> QueryResult:
    return QueryResult(
        kind=answer["kind"],
        columns=tuple(answer.get("columns", ())),
        rows=tuple(map(tuple, answer.get("rows", ()))),
        error=answer.get("error", ""),
        seconds=answer.get("seconds", 0.0),
        unstable=answer.get("unstable", False),
    )
