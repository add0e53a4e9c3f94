"""Where a history lies: its address, the connection to it, and the sentence where there is none."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy import event

from harness.errors import InfrastructureError, StudyError
from harness.secrets import keep_unsaid
from harness.sql.execute.postgres import PostgresServer, is_postgres_url

PATIENCE = 15
"""Seconds that a history which another process writes is waited for."""

_REPLY = 4 * PATIENCE
"""Seconds that a server may be silent: longer than it waits for a lock."""
_FILE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class HistoryPlace:
    """An SQLite file, or a database on a PostgreSQL server."""

    where: Path | PostgresServer

    @classmethod
    def of(cls, store: str) -> "HistoryPlace":
        """Read what a user gives: a path, ``sqlite:///`` and a path, or ``postgresql://…/name``.

        ``${NAME}`` is filled in from the environment; a password is never said.

        Raises:
            StudyError: If it is nothing of these.
        """
        _hush(store)
        if is_postgres_url(store):
            server = PostgresServer.from_url(store)
            keep_unsaid(server.password)
            if not server.database:
                raise StudyError(
                    f"a history's url must name a database: {server} names none; end it with /NAME"
                )
            return cls(server)
        scheme, sign, _ = store.partition("://")
        path = store.removeprefix(_FILE)
        if not path or (sign and path == store):
            raise StudyError(
                "a history is kept in an SQLite file (a path, or sqlite:///path) or on PostgreSQL "
                f"(postgresql://user@host/name): found {f'{scheme}://' if sign else 'nothing'}"
            )
        return cls(Path(path).expanduser())

    def __str__(self) -> str:
        return str(self.where)

    def engine(self, *, write: bool) -> sqlalchemy.Engine:
        """Return what connects; an SQLite file is only made in order to write.

        Raises:
            StudyError: If there is no history to read.
        """
        if isinstance(self.where, PostgresServer):
            return _server(self.where)
        if not write and not self.where.is_file():
            raise StudyError(
                f"no history at {self.where}: begin it with 'harness history add RUN', or say "
                "where it is with --store"
            )
        return _file(self.where, write=write)


def _hush(store: str) -> None:
    """Keep the password in an address from being said, also where the address cannot be read."""
    user, at, _ = store.partition("://")[2].rpartition("@")
    password = user.partition(":")[2] if at else ""
    if not re.fullmatch(r"\$\{?\w+\}?", password):
        for part in (password, *re.split(r"[/?#@:]", password)):
            keep_unsaid(part)


def _server(server: PostgresServer) -> sqlalchemy.Engine:
    def connect() -> object:
        import pg8000.dbapi

        from harness.sql.execute.jail.postgres_client import encryption

        here = {"unix_sock": server.socket} if server.socket else {
            "host": server.host, "port": server.port, "ssl_context": encryption(server.sslmode)
        }  # fmt: skip
        return pg8000.dbapi.connect(
            server.user,
            database=server.database,
            password=server.password or None,
            timeout=_REPLY,
            application_name="finetune-harness",
            **here,
        )

    return sqlalchemy.create_engine(
        "postgresql+pg8000://", creator=connect, poolclass=sqlalchemy.NullPool
    )


def _file(path: Path, *, write: bool) -> sqlalchemy.Engine:
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
    mode = "rwc" if write else "ro"
    engine = sqlalchemy.create_engine(
        f"sqlite:///{path.resolve().as_uri()}?mode={mode}&uri=true",
        connect_args={"timeout": PATIENCE},
        poolclass=sqlalchemy.NullPool,
    )

    def begin_it_ourselves(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", begin_it_ourselves)
    event.listen(engine, "begin", begin)
    return engine


@contextmanager
def explained(place: HistoryPlace) -> Iterator[None]:
    """Turn what a database refuses into one sentence.

    Raises:
        InfrastructureError: Naming the history, the reason and the remedy.
    """
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        why = _reason(error)
        remedy = "check the address, the server and what its role may do"
        if isinstance(place.where, Path):
            remedy = "give the path of a history, or of a new file, in a folder that is writable"
        if "lock" in why:
            remedy = "another command is at work in it: wait for its end and try again"
        raise InfrastructureError(f"the history {place} cannot be used: {why}; {remedy}") from error


def _reason(error: Exception) -> str:
    from pg8000.exceptions import Error

    from harness.sql.execute.jail.postgres_client import message

    found = getattr(error, "orig", None) or error
    if isinstance(found, Error):
        return message(found)
    return str(found).strip().split("\n")[0] or type(found).__name__
