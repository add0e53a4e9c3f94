"""What goes between the sandbox and its worker processes: JSON lines, as typed dictionaries.

The worker (``jail/``) imports nothing of this package when it runs; it reads these types only while
it is type-checked.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypedDict

Cell: TypeAlias = bool | int | float | str | bytes | None
"""One value of a table."""

Cells: TypeAlias = tuple[Cell, ...]
"""One row of a table."""

ResultKind = Literal["ok", "error", "denied", "timeout", "rows", "memory", "crash", "database"]
"""How a statement may end."""

AnswerKind = ResultKind | Literal["open", "missing"]
"""The kind of a worker's line: of a statement, or of the opening of its database."""

Load = tuple[str, Sequence[Sequence[Cell]]]
"""An INSERT statement with a parameter for each column, and the rows to insert."""


class ServerSpec(TypedDict, total=False):
    """Where a PostgreSQL server is, and as whom to ask it.

    ``socket`` is the path of a Unix socket, in place of ``host`` and ``port``; ``snapshot`` is the
    exported state to read, ``schema`` the one to look for tables in, ``prefix`` how the names of
    scratch databases begin.
    """

    host: str
    port: int
    socket: str
    user: str
    password: str
    database: str
    sslmode: str
    snapshot: str
    schema: str
    prefix: str


class SourceSpec(TypedDict, total=False):
    """How a worker opens a database: the file at ``path``, or a ``script`` and then ``rows``.

    With a ``server``: the database that it names, or scratch databases on it for the script.
    """

    engine: str
    path: str
    script: str
    rows: Sequence[Load]
    server: ServerSpec


class WorkerRequest(TypedDict, total=False):
    """One line to a worker: statements to run (``sql``) or a schema to ``describe``."""

    key: str
    seconds: float
    source: SourceSpec
    sql: list[str]
    backwards: int
    seed: int
    forget: bool
    describe: int


class ColumnDescription(TypedDict):
    """One column; ``pk`` counts from 1 within a primary key, ``hidden`` is 2 or 3 if generated."""

    name: str
    type: str
    notnull: bool
    pk: int
    hidden: int


class ForeignKeyDescription(TypedDict):
    """``columns`` refer to ``parents`` of ``table`` (None: its primary key)."""

    table: str
    columns: list[str]
    parents: list[str | None]


class TableDescription(TypedDict):
    """One table or view, with its first rows."""

    name: str
    kind: str
    sql: str
    columns: list[ColumnDescription]
    unique: list[list[str | None]]
    foreign: list[ForeignKeyDescription]
    rows: Sequence[Sequence[Cell]]


class WorkerAnswer(TypedDict, total=False):
    """One line from a worker."""

    kind: AnswerKind
    columns: list[str]
    rows: Sequence[Sequence[Cell]]
    error: str
    seconds: float
    unstable: bool
    tables: list[TableDescription]
