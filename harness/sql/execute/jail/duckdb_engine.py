"""DuckDB, locked down: no files, no extensions, no settings; one connection on a private copy."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
from results import fetch  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.sql.execute.messages import Cell, SourceSpec, TableDescription, WorkerAnswer

QUERIES = {duckdb.StatementType.SELECT}
SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "256MB",
    "threads": "1",
    "temp_directory": "",
}


class DuckDatabase:
    """One DuckDB database in memory (or a file, read-only) for statements that only read."""

    def __init__(self, source: SourceSpec, seconds: float) -> None:
        path = source.get("path", ":memory:")
        self.connection = duckdb.connect(path, read_only="path" in source, config=SETTINGS)
        if "path" not in source:
            with _Deadline(self.connection, seconds):
                self.connection.execute(source["script"])
                for statement, rows in source.get("rows", ()):
                    self._insert(statement, rows)
        self.connection.execute("SET lock_configuration=true")

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
        try:
            with _Deadline(self.connection, seconds):
                result = self._fetch(sql)
        except duckdb.InterruptException:
            result = {"kind": "timeout", "error": "interrupted"}
        except duckdb.PermissionException as error:
            result = {"kind": "denied", "error": str(error)}
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            result = {"kind": "memory", "error": str(error)}
        except (duckdb.Error, ValueError, UnicodeError, RuntimeError) as error:
            result = {"kind": "error", "error": str(error).split("\n", maxsplit=1)[0]}
        result["seconds"] = round(time.process_time() - started, 6)
        result["unstable"] = "random" in sql.lower()
        return result

    def _fetch(self, sql: str) -> WorkerAnswer:
        statements = self.connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type not in QUERIES:
            kinds = ", ".join(str(statement.type) for statement in statements)
            return {"kind": "denied", "error": f"only one SELECT may run: {kinds}"}
        cursor = self.connection.execute(statements[0])
        answer: WorkerAnswer = fetch(cursor, _plain)
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
    """Interrupts a connection after some seconds; the kernel's limit stands behind it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, seconds: float) -> None:
        self._timer = threading.Timer(seconds, connection.interrupt)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _plain(cell: object) -> Cell:
    """Turn dates, decimals and nested values into what JSON and SQLite know."""
    if cell is None or isinstance(cell, (bool, int, float, str, bytes)):
        return cell
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    return str(cell)
