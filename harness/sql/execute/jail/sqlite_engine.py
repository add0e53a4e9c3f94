"""SQLite, held to reading: authorizer, limits, seeded randomness, caps on rows and bytes."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

from results import fetch  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.sql.execute.messages import (
        Cell,
        ColumnDescription,
        ForeignKeyDescription,
        ResultKind,
        SourceSpec,
        TableDescription,
        WorkerAnswer,
    )

HEAP = 256_000_000
OPS_BETWEEN_CHECKS = 4_000

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "eval"}
UNSTABLE_FUNCTIONS = {"random", "randomblob"}
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 10_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
SCRIPT_DENIED = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_CREATE_VTABLE}


class Guard:
    """The authorizer of one connection, and what the running statement was seen to use."""

    def __init__(self) -> None:
        self.denied = ""
        self.unstable = False

    def reading(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        """Allow SELECT, READ, RECURSIVE and harmless functions; deny everything else."""
        if action in READING:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            name = (second or "").lower()
            self.unstable = self.unstable or name in UNSTABLE_FUNCTIONS
            if name not in FORBIDDEN_FUNCTIONS:
                return sqlite3.SQLITE_OK
        self.denied = self.denied or f"action {action} on {first or second or 'the database'}"
        return sqlite3.SQLITE_DENY

    def building(self, action: int, _: str | None, second: str | None, *__: object) -> int:
        """While a schema script runs: deny other files, skip pragmas."""
        if action == sqlite3.SQLITE_PRAGMA:
            return sqlite3.SQLITE_IGNORE
        forbidden = (
            action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FORBIDDEN_FUNCTIONS
        )
        if action in SCRIPT_DENIED or forbidden:
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK


class SqliteDatabase:
    """One opened SQLite database and its guard."""

    engine = "sqlite"

    def __init__(self, source: SourceSpec, seconds: float) -> None:
        self.guard = Guard()
        self.source = source
        if "path" in source:
            uri = Path(source["path"]).absolute().as_uri() + "?mode=ro&immutable=1"
            self.connection = sqlite3.connect(
                uri, uri=True, isolation_level=None, cached_statements=0
            )
        else:
            self.connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
        connection = self.connection
        connection.execute(f"PRAGMA hard_heap_limit={HEAP}")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        connection.create_function("random", 0, self._random)
        connection.create_function("randomblob", 1, self._randomblob)
        self.reseed()
        if "path" not in source:
            self._build(source, seconds)
        for function in ("json_each", "json_tree"):  # connected now: later that is denied
            connection.execute(f"SELECT 1 FROM {function}('[]')").fetchall()
        connection.execute("PRAGMA query_only=ON")
        for limit, value in LIMITS.items():
            connection.setlimit(limit, value)
        connection.set_authorizer(self.guard.reading)

    def reseed(self, seed: int = 0) -> None:
        """Make what ``random()`` returns repeatable."""
        self.generator = random.Random(seed)

    def _random(self) -> int:
        return self.generator.getrandbits(64) - (1 << 63)

    def _randomblob(self, size: int) -> bytes:
        return self.generator.randbytes(max(1, min(int(size or 1), 1_000_000)))

    def _build(self, source: SourceSpec, seconds: float) -> None:
        connection = self.connection
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LIMITS[sqlite3.SQLITE_LIMIT_LENGTH])
        self.arm(seconds)
        connection.set_authorizer(self.guard.building)
        connection.executescript(source["script"])
        if connection.in_transaction:
            connection.commit()
        connection.execute("BEGIN")
        for statement, rows in source.get("rows", ()):
            connection.executemany(f"INSERT OR IGNORE {statement.removeprefix('INSERT ')}", rows)
        connection.execute("COMMIT")
        connection.set_authorizer(None)

    def arm(self, seconds: float) -> None:
        """Interrupt whatever runs once it has used this much processor time."""
        deadline = time.process_time() + seconds
        self.connection.set_progress_handler(
            lambda: time.process_time() > deadline, OPS_BETWEEN_CHECKS
        )

    def order(self, *, reverse: bool) -> None:
        """Read unordered tables forwards or backwards, to find results that depend on it."""
        self.connection.set_authorizer(None)
        self.connection.execute(f"PRAGMA reverse_unordered_selects={int(reverse)}")
        self.connection.set_authorizer(self.guard.reading)

    def run(self, sql: str, seconds: float) -> WorkerAnswer:
        """Run one statement; never raises for what the statement does."""
        self.guard.denied, self.guard.unstable = "", False
        result: WorkerAnswer
        started = time.process_time()
        self.arm(seconds)
        try:
            result = self._fetch(sql)
        except sqlite3.Error as error:
            result = {"kind": self._kind(error), "error": str(error)}
        except (ValueError, OverflowError, UnicodeError) as error:
            result = {"kind": "error", "error": str(error)}
        except sqlite3.Warning as error:
            result = {"kind": "denied", "error": str(error)}
        except (MemoryError, RecursionError) as error:
            result = {"kind": "memory", "error": type(error).__name__}
        result["seconds"] = round(time.process_time() - started, 6)
        result["unstable"] = self.guard.unstable
        return result

    def _fetch(self, sql: str) -> WorkerAnswer:
        answer: WorkerAnswer
        try:
            answer = fetch(self.connection.execute(sql))
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error):
                raise
        else:
            return answer
        self.connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            answer = fetch(self.connection.execute(sql))
        finally:
            self.connection.text_factory = str
        return answer

    def _kind(self, error: sqlite3.Error) -> ResultKind:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        message = str(error)
        if self.guard.denied or any(word in message for word in ("not authorized", "prohibited")):
            return "denied"
        kinds: dict[int, ResultKind] = {
            sqlite3.SQLITE_INTERRUPT: "timeout",
            sqlite3.SQLITE_NOMEM: "memory",
            sqlite3.SQLITE_TOOBIG: "memory",
            sqlite3.SQLITE_AUTH: "denied",
            sqlite3.SQLITE_READONLY: "denied",
        }
        return kinds.get(code, "error")

    def describe(self, limit: int, seconds: float) -> WorkerAnswer:
        """Return tables, columns, keys and sample rows."""
        self.connection.set_authorizer(None)
        self.arm(seconds)
        try:
            return {"kind": "ok", "tables": describe(self.connection, limit)}
        except sqlite3.Error as error:
            return {"kind": "error", "error": str(error)}
        finally:
            self.connection.text_factory = str
            self.connection.set_authorizer(self.guard.reading)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def describe(connection: sqlite3.Connection, limit: int) -> list[TableDescription]:
    """Read the schema of a trusted connection: its authorizer is off."""
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    found = connection.execute(
        "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
    ).fetchall()
    return [describe_table(connection, name, kind, sql, limit) for name, kind, sql in found]


def describe_table(
    connection: sqlite3.Connection, name: str, kind: str, sql: str, limit: int
) -> TableDescription:
    """Read one table's columns, keys and first rows."""
    quoted = '"' + name.replace('"', '""') + '"'
    columns: list[ColumnDescription] = [
        {"name": c[1], "type": c[2] or "", "notnull": bool(c[3]), "pk": c[5], "hidden": c[6]}
        for c in connection.execute(f"PRAGMA table_xinfo({quoted})")
    ]
    unique: list[list[str | None]] = []
    for index in connection.execute(f"PRAGMA index_list({quoted})").fetchall():
        if index[2] and not index[4]:
            index_name = '"' + index[1].replace('"', '""') + '"'
            unique.append([c[2] for c in connection.execute(f"PRAGMA index_info({index_name})")])
    foreign: dict[int, ForeignKeyDescription] = {}
    for key in connection.execute(f"PRAGMA foreign_key_list({quoted})"):
        entry = foreign.setdefault(key[0], {"table": key[2], "columns": [], "parents": []})
        entry["columns"].append(key[3])
        entry["parents"].append(key[4])
    rows: Sequence[Sequence[Cell]] = []
    if kind == "table":
        rows = connection.execute(f"SELECT * FROM {quoted} LIMIT {int(limit)}").fetchall()
    return {
        "name": name,
        "kind": kind,
        "sql": sql,
        "columns": columns,
        "unique": unique,
        "foreign": list(foreign.values()),
        "rows": rows,
    }
