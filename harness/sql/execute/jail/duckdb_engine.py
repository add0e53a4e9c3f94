"""DuckDB, locked down: no files, no extensions, no settings; one connection on a private copy."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
from results import fetch  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from harness.sql.execute.messages import Cell, SourceSpec, TableDescription, WorkerAnswer

UNSTABLE_FUNCTIONS = {
    "random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "txid_current",
    "current_connection_id", "current_query_id", "current_transaction_id",
}  # fmt: skip
DATABASE_LOST = 70
"""Exit code where DuckDB gave up a database: every later statement on it would fail."""

PARALLEL = 3
"""Wall time after which a statement is stopped, as a multiple of its processor time."""
SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "256MB",
    "threads": "1",
    "temp_directory": "",
    "python_enable_replacements": "false",
}


class DuckDatabase:
    """One DuckDB database in memory (or a file, read-only) for statements that only read.

    Every statement runs in a transaction that cannot write and is rolled back: one that advances a
    sequence, or writes behind WITH, is a SELECT to the parser.
    """

    engine = "duckdb"

    def __init__(self, source: SourceSpec, seconds: float) -> None:
        path = source.get("path", ":memory:")
        self.connection = duckdb.connect(path, read_only="path" in source, config=SETTINGS)
        if "path" not in source:
            with _Deadline(self.connection, seconds):
                self.connection.execute(source["script"])
                for statement, rows in source.get("rows", ()):
                    self._insert(statement, rows)
        self.connection.execute("SET lock_configuration=true")
        script = source.get("script", "").lower()
        suspect = "path" in source or any(name in script for name in UNSTABLE_FUNCTIONS)
        self.unstable = self._unstable_names() if suspect else set()

    def _unstable_names(self) -> set[str]:
        """Return the views and macros that call, directly or not, what is left to chance."""
        found: set[str] = set()
        defined = self._all(
            "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal UNION ALL "
            "SELECT function_name, macro_definition FROM duckdb_functions() "
            "WHERE NOT internal AND macro_definition IS NOT NULL"
        )
        for _ in defined:
            known = len(found)
            found |= {name.lower() for name, sql in defined if _is_unstable(sql or "", found)}
            if len(found) == known:
                break
        return found

    def _insert(self, statement: str, rows: Sequence[Sequence[Cell]]) -> None:
        """Insert rows one by one; leave out those that break a constraint or a type."""
        for row in rows:
            try:
                self.connection.execute(statement, row)
            except (duckdb.IntegrityError, duckdb.DataError):
                continue

    def reseed(self, seed: int = 0) -> None:
        """Make what ``random()`` returns repeatable."""
        self.connection.execute("SELECT setseed(?)", [(seed % 1_000) / 1_000])

    def order(self, *, reverse: bool) -> None:
        """Rows keep one order here: there is nothing to reverse."""

    def run(self, sql: str, seconds: float) -> WorkerAnswer:
        """Run one statement; never raises for what the statement does."""
        result: WorkerAnswer
        started = time.process_time()
        self.connection.execute("BEGIN TRANSACTION READ ONLY")
        try:
            with _Deadline(self.connection, seconds):
                result = self._fetch(sql)
        except duckdb.InterruptException:
            result = {"kind": "timeout", "error": "interrupted"}
        except duckdb.PermissionException as error:
            result = {"kind": "denied", "error": _first_line(error)}
        except duckdb.TransactionException as error:
            result = {"kind": "denied", "error": _first_line(error)}
        except (duckdb.FatalException, duckdb.InternalException):
            raise SystemExit(DATABASE_LOST) from None
        except (duckdb.OutOfMemoryException, MemoryError, RuntimeError) as error:
            result = {"kind": "memory", "error": _first_line(error)}
        except (duckdb.Error, ValueError, TypeError) as error:
            result = {"kind": "error", "error": _first_line(error)}
        result["seconds"] = round(time.process_time() - started, 6)
        result["unstable"] = _is_unstable(sql, self.unstable)
        self.connection.rollback()
        return result

    def _fetch(self, sql: str) -> WorkerAnswer:
        statements = self.connection.extract_statements(sql)
        if len(statements) != 1 or not _reads(statements[0]):
            kinds = ", ".join(str(statement.type) for statement in statements)
            return {"kind": "denied", "error": f"only one SELECT may run: {kinds}"}
        answer: WorkerAnswer = fetch(self.connection.execute(statements[0]), _plain)
        return answer

    def describe(self, limit: int, seconds: float) -> WorkerAnswer:
        """Return tables, views, columns, keys and sample rows."""
        with _Deadline(self.connection, seconds):
            tables = self._all(
                "SELECT table_name, sql FROM duckdb_tables() WHERE NOT internal ORDER BY table_oid"
            )
            views = self._all(
                "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY view_oid"
            )
            found = [self._table(name, "table", sql, limit) for name, sql in tables]
            found += [self._table(name, "view", sql.rstrip("; "), 0) for name, sql in views]
            return {"kind": "ok", "tables": found}

    def _all(self, sql: str, *values: str) -> list[tuple]:  # type: ignore[type-arg]
        return list(self.connection.execute(sql, list(values)).fetchall())

    def _table(self, name: str, kind: str, sql: str, limit: int) -> TableDescription:
        quoted = '"' + name.replace('"', '""') + '"'
        columns = self._all(
            "SELECT column_name, data_type, NOT is_nullable FROM duckdb_columns() "
            "WHERE table_name = ? ORDER BY column_index",
            name,
        )
        keys = self._all(
            "SELECT constraint_type, constraint_column_names, referenced_table, "
            "referenced_column_names FROM duckdb_constraints() WHERE table_name = ?",
            name,
        )
        primary = next((list(key[1]) for key in keys if key[0] == "PRIMARY KEY"), [])
        rows = self._all(f"SELECT * FROM {quoted} LIMIT {int(limit)}") if limit else []
        return {
            "name": name,
            "kind": kind,
            "sql": sql.rstrip("; "),
            "columns": [
                {
                    "name": c[0],
                    "type": c[1],
                    "notnull": c[2],
                    "pk": primary.index(c[0]) + 1 if c[0] in primary else 0,
                    "hidden": 0,
                }
                for c in columns
            ],
            "unique": [list(key[1]) for key in keys if key[0] == "UNIQUE"],
            "foreign": [
                {"table": key[2], "columns": list(key[1]), "parents": list(key[3])}
                for key in keys
                if key[0] == "FOREIGN KEY"
            ],
            "rows": [[_plain(cell) for cell in row] for row in rows],
        }

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class _Deadline:
    """Interrupts a connection that has used its processor time; the kernel's limit is behind it.

    On the wall clock a statement may take `PARALLEL` times as long, so that a busy machine changes
    no result and one that only waits still ends.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, seconds: float) -> None:
        self._interrupt = connection.interrupt
        self._ended = threading.Event()
        self._used, self._wall = time.process_time() + seconds, time.monotonic()
        self._wall += PARALLEL * (seconds + 1)
        self._pause = min(seconds / 8, 0.25)
        self._watch = threading.Thread(target=self._wait, daemon=True)

    def _wait(self) -> None:
        while not self._ended.wait(self._pause):
            if time.process_time() > self._used or time.monotonic() > self._wall:
                self._interrupt()

    def __enter__(self) -> None:
        self._watch.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()


