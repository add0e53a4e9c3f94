"""The killable process that runs SQL: requests come in on stdin, results go out on stdout.

Started as a script by `harness.sql.execute.sandbox` and never imported by the judge: standard
library only (DuckDB or a driver when asked), so that it starts in milliseconds and knows nothing
of the judge's process.
One JSON object a line, in both directions::

    {"key": K, "source": S, "seconds": T, "sql": [...], "backwards": N, "seed": int}
        answered by one line for each statement, as it ends; the last N read tables backwards
    {"key": K, "source": S, "seconds": T, "describe": N}
        answered by one line: tables, keys and up to N rows of each

Before these comes one line ``{"kind": "open"}`` if the database had to be opened from its source,
or only ``missing`` (not open, no source given) or ``database`` (it cannot be opened).

What one statement does cannot reach the next: connections only read, statements are held to an
allow-list by the engine's authorizer, and limits on memory, processor time, file size and open
files are the operating system's.
"""

from __future__ import annotations

import json
import math
import sys
import time
from typing import TYPE_CHECKING, Protocol

from sqlite_engine import SqliteDatabase  # type: ignore[import-not-found]

try:
    import resource
except ImportError:  # not on Windows: there the parent's wall clock is the only limit
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.sql.execute.messages import WorkerAnswer, WorkerRequest

MAX_CONNECTIONS = {"sqlite": 24, "duckdb": 3, "postgres": 6}
"""Databases of an engine that stay open; each of DuckDB's brings threads and a cache of its own."""

MEMORY = 1_500_000_000
BUILDING = 10
"""Processor time of a schema script, as a multiple of a statement's."""


class OpenDatabase(Protocol):
    """What both engines offer."""

    engine: str

    def reseed(self, seed: int = 0) -> None:
        """Make what ``random()`` returns repeatable."""

    def order(self, *, reverse: bool) -> None:
        """Read unordered tables forwards or backwards."""

    def run(self, sql: str, seconds: float) -> WorkerAnswer:
        """Run one statement."""

    def describe(self, limit: int, seconds: float) -> WorkerAnswer:
        """Return tables, columns, keys and sample rows."""

    def close(self) -> None:
        """Close the connection."""


def encode(value: object) -> object:
    """Carry a blob through JSON as an object, the one thing that no other cell is."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"hex": bytes(value).hex()}
    return {"text": str(value)}


def harden() -> None:
    """Set resource limits; the kernel enforces them even if the engine misbehaves."""
    if resource is None:
        return
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):
            continue  # the platform or an outer limit is stricter


def allow_seconds(seconds: float) -> None:
    """Set the kernel's limit (RLIMIT_CPU) to this much more processor time."""
    if resource is None:
        return
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds) + 1, hard))


class Worker:
    """Answers requests; keeps the most recently used databases open."""

    def __init__(self) -> None:
        self.databases: dict[str, OpenDatabase] = {}

    def open(self, request: WorkerRequest) -> OpenDatabase | None:
        """Return the request's database, opening it if its source came along."""
        key = request["key"]
        database = self.databases.pop(key, None)
        if database is None:
            if request.get("source") is None:
                return None
            engine = request["source"].get("engine", "sqlite")
            same = [old for old, other in self.databases.items() if other.engine == engine]
            for old in same[: max(0, len(same) + 1 - MAX_CONNECTIONS[engine])]:
                self.databases.pop(old).close()
            if engine == "duckdb":
                from duckdb_engine import DuckDatabase  # type: ignore[import-not-found]

                database = DuckDatabase(request["source"], BUILDING * request["seconds"])
            elif engine == "postgres":
                from postgres_engine import PostgresDatabase  # type: ignore[import-not-found]

                database = PostgresDatabase(request["source"], BUILDING * request["seconds"])
            else:
                database = SqliteDatabase(request["source"], BUILDING * request["seconds"])
        self.databases[key] = database
        return database

    def answer(self, request: WorkerRequest) -> Iterator[WorkerAnswer]:
        """Yield one result for each statement of the request."""
        seconds = request["seconds"]
        allow_seconds(BUILDING * seconds)
        known = request["key"] in self.databases
        try:
            database = self.open(request)
        except Exception as error:  # noqa: BLE001 - reported to the judge, which names the database
            yield {"kind": "database", "error": f"{error}"}
            return
        if database is None:
            yield {"kind": "missing"}
            return
        if not known:
            yield {"kind": "open"}
        if "describe" in request:
            yield database.describe(request["describe"], BUILDING * seconds)
            return
        forwards = len(request["sql"]) - request.get("backwards", 0)
        for number, sql in enumerate(request["sql"]):
            if number == forwards:
                database.order(reverse=True)
            allow_seconds(seconds)
            database.reseed(request.get("seed", 0) * 1_000 + number)
            yield database.run(sql, seconds)
        if request.get("backwards"):
            database.order(reverse=False)
        if request.get("forget"):
            self.databases.pop(request["key"]).close()


def main() -> None:
    """Answer requests until stdin closes."""
    harden()
    worker = Worker()
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        for result in worker.answer(json.loads(line, object_hook=decode)):
            out.write(json.dumps(result, default=encode).encode() + b"\n")
            out.flush()


def decode(value: dict[str, str]) -> object:
    """Undo `encode` for cells that the judge sends."""
    return bytes.fromhex(value["hex"]) if value.keys() == {"hex"} else value


if __name__ == "__main__":
    main()
