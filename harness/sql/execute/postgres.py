"""Which PostgreSQL servers the judge may use: one that a study names, and one for scratch.

A **named** server holds databases of the user's: they are read only through a role that could not
write if it tried, all from one state, so that a gold and its answers see the same rows whatever
happens meanwhile. The **scratch** server is where scripts and neighbour instances are loaded: the
one that `SCRATCH` names, else one of our own, started from the installed programs when first
needed and ended with this process.
"""

import atexit
import getpass
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from harness.errors import DataError, HarnessError, InfrastructureError, StudyError
from harness.extras import require
from harness.sql.execute.messages import ServerSpec, SourceSpec

if TYPE_CHECKING:
    from harness.sql.execute.jail.postgres_client import PostgresConnection

SCRATCH = "HARNESS_POSTGRES_SCRATCH"
"""Environment variable: the url of a server on which the judge may make databases of its own."""

_SCHEMES = ("postgresql", "postgres")
_JAIL = Path(__file__).parent / "jail"
_lock = threading.RLock()


def is_postgres_url(text: str) -> bool:
    """Tell whether a text names a PostgreSQL server and not a file or folder.

    >>> is_postgres_url("postgresql://reader@db.example/shop"), is_postgres_url("databases")
    (True, False)
    """
    return text.partition("://")[0].partition("+")[0] in _SCHEMES and "://" in text


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A server, a database on it and a role: a url in parts; its text never shows the password."""

    host: str
    user: str
    database: str = ""
    port: int = 5432
    socket: str = ""
    sslmode: str = ""
    schema: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def from_url(cls, url: str) -> "PostgresServer":
        """Read a url such as ``postgresql://reader:${PASSWORD}@host:5432/shop?sslmode=require``.

        Environment variables are filled in; ``?host=/folder`` names the folder of a socket.

        Raises:
            StudyError: If it is no such url, or a variable in it is not set.
        """
        filled = os.path.expandvars(url)
        unset = re.search(r"\$\{?(\w+)", filled)
        if unset:
            raise StudyError(
                f"the environment variable {unset[1]!r} must be set: the url names it: {url}"
            )
        try:
            parts = urlsplit(filled)
            port = parts.port or 5432
        except ValueError as error:
            raise StudyError(f"a PostgreSQL url has a number for its port: {error}") from error
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        host = unquote(parts.hostname or "") or query.get("host", "") or "localhost"
        folder = host if host.startswith("/") else ""
        return cls(
            host=host,
            port=port,
            socket=f"{folder}/.s.PGSQL.{port}" if folder else "",
            user=unquote(parts.username or "") or query.get("user", "") or getpass.getuser(),
            password=unquote(parts.password or "") or query.get("password", ""),
            database=unquote(parts.path.strip("/")),
            sslmode=query.get("sslmode", ""),
        )

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}/{self.database}"

    @property
    def spec(self) -> ServerSpec:
        """What a worker needs in order to connect."""
        return {
            "host": self.host, "port": self.port, "socket": self.socket, "user": self.user,
            "password": self.password, "database": self.database, "sslmode": self.sslmode,
            "schema": self.schema,
        }  # fmt: skip

    def named(self, db_id: str) -> "PostgresServer":
        """Return where the database of a row is: on a server the one that ``db_id`` names.

        Where the url names a database, another ``db_id`` is a schema in it.
        """
        if not self.database:
            return replace(self, database=db_id)
        return self if db_id in {"", self.database} else replace(self, schema=db_id)


def databases_at(place: str | Path) -> Path | PostgresServer:
    """Return the databases that a study or a command names: a folder, or a server by its url."""
    text = str(place)
    return PostgresServer.from_url(text) if is_postgres_url(text) else Path(place)


def check_server(server: PostgresServer) -> None:
    """Check that a database of the user's is fit to be read, before anything is judged on it.

    Raises:
        InfrastructureError: If it cannot be reached, or is being written to.
        StudyError: If the role could write.
        DataError: If the schema is not there.
    """
    _checked(server).close()


def check_scratch() -> None:
    """Check the scratch server that the environment names, if it does.

    Raises:
        InfrastructureError: If it cannot be reached.
        StudyError: If its role may do more than create databases, or not even that.
    """
    if os.environ.get(SCRATCH):
        with _lock:
            scratch_server(os.environ[SCRATCH])


@lru_cache(maxsize=256)
def named_source(server: PostgresServer) -> tuple[str, ServerSpec]:
    """Return the key and the place of a database of the user's, held in its present state.

    Raises:
        InfrastructureError: If it cannot be reached, or is being written to.
        StudyError: If the role could write.
        DataError: If the schema is not there.
    """
    with _lock:
        connection = _checked(server)
        connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = str(connection.rows("SELECT pg_export_snapshot()")[0][0])
        atexit.register(connection.close)
    return f"postgres:{server}:{server.schema}:{snapshot}", {**server.spec, "snapshot": snapshot}


def _checked(server: PostgresServer) -> "PostgresConnection":
    connection = _connected(server)
    try:
        _check_role(connection, server)
        _check_still(connection, server)
    except HarnessError:
        connection.close()
        raise
    return connection


def _connected(server: PostgresServer) -> "PostgresConnection":
    require("databases")
    from pg8000.exceptions import Error

    from harness.sql.execute.jail.postgres_client import PostgresConnection, message

    try:
        return PostgresConnection(server.spec, server.database or "postgres")
    except (Error, OSError, AttributeError) as error:
        text = message(error) if isinstance(error, Error) else str(error)
        raise InfrastructureError(
            f"the PostgreSQL database {server} cannot be reached: {text}; check the url, the "
            "server and its pg_hba.conf"
        ) from error


_COULD_WRITE = """
SELECT 'is a superuser' FROM pg_roles WHERE rolname = current_user AND rolsuper
UNION ALL SELECT 'may create roles' FROM pg_roles WHERE rolname = current_user AND rolcreaterole
UNION ALL SELECT 'may create databases' FROM pg_roles WHERE rolname = current_user AND rolcreatedb
UNION ALL SELECT 'is a member of ' || rolname FROM pg_roles WHERE rolname = ANY (ARRAY[
    'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files',
    'pg_execute_server_program', 'pg_signal_backend', 'pg_maintain'])
  AND pg_has_role(current_user, oid, 'MEMBER')
