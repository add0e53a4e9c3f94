"""Which database an answer is judged on, and what is known about its tables and keys.

A `Database` is only a description: nothing but the sandbox ever opens it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypedDict, cast

from harness.errors import DataError
from harness.sql.execute.column_stats import ColumnStats, column_stats, sound_keys
from harness.sql.execute.messages import Cells, TableDescription
from harness.sql.execute.postgres import PostgresServer, named_source
from harness.sql.execute.sandbox import Sandbox, Source

Engine = Literal["sqlite", "duckdb", "postgres"]
SAMPLE_ROWS = 5_000
"""Rows of each table that are read to learn what its values look like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database as a script, a file or a PostgreSQL server's; give exactly one of the three.

    ``schema_sql`` is a script of CREATE TABLE and INSERT; ``path`` a ``.sqlite`` or ``.duckdb``
    file, or a ``.sql`` file that holds such a script; ``server`` names a database to be read there.
    ``tables`` is the database's entry in Spider's ``tables.json`` where keys are not declared in
    the database itself.

    Raises:
        DataError: If several or none are given, or the file is missing or unusable.
    """

    schema_sql: str | None = None
    path: Path | None = None
    tables: Mapping[str, object] | None = field(default=None, hash=False, compare=False)
    engine: Engine = "sqlite"
    server: PostgresServer | None = None

    def __post_init__(self) -> None:
        given = [part for part in (self.schema_sql, self.path, self.server) if part is not None]
        if len(given) != 1:
            raise DataError(
                "a database is one schema script, one file or one database of a server: "
                f"got {len(given) or 'none'} of them"
            )
        if self.path is None:
            return
        if not self.path.is_file():
            raise DataError(
                f"no database file at {self.path}; give an existing .sqlite or .sql file"
            )
        write_ahead = self.path.with_name(self.path.name + "-wal")
        if write_ahead.is_file() and write_ahead.stat().st_size:
            raise DataError(
                f"{self.path} has changes in {write_ahead.name} that a read-only judge cannot see; "
                "close its writer or run `PRAGMA wal_checkpoint(TRUNCATE)` first"
            )

    @property
    def source(self) -> Source:
        """What a worker needs in order to open it; the key changes whenever the content does."""
        if self.server is not None:
            key, server = named_source(self.server)
            return Source(key=key, spec={"engine": "postgres", "server": server})
        if self.path is None:
            return _script_source(self.schema_sql or "", self.engine)
        if self.path.suffix.lower() == ".sql":
            return _file_script(str(self.path), self.path.stat().st_mtime_ns, self.engine)
        stat = self.path.stat()
        key = f"{self.engine}:{self.path.absolute()}:{stat.st_mtime_ns}:{stat.st_size}"
        return Source(key=key, spec={"engine": self.engine, "path": str(self.path.absolute())})

    @property
    def key(self) -> str:
        """What tells this database, with the keys that come beside it, from all others."""
        keys = ("primary_keys", "foreign_keys")
        beside = "" if self.tables is None else [self.tables.get(name) for name in keys]
        return f"{self.source.key}:{beside}"


@lru_cache(maxsize=512)
def _script_source(script: str, engine: str) -> Source:
    digest = hashlib.sha256(script.encode("utf-8", "surrogatepass")).hexdigest()
    return Source(key=f"{engine}:{digest}", spec={"engine": engine, "script": script})


@lru_cache(maxsize=512)
def _file_script(path: str, _changed: int, engine: str) -> Source:
    try:
        return _script_source(Path(path).read_text(encoding="utf-8"), engine)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a schema script must be readable UTF-8 text: {path}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSchema:
    """One column; ``type`` as declared, ``filled`` by the engine (a generated column)."""

    name: str
    type: str = ""
    not_null: bool = False
    filled: bool = False
    stats: ColumnStats = field(default_factory=ColumnStats)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """``columns`` of this table refer to ``parents`` of ``table``."""

    columns: tuple[str, ...]
    table: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """One table with its declared keys (names in lower case) and its first rows.

    ``keys`` are the columns that hold no value twice, by declaration or by what the rows show.
    """

    name: str
    ddl: str
    columns: tuple[ColumnSchema, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    rows: tuple[Cells, ...] = ()
    keys: tuple[tuple[int, ...], ...] = ()

    def index(self, column: str) -> int | None:
        """Return a column's position, case aside."""
        names = [c.name.lower() for c in self.columns]
        return names.index(column.lower()) if column.lower() in names else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """All tables of a database, and the definitions of its views."""

    tables: tuple[TableSchema, ...]
    views: tuple[str, ...] = ()
    view_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def table(self, name: str) -> TableSchema | None:
        """Return a table by name, case aside."""
        return next((t for t in self.tables if t.name.lower() == name.lower()), None)

    @property
    def columns(self) -> dict[str, dict[str, str]]:
        """``{table: {column: type}}`` in lower case, views included."""
        found = {t.name.lower(): {c.name.lower(): c.type for c in t.columns} for t in self.tables}
        views = {
            v.lower(): dict.fromkeys(map(str.lower, c), "") for v, c in self.view_columns.items()
        }
        return found | views


