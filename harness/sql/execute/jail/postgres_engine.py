"""PostgreSQL, held to reading: a statement is a cursor's query, its transaction is rolled back.

A named database is read as its server's role sees it. A script is loaded into a scratch database,
in a transaction that stays open and is never committed; what is read is read inside it.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from pg8000.exceptions import Error
from postgres_client import (  # type: ignore[import-not-found]
    PostgresConnection,
    literal,
    message,
    quoted,
    sqlstate,
)
from postgres_dump import statements  # type: ignore[import-not-found]
from postgres_schema import describe  # type: ignore[import-not-found]
from results import fetch  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from postgres_dump import DumpStatement

    from harness.sql.execute.messages import (
        Cell,
        ResultKind,
        ServerSpec,
        SourceSpec,
        WorkerAnswer,
    )

WALL = 3
"""Wall time of a statement, as a multiple of its processor time, which PostgreSQL cannot limit."""

RECYCLED_AFTER = 400
"""Uses of a scratch database; each leaves dead rows in its catalogue."""

BATCH = 500
"""Statements of a script that are sent together."""

KEPT = 3
"""Scratch databases that wait for their next script."""

_FORBIDDEN = re.compile(
    r"pg_(?!typeof$|column_size$|size_pretty$)\w*|lo_\w+|lo(?:read|write)|dblink\w*|\w+_to_xml\w*"
    r"|set_config|setval|nextval|ts_stat|ts_rewrite|crosstab\w*|connectby|copy"
)
"""Functions that reach the server, its files, other sessions or settings, or run text as SQL."""

_CHANCE = re.compile(
    r"random\w*|gen_random_\w+|uuid_generate_\w+|clock_timestamp|timeofday|setseed"
)
_CALL = re.compile(
    r"""--[^\n]*|/\*.*?\*/|(?P<odd>[uU]&")|'(?:[^']|'')*'
    |(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<word>[^\W\d]\w*))(?=(?P<call>(?:\s|--[^\n]*\n|/\*.*?\*/)*\()?)""",
    re.VERBOSE | re.DOTALL,
)
_QUERY = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|with|values|table)\b", re.IGNORECASE | re.DOTALL
)
_KINDS: dict[str, ResultKind] = {
    "57014": "timeout",
    "42501": "denied",  # insufficient privilege
    "25006": "denied",  # read-only transaction
    "0A000": "error",
    "53200": "memory",
    "53100": "memory",
    "53400": "memory",  # temp_file_limit
    "54000": "memory",
    "XX000": "memory",  # invalid memory alloc request size
}
_OTHER_PLANS = ("enable_hashagg", "enable_hashjoin", "enable_nestloop", "enable_indexscan")

_waiting: list[Scratch] = []


class OrphanRowError(ValueError):
    """A script that does not load because a row refers to one that is not there yet."""


class Scratch:
    """A scratch database with an open transaction, in which one script is loaded."""

    _made = 0

    def __init__(self, server: ServerSpec) -> None:
        Scratch._made += 1
        self.server, self.uses, self.loaded = server, 0, ""
        self.name = f"{server['prefix']}_{os.getpid()}_{Scratch._made}"
        self._owner(f"CREATE DATABASE {quoted(self.name)} TEMPLATE template0 ENCODING 'UTF8'")
        self.connection = PostgresConnection(server, self.name)

    def _owner(self, sql: str) -> None:
        owner = PostgresConnection(self.server, self.server["database"])
        try:
            owner.rows(sql)
        finally:
            owner.close()

    def load(self, script: str, seconds: float) -> None:
        """Load a script in a new transaction, unless it is what the open one begins with."""
        self.uses += 1
        if self.loaded == script:
            self.connection.script("ROLLBACK TO loaded")
            return
        self.loaded = ""
        limit = f"SET LOCAL statement_timeout = {int(1000 * WALL * seconds)}"
        try:
            self._load(script, f"ROLLBACK; BEGIN; {limit}")
        except OrphanRowError:  # tables filled before those they refer to, as in a dump of data
            self._load(
                script, f"ROLLBACK; BEGIN; {limit}; SET LOCAL session_replication_role = replica"
            )
            self.connection.script("SET LOCAL session_replication_role = origin")
        self.connection.script("RESET search_path")
        found = self.connection.rows(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND "
            "nspname <> 'information_schema' ORDER BY nspname <> 'public', oid"
        )
        path = ", ".join(quoted(str(row[0])) for row in found) or "''"
        self.connection.script(f"SET LOCAL search_path = {path}; SAVEPOINT loaded")
        self.loaded = script

    def _load(self, script: str, begin: str) -> None:
        self.connection.script(begin)
        for together in _batches(script):
            self._run(together)

    def _run(self, together: Sequence[DumpStatement]) -> None:
        """Run statements in one go; where that fails, one by one, to say which it was."""
        self.connection.script("SAVEPOINT step")
        try:
            if together[0].data is None:
                self.connection.script(";\n".join(statement.sql for statement in together))
            else:
                self.connection.copy(together[0].sql, together[0].data)
        except Error as error:
            if not sqlstate(error):
                raise
            self.connection.script("ROLLBACK TO step")
            if len(together) > 1:
                for statement in together:
                    self._run([statement])
            elif not together[0].optional:
                where = " ".join(together[0].sql[:80].split())
                text = f"the script does not load: {message(error)} (at {where!r})"
                raise (OrphanRowError if sqlstate(error) == "23503" else ValueError)(
                    text
                ) from error
        self.connection.script("RELEASE step")

    def insert(self, statement: str, rows: Sequence[Sequence[Cell]]) -> None:
        """Insert rows; where they break a constraint or a type, those that do not, one by one."""
        head = statement.partition(" VALUES ")[0] + " VALUES "
        texts = ["(" + ", ".join(map(literal, row)) + ")" for row in rows]
        if texts and not self._insert(head + ", ".join(texts)):
            for text in texts:
                self._insert(head + text)

    def _insert(self, sql: str) -> bool:
        self.connection.script("SAVEPOINT step")
        try:
            self.connection.rows(sql)
        except Error as error:
            if not sqlstate(error):
                raise
            self.connection.script("ROLLBACK TO step")
            return False
        return True

    def give_back(self) -> None:
        """Wait for the next script, or drop the database."""
        if self.loaded and self.uses < RECYCLED_AFTER and len(_waiting) < KEPT:
            _waiting.append(self)
            return
        self.connection.close()
        self._owner(f"DROP DATABASE IF EXISTS {quoted(self.name)} WITH (FORCE)")


def scratch(server: ServerSpec, script: str) -> Scratch:
    """Return a scratch database, rather one in which the script is loaded."""
    for chosen in [s for s in _waiting if s.loaded == script] or _waiting[:1]:
        _waiting.remove(chosen)
        return chosen
    return Scratch(server)


class PostgresDatabase:
    """A server's database, or a script in a scratch database, for statements that only read."""

    engine = "postgres"

    def __init__(self, source: SourceSpec, seconds: float) -> None:
        server = source["server"]
        self.scratch: Scratch | None = None
        try:
            if "script" in source:
                self._load(source, seconds)
            else:
                self.connection = PostgresConnection(server, server["database"])
                self._begin(server)
        except Error as error:
            raise ConnectionError(message(error)) from error
        self.seed = 0

    def _load(self, source: SourceSpec, seconds: float) -> None:
        self.scratch = scratch(source["server"], source["script"])
        self.connection = self.scratch.connection
        self.scratch.load(source["script"], seconds)
        for statement, rows in source.get("rows", ()):
            self.scratch.insert(statement, rows)
        self.connection.script("SET LOCAL transaction_read_only = on")

    def _begin(self, server: ServerSpec) -> None:
        """Begin to read, from the state that all workers of a judge read from."""
        self.connection.script("SET default_transaction_read_only = on")
        self.connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if server.get("snapshot"):
            self.connection.script(f"SET TRANSACTION SNAPSHOT {literal(server['snapshot'])}")
        if server.get("schema"):
            self.connection.script(f"SET LOCAL search_path = {quoted(server['schema'])}, public")

    def reseed(self, seed: int = 0) -> None:
        """Make what ``random()`` returns repeatable."""
        self.seed = seed

    def order(self, *, reverse: bool) -> None:
        """Let another plan find the same rows; the order in which they are stored is fixed."""
        state = "off" if reverse else "on"
        self.connection.script("; ".join(f"SET LOCAL {name} = {state}" for name in _OTHER_PLANS))

    def run(self, sql: str, seconds: float) -> WorkerAnswer:
        """Run one statement; never raises for what the statement does.

        Raises:
            ConnectionError: If the connection is lost.
        """
        started = time.monotonic()
        calls = list(_calls(sql))
        forbidden = next((name for name in calls if _FORBIDDEN.fullmatch(name)), None)
        result: WorkerAnswer
        if forbidden:
            result = {"kind": "denied", "error": f"the function {forbidden} may not be called"}
        elif "\0" in sql:
            result = {"kind": "error", "error": "the statement holds a NUL byte"}
        else:
            result = self._guarded(sql, seconds)
        result["seconds"] = round(time.monotonic() - started, 6)
        result["unstable"] = any(_CHANCE.fullmatch(name) for name in calls)
        return result

    def _guarded(self, sql: str, seconds: float) -> WorkerAnswer:
        limit = int(1000 * WALL * seconds)
        self.connection.script(
            f"SAVEPOINT answer; SET LOCAL statement_timeout = {limit}; "
            f"SELECT setseed({self.seed % 1000 / 1000})"
        )
        try:
            self.connection.rows(f"DECLARE answer NO SCROLL CURSOR FOR {sql}")
            return fetch(_Cursor(self.connection))  # type: ignore[no-any-return]
        except Error as error:
            if not sqlstate(error) or sqlstate(error).startswith(("57P", "08")):
                raise ConnectionError(message(error)) from error
            return {"kind": _kind(error, sql), "error": message(error)}
        except (UnicodeError, ValueError, OverflowError) as error:
            return {"kind": "error", "error": str(error)}
        finally:
            self._forget()

    def _forget(self) -> None:
        try:
            self.connection.script("ROLLBACK TO answer; RELEASE answer")
        except Error as error:
            raise ConnectionError(message(error)) from error

    def describe(self, limit: int, seconds: float) -> WorkerAnswer:
        """Return tables, views, columns, keys and sample rows."""
        self.connection.script(
            f"SAVEPOINT answer; SET LOCAL statement_timeout = {int(1000 * seconds)}"
        )
        try:
            return {"kind": "ok", "tables": describe(self.connection, limit)}
        except Error as error:
            return {"kind": "error", "error": message(error)}
        finally:
            self._forget()

    def close(self) -> None:
        """Close the connection, or keep the scratch database for the next script."""
        if self.scratch is not None:
            self.scratch.give_back()
        else:
            self.connection.close()


class _Cursor:
    """The open cursor as `results.fetch` reads one."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._next = self._read(1000)

    def _read(self, size: int) -> list[tuple[Cell, ...]]:
        columns, rows = self._connection.result(f"FETCH FORWARD {size} FROM answer")
        self.description = [(name,) for name in columns]
        return [tuple(row) for row in rows]

    def fetchmany(self, size: int) -> list[tuple[Cell, ...]]:
        """Return the next rows; none at the end."""
        found, self._next = self._next, []
        if len(found) == size:
            self._next = self._read(size)
        return found


def _batches(script: str) -> Iterator[list[DumpStatement]]:
    """Yield statements that can be sent together: what may fail, and COPY, goes alone."""
    together: list[DumpStatement] = []
    for statement in statements(script):
        alone = statement.optional or statement.data is not None
        if together and (alone or len(together) >= BATCH):
            yield together
            together = []
        if alone:
            yield [statement]
        else:
            together.append(statement)
    if together:
        yield together


def _calls(sql: str) -> list[str]:
    """Return the names that a statement calls; one written in Unicode escapes counts as denied."""
    found = []
    for match in _CALL.finditer(sql):
        if match["odd"]:
            found.append("pg_written_in_escapes")
        elif match["call"]:
            found.append(match["quoted"] or match["word"].lower())
    return found


def _kind(error: Error, sql: str) -> ResultKind:
    code, text = sqlstate(error), message(error)
    if code == "42601" and not _QUERY.match(sql):
        return "denied"
    if re.search(r"data-modifying|INTO is not allowed|cannot specify INTO|multiple commands", text):
        return "denied"
    if code == "XX000" and "memory" not in text:
        return "error"
    return _KINDS.get(code, "error")