UNION ALL SELECT 'may create in the database'
  WHERE has_database_privilege(current_database(), 'CREATE')
UNION ALL (SELECT 'may create in the schema ' || nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND has_schema_privilege(oid, 'CREATE') LIMIT 1)
UNION ALL (SELECT 'may write to ' || c.oid::regclass FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND ((c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND (has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
               OR has_any_column_privilege(c.oid, 'INSERT, UPDATE')))
         OR (c.relkind = 'S' AND has_sequence_privilege(c.oid, 'USAGE, UPDATE'))
         OR pg_has_role(current_user, c.relowner, 'MEMBER')) LIMIT 1)
"""


def _check_role(connection: "PostgresConnection", server: PostgresServer) -> None:
    found = connection.rows(_COULD_WRITE)
    if found:
        raise StudyError(
            f"a database is read through a role that can only read: {server.user!r} "
            f"{found[0][0]!s}; make one with CREATE ROLE … LOGIN, GRANT USAGE ON SCHEMA and GRANT "
            "SELECT ON ALL TABLES, and name it in the url"
        )
    if server.schema:
        from harness.sql.execute.jail.postgres_client import literal

        known = f"SELECT FROM pg_namespace WHERE nspname = {literal(server.schema)}"
        if not connection.rows(known):
            raise DataError(f"the database {server} has no schema {server.schema!r}")


_WRITERS = """
SELECT l.relation::regclass::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode IN ('RowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND l.pid <> pg_backend_pid() AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
LIMIT 1
"""


def _check_still(connection: "PostgresConnection", server: PostgresServer) -> None:
    found = connection.rows(_WRITERS)
    if found:
        raise InfrastructureError(
            f"the database {server} is being written to ({found[0][0]!s}): judge a copy, or wait "
            "until its writers are done"
        )


def located(spec: SourceSpec) -> SourceSpec:
    """Add the scratch server to a PostgreSQL script, which has no place of its own.

    Raises:
        InfrastructureError: If there is none, or it does not start.
    """
    if spec.get("engine") != "postgres" or "server" in spec:
        return spec
    with _lock:
        return {**spec, "server": scratch_server(os.environ.get(SCRATCH, ""))}


def can_load_scripts() -> bool:
    """Tell whether scripts run on a PostgreSQL: one is named for it, or can be started."""
    return find_spec("pg8000") is not None and bool(os.environ.get(SCRATCH) or _programs())


def server_release(server: PostgresServer) -> str:
    """Return which PostgreSQL a server is, such as ``15.3``.

    Raises:
        InfrastructureError: If it cannot be reached.
    """
    connection = _connected(server)
    try:
        return str(connection.rows("SHOW server_version")[0][0]).split()[0]
    finally:
        connection.close()


def scratch_release() -> str:
    """Return which PostgreSQL scripts are loaded on; empty where none is named or installed.

    Raises:
        InfrastructureError: If the named one cannot be reached.
    """
    if url := os.environ.get(SCRATCH):
        return server_release(PostgresServer.from_url(url))
    programs = _programs()
    if programs is None or not can_load_scripts():
        return ""
    asked = [str(programs / "postgres"), "--version"]  # "postgres (PostgreSQL) 15.3 (Debian ...)"
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return said.partition(")")[2].split()[0] if ")" in said else ""


@lru_cache(maxsize=4)
def scratch_server(url: str) -> ServerSpec:
    """Return the scratch server; an own one is started where no url is given.

    Raises:
        StudyError: If the named one's role is a superuser, or may not create databases.
        InfrastructureError: If it cannot be reached, or an own one does not start.
    """
    prefix = f"harness_{os.getpid()}_{secrets.token_hex(4)}"
    if not url:
        return {"socket": f"{_start()}/.s.PGSQL.5432", "user": "judge", "database": "postgres",
                "prefix": prefix}  # fmt: skip
    server = PostgresServer.from_url(url)
    connection = _connected(server)
    may = connection.rows(
        "SELECT rolsuper OR rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    )[0]
    if may[0] or not may[1]:
        found = "is a superuser or may create roles" if may[0] else "may create no database"
        raise StudyError(
            f"the role of {SCRATCH} may create databases and nothing more: {server.user!r} "
            f"{found}; make one with CREATE ROLE … LOGIN CREATEDB"
        )
    atexit.register(_sweep, connection, prefix)
    return {**server.spec, "database": server.database or "postgres", "prefix": prefix}


def _sweep(connection: "PostgresConnection", prefix: str) -> None:
    """Drop the scratch databases that workers left behind."""
    from pg8000.exceptions import Error

    try:
        found = connection.rows("SELECT datname FROM pg_database")
        for name in (str(row[0]) for row in found):
            if name.startswith(prefix):
                connection.rows(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    except Error:
        return  # the server is gone, and its databases with it
    connection.close()


def _start() -> str:
    """Start a server of our own; return the folder of its socket."""
    programs = _programs()
    if programs is None:
        raise InfrastructureError(
            f"a PostgreSQL script needs a server: install postgresql, or set {SCRATCH}"
        )
    environment: Mapping[str, str] = {
        key: value for key, value in os.environ.items() if key in {"PATH", "LD_LIBRARY_PATH"}
    }
    process = subprocess.Popen(
        [sys.executable, "-E", "-s", "-B", str(_JAIL / "postgres_server.py"), str(programs)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=environment, cwd=_JAIL.anchor, start_new_session=True, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    answer = process.stdout.readline().strip()
    if not answer or answer.startswith("error:"):
        process.wait()
        raise InfrastructureError(
            f"PostgreSQL in {programs} does not start: {answer or 'it ended'}; mend it, or name a "
            f"server in {SCRATCH}"
        )
    atexit.register(_end, process)
    return answer


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


@lru_cache(maxsize=1)
def _programs() -> Path | None:
    """Return the folder of PostgreSQL's server programs, of the newest version installed."""
    if os.name != "posix":
        return None
    found = shutil.which("initdb")
    if found and shutil.which("postgres"):
        return Path(found).parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3])
    )
    return versions[-1].parent if versions else None