class SpiderTables(TypedDict):
    """What is used of a database's entry in Spider's ``tables.json``; columns by their index."""

    table_names_original: list[str]
    column_names_original: list[tuple[int, str]]
    primary_keys: list[int | list[int]]
    foreign_keys: list[tuple[int, int]]


def read_schema(sandbox: Sandbox, database: Database) -> Schema:
    """Read tables, keys and sample rows through the sandbox.

    Raises:
        InfrastructureError: If the database cannot be opened.
    """
    described = sandbox.describe(database.source, sample=SAMPLE_ROWS)
    tables = [_table(entry) for entry in described if entry["kind"] == "table"]
    views = [entry for entry in described if entry["kind"] == "view"]
    if database.tables is not None:
        try:
            tables = [_with_keys(table, cast("SpiderTables", database.tables)) for table in tables]
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise DataError(
                f"'tables' must be a database's entry of Spider's tables.json: {error!r} is amiss"
            ) from error
    tables = [_with_sound_keys(table) for table in tables]
    return Schema(
        tables=tuple(tables),
        views=tuple(entry["sql"] for entry in views),
        view_columns={v["name"]: tuple(c["name"] for c in v["columns"]) for v in views},
    )


def _table(entry: TableDescription) -> TableSchema:
    rows = tuple(map(tuple, entry["rows"]))
    columns = tuple(
        ColumnSchema(
            name=c["name"],
            type=c["type"],
            not_null=c["notnull"],
            filled=c["hidden"] > 1,
            stats=column_stats([row[i] for row in rows] if entry["rows"] else (), c["type"]),
        )
        for i, c in enumerate(entry["columns"])
    )
    keyed = sorted((c["pk"], c["name"].lower()) for c in entry["columns"] if c["pk"])
    foreign = tuple(
        ForeignKey(
            columns=tuple(c.lower() for c in key["columns"]),
            table=key["table"].lower(),
            parents=tuple((p or "").lower() for p in key["parents"]),
        )
        for key in entry["foreign"]
    )
    unique = tuple(tuple(c.lower() for c in u if c) for u in entry["unique"] if all(u))
    return TableSchema(
        name=entry["name"],
        ddl=entry["sql"],
        columns=columns,
        primary_key=tuple(name for _, name in keyed),
        unique=unique,
        foreign_keys=foreign,
        rows=rows,
    )


def _with_sound_keys(table: TableSchema) -> TableSchema:
    declared = []
    for names in (table.primary_key, *table.unique):
        places = [table.index(name) for name in names]
        if names and None not in places:
            declared.append([place for place in places if place is not None])
    return replace(table, keys=sound_keys(declared, table.rows, len(table.columns)))


def _with_keys(table: TableSchema, spider: SpiderTables) -> TableSchema:
    """Add the keys that Spider's ``tables.json`` declares."""
    tables: Sequence[str] = [name.lower() for name in spider["table_names_original"]]
    columns: Sequence[tuple[int, str]] = [
        (t, c.lower()) for t, c in spider["column_names_original"]
    ]
    if table.name.lower() not in tables:
        return table
    mine = tables.index(table.name.lower())
    flat = [k for key in spider["primary_keys"] for k in (key if isinstance(key, list) else [key])]
    primary = tuple(columns[k][1] for k in flat if columns[k][0] == mine)
    foreign = {
        ForeignKey(columns=(columns[c][1],), table=tables[columns[p][0]], parents=(columns[p][1],))
        for c, p in spider["foreign_keys"]
        if columns[c][0] == mine
    }
    return replace(
        table,
        primary_key=table.primary_key or primary,
        foreign_keys=table.foreign_keys
        or tuple(sorted(foreign, key=lambda key: (key.columns, key.table, key.parents))),
    )
