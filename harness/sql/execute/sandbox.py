"""A pool of killable worker processes for untrusted SQL.

The judge never opens a database itself: every statement runs in a worker process (``jail/``) that
the kernel limits and that this module kills when it stops answering. One opcode of SQLite can run
for minutes without calling the progress handler, so nothing less than a kill will do.

Workers are started as plain scripts, not by fork: that is safe in a process with threads (torch
loaded), and needs no ``__main__`` guard.
"""

import os
import queue
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.errors import HarnessError, InfrastructureError
from harness.sql.execute.messages import (
    Cells,
    ResultKind,
    SourceSpec,
    TableDescription,
    WorkerAnswer,
    WorkerRequest,
)
from harness.sql.execute.postgres import located
from harness.sql.execute.worker import WorkerEndedError, WorkerProcess

BUILDING = 10
"""Time limit for opening a database, as a multiple of a statement's."""

WAITING = 10
"""Wall time that a statement may take, as a multiple of its processor time and one second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """The result of one statement: rows, or the way in which it ended.

    ``kind`` is ``ok``; ``error`` (the engine's message is in ``error``); ``denied`` (it asked for
    more than reading); ``timeout``; ``rows`` or ``memory`` (over a cap); ``crash`` (the process
    died twice over it); ``database`` (the database itself cannot be opened). ``seconds`` is
    processor time, ``unstable`` whether ``random()`` was called.
    """

    kind: ResultKind
    columns: tuple[str, ...] = ()
    rows: tuple[Cells, ...] = ()
    error: str = ""
    seconds: float = 0.0
    unstable: bool = False

    @property
    def ok(self) -> bool:
        """Whether there are rows to compare."""
        return self.kind == "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How a worker opens a database: ``spec`` is sent once per ``key``."""

    key: str
    spec: SourceSpec = field(hash=False)


class Sandbox:
    """Runs statements in up to ``workers`` processes, started when first needed.

    Safe to share between threads; a context manager. ``seconds`` is processor time for one
    statement, which the kernel enforces; the wall clock, far behind it, only ends one that waits.
    What a statement gets never depends on what ran before it: a worker that lacked memory for it is
    replaced, and the statement run again, unless it was the worker's first database.
    """

    def __init__(self, *, workers: int = 2, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self._wall = WAITING * (seconds + 1)
        self._workers = workers
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._idle: queue.LifoQueue[WorkerProcess | None] = queue.LifoQueue()
        for _ in range(self._workers):
            self._idle.put(None)
        self._alive: set[WorkerProcess] = set()
        self._finalizer = weakref.finalize(self, _kill_all, self._alive, self._pid)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every worker; a later `run` starts new ones."""
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
            request: WorkerRequest = {
                "sql": left, "backwards": min(backwards, len(left)), "seed": seed, "forget": forget,
            }  # fmt: skip
            answers, ended = self._exchange(source, request)
            results += map(_result, answers)
            if ended is None:
                break
            if ended.doubtful and doubted_at != len(results):
                doubted_at = len(results)
                continue  # retry on a fresh worker
            results.append(QueryResult(kind=ended.kind, error=str(ended)))
            if ended.kind == "database":
                break
        last = results[-1] if results else QueryResult(kind="crash", error="no answer")
        return results + [last] * (len(statements) - len(results))

    def describe(self, source: Source, *, sample: int) -> list[TableDescription]:
        """Return the database's tables, keys and up to ``sample`` rows of each.

        Raises:
            InfrastructureError: If the database cannot be opened or read.
        """
        found, ended = self._exchange(source, {"describe": sample})
        if ended is not None and ended.doubtful:
            found, ended = self._exchange(source, {"describe": sample})
        if ended is not None or not found or found[0]["kind"] != "ok":
            reason = str(ended) if ended is not None else found[0].get("error", "no answer")
            raise InfrastructureError(reason)
        return found[0]["tables"]

    def _exchange(
        self, source: Source, request: WorkerRequest
    ) -> tuple[list[WorkerAnswer], WorkerEndedError | None]:
        """Send one request; return its answers, and how the worker ended if it did."""
        answers: list[WorkerAnswer] = []
        process = self._take_worker()
        slot: WorkerProcess | None = None
        try:
            first = self._open(process, source, request)
            if first is not None:
                answers.append(_settled(first, process))
            while len(answers) < len(request.get("sql", "1")):
                answers.append(_settled(process.receive(self._wall), process))
            slot = process
        except WorkerEndedError as ended:
            slot = process if ended.alive else None
            return answers, ended
        finally:
            if slot is None:
                self._alive.discard(process)
                process.kill()
            self._idle.put(slot)
        return answers, None

    def _open(
        self, process: WorkerProcess, source: Source, request: WorkerRequest
    ) -> WorkerAnswer | None:
        """Send the request; return its first answer, or None if that is yet to come."""
        message: WorkerRequest = {**request, "key": source.key, "seconds": self.seconds}
        if source.key in process.known:
            process.send(message)
            first = process.receive(self._wall)
            if first["kind"] != "missing":
                return first
        shared = process.opens(source.key)
        try:
            spec = located(source.spec)
        except HarnessError as error:
            raise WorkerEndedError("database", str(error), alive=True) from error
        process.send({**message, "source": spec})
        try:
            opened = process.receive(BUILDING * self._wall)
        except WorkerEndedError as ended:
            if ended.kind != "timeout":
                raise
            raise WorkerEndedError("database", f"it did not open: {ended}") from None
        if opened["kind"] == "database":
            raise WorkerEndedError("database", opened["error"], alive=not shared, doubtful=shared)
        if request.get("forget"):
            process.known.discard(source.key)
        else:
            process.known.add(source.key)
        return None if opened["kind"] == "open" else opened

    def _take_worker(self) -> WorkerProcess:
        with self._lock:
            if os.getpid() != self._pid:  # forked: the workers belong to the parent
                self._finalizer.detach()
                self._reset()
            idle = self._idle
        process = idle.get()
        if process is None:
            process = WorkerProcess()
            self._alive.add(process)
        return process


def _kill_all(alive: set[WorkerProcess], pid: int) -> None:
    if os.getpid() == pid:
        for process in list(alive):
            process.kill()
        alive.clear()


def _settled(answer: WorkerAnswer, process: WorkerProcess) -> WorkerAnswer:
    """Return an answer that would be the same on a fresh worker; the others end this one."""
    if answer["kind"] == "memory" and process.shared:
        raise WorkerEndedError("memory", answer["error"], doubtful=True)
    return answer


def _result(answer: WorkerAnswer) -> QueryResult:
    kind = answer["kind"]
    if kind == "open" or kind == "missing":  # noqa: PLR1714 - mypy narrows by ==, not by a set
        kind = "crash"
    return QueryResult(
        kind=kind,
        columns=tuple(answer.get("columns", ())),
        rows=tuple(map(tuple, answer.get("rows", ()))),
        error=answer.get("error", ""),
        seconds=answer.get("seconds", 0.0),
        unstable=answer.get("unstable", False),
    )