def _reads(statement: duckdb.Statement) -> bool:
    """Tell whether a statement is a query; PIVOT counts as several until it runs."""
    if statement.type == duckdb.StatementType.SELECT:
        return True
    several = getattr(duckdb.StatementType, "MULTI", None)
    return statement.type == several and "pivot" in statement.query.lower()


def _is_unstable(sql: str, names: Set[str]) -> bool:
    """Tell whether the text calls what is left to chance, or one of ``names`` that do, or samples.

    Words inside of literals, comments and other names do not count.
    """
    coded = sql.encode("utf-8", "replace")
    tokens = duckdb.tokenize(coded.decode("utf-8"))
    ends = [*(start for start, _ in tokens), len(coded)][1:]  # in bytes
    words = [
        coded[start:end].decode("utf-8").strip().strip('"').lower()
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind not in {duckdb.token_type.comment, duckdb.token_type.string_const}
    ]
    return any(
        word in names
        or (word in UNSTABLE_FUNCTIONS and following == "(")
        or (word == "tablesample" or (word == "using" and following == "sample"))
        for word, following in zip(words, [*words[1:], ""], strict=False)
    )


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", maxsplit=1)[0]


def _plain(cell: object) -> Cell:
    """Turn dates, decimals and nested values into what JSON and SQLite know."""
    if cell is None or isinstance(cell, (bool, int, float, str, bytes)):
        return cell
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    return str(cell)
