"""A PostgreSQL server for tests, with a database of somebody's and roles that may more or less."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.sql.execute import postgres

SHOP = """
CREATE TABLE customer (id integer PRIMARY KEY, name text NOT NULL, city varchar(20), since date);
CREATE TABLE purchase (
  id serial PRIMARY KEY, customer_id integer REFERENCES customer(id),
  amount numeric(8,2) NOT NULL, paid boolean, at timestamp NOT NULL
);
INSERT INTO customer VALUES (1, 'Ann', 'Rome', '2020-01-01'), (2, 'Bob', 'Oslo', '2021-05-02'),
  (3, 'Cid', 'Rome', '2022-03-04'), (4, 'Dee', NULL, NULL);
INSERT INTO purchase (customer_id, amount, paid, at) VALUES
  (1, 10.5, true, '2024-01-01 10:00'), (1, 20, false, '2024-02-01'),
  (2, 99.99, true, '2024-02-03 08:30'),
  (3, 5, NULL, '2024-03-09 17:45'), (2, 20, true, '2024-04-01 09:15');
CREATE SCHEMA archive;
CREATE TABLE archive.note (id integer, words text);
INSERT INTO archive.note VALUES (1, 'old');
"""
ROLES = """
CREATE ROLE reader LOGIN PASSWORD 'secret';
GRANT USAGE ON SCHEMA public, archive TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public, archive TO reader;
CREATE ROLE clerk LOGIN;
GRANT USAGE ON SCHEMA public TO clerk;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO clerk;
"""


@dataclass(frozen=True)
class Server:
    """A running server; ``folder`` is that of its socket."""

    folder: Path

    def url(self, role: str, database: str = "shop") -> str:
        """Return the url for a role."""
        return f"postgresql://{role}@/{database}?host={self.folder}"

    def run(self, sql: str, *, role: str = "owner", database: str = "shop") -> None:
        """Run a script as its owner."""
        connection = self.connect(role, database)
        connection.script(sql)
        connection.close()

    def connect(self, role: str = "owner", database: str = "shop"):  # noqa: ANN201 - its driver's
        """Open a connection."""
        from harness.sql.execute.jail.postgres_client import PostgresConnection

        return PostgresConnection(
            {"socket": f"{self.folder}/.s.PGSQL.5432", "user": role}, database
        )


def require_postgres() -> Path:
    """Return the folder of PostgreSQL's programs; skip the test where there is none."""
    pytest.importorskip("pg8000")
    programs = postgres._programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's server programs (Debian's postgresql)")
    return programs


@contextmanager
def running_postgres() -> Iterator[Server]:
    """Run a server with the database ``shop``."""
    script = Path(postgres.__file__).parent / "jail" / "postgres_server.py"
    process = subprocess.Popen(
        [sys.executable, str(script), str(require_postgres())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        server = Server(Path(process.stdout.readline().strip()))
        connection = server.connect(database="postgres")
        connection.rows("CREATE DATABASE shop")
        connection.close()
        server.run(SHOP)
        server.run(ROLES)
        yield server
    finally:
        process.communicate()
