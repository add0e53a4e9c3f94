"""One connection to a PostgreSQL server, and cells as JSON knows them.

Everything but numbers, truth values and bytes stays in PostgreSQL's own writing (dates as ISO, in
UTC), so that two engines and two runs write the same value the same way.
"""

from __future__ import annotations

import math
import ssl
from collections import defaultdict
from typing import TYPE_CHECKING

from pg8000.core import CoreConnection
from pg8000.exceptions import DatabaseError, Error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.sql.execute.messages import Cell, ServerSpec

PATIENCE = 15
"""Seconds that a server has to accept a connection."""

SETTINGS = (
    "SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; "
    "SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'; "
    "SET standard_conforming_strings = on; SET client_min_messages = 'error'; SET jit = off; "
    "SET max_parallel_workers_per_gather = 0; SET cursor_tuple_fraction = 1"
)
"""What makes results independent of a server's own settings."""


class PostgresConnection:
    """Statements on one server, each by the extended protocol: one at a time, never two."""

    def __init__(self, server: ServerSpec, database: str) -> None:
        where = {"unix_sock": server["socket"]} if server.get("socket") else {
            "host": server["host"], "port": server["port"]
        }  # fmt: skip
        self._core = CoreConnection(
            server["user"],
            database=database,
            password=server.get("password") or None,
            ssl_context=encryption(server.get("sslmode", "")) if "host" in where else False,
            timeout=PATIENCE,
            application_name="finetune-harness",
            **where,
        )
        self._core._usock.settimeout(None)
        kinds = {
            16: _truth, 17: _blob, 20: int, 21: int, 23: int, 26: int, 28: int, 700: _number,
            701: _number, 1700: _number, 1042: str.rstrip, 1114: _moment, 1184: _moment,
        }  # fmt: skip
        self._core.pg_types = defaultdict(lambda: str, kinds)
        self.script(SETTINGS)

    def script(self, sql: str) -> None:
        """Run statements of our own, joined by semicolons."""
        self._core.execute_simple(sql)

    def rows(self, sql: str) -> list[Sequence[Cell]]:
        """Run one statement and return its rows."""
        return self.result(sql)[1]

    def result(self, sql: str) -> tuple[list[str], list[Sequence[Cell]]]:
        """Run one statement and return its columns and rows."""
        context = self._core.execute_unnamed(sql)
        columns = [str(column["name"]) for column in context.columns or ()]
        return columns, context.rows or []

    def copy(self, sql: str, data: str) -> None:
        """Run ``COPY … FROM stdin`` with its data."""
        self._core.execute_unnamed(sql, stream=[data.encode()])

    def close(self) -> None:
        """Close the connection; one that is gone already is closed."""
        try:
            self._core.close()
        except (Error, OSError):
            return


def sqlstate(error: Error) -> str:
    """Return PostgreSQL's code of an error; empty where the connection failed."""
    return str(_field(error, "C"))


def message(error: Error) -> str:
    """Return an error's own words, on one line."""
    if not isinstance(error, DatabaseError):
        cause = error.__cause__
        return " ".join(f"{error}{f' ({cause})' if cause else ''}".split())
    return " ".join(str(_field(error, "M") or error).split())


def _field(error: Error, name: str) -> object:
    found = error.args[0] if isinstance(error, DatabaseError) and error.args else None
    return found.get(name, "") if isinstance(found, dict) else ""


def quoted(name: str) -> str:
    """Return a name as SQL writes it.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(cell: Cell) -> str:
    r"""Return a cell as a literal without a type: the column's own input function reads it.

    >>> literal("it's"), literal(None), literal(b"\x01")
    ("'it''s'", 'NULL', "'\\x01'")
    """
    if cell is None:
        return "NULL"
    text = "\\x" + cell.hex() if isinstance(cell, bytes) else str(cell)
    return "'" + text.replace("'", "''") + "'"


def encryption(mode: str) -> ssl.SSLContext | bool | None:
    """Return pg8000's setting for libpq's ``sslmode``; by default as the server likes."""
    if mode in {"verify-ca", "verify-full"}:
        context = ssl.create_default_context()
        context.check_hostname = mode == "verify-full"
        return context
    return {"disable": False, "require": True}.get(mode)


def _truth(text: str) -> bool:
    return text == "t"


def _blob(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _number(text: str) -> Cell:
    """Read a number: an integer where it is one; NaN as text, which equals itself."""
    value = float(text)
    if not math.isfinite(value):
        return text
    whole = text.partition(".")
    return int(whole[0]) if whole[0].lstrip("-").isdigit() and not whole[2].strip("0") else value


def _moment(text: str) -> str:
    """Write midnight as its date, which PostgreSQL says it is equal to."""
    return text.removesuffix("+00").removesuffix(" 00:00:00")
