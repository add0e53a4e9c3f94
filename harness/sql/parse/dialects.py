"""Queries and schema scripts of other dialects, translated for the engine that runs them.

SQLite and DuckDB run their own dialects; everything else goes through sqlglot. What sqlglot cannot
translate runs as it is: much of SQL is common to all.
"""

from dataclasses import replace
from functools import lru_cache

import sqlglot
from sqlglot.dialects.dialect import Dialect

from harness.errors import StudyError, nearest
from harness.sql.execute.database import Database
from harness.sql.parse.lexer import nests_deeper
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS

ENGINES = {"sqlite": "SQLite", "duckdb": "DuckDB", "postgres": "PostgreSQL"}
"""The engines that run queries, each its own dialect, with their names for people."""

MAX_TRANSLATED = 200_000
MAX_NESTING = 100


def check_dialect(name: str) -> None:
    """Raise StudyError if there is no such dialect."""
    # The engines' own come first: asking for all of sqlglot's loads each of its modules.
    if name not in ENGINES and name not in Dialect.classes:
        raise StudyError(f"no SQL dialect {name!r}{nearest(name, filter(None, Dialect.classes))}")


def translated(sql: str, dialect: str, engine: str) -> str:
    """Return a query in the engine's dialect, or as it is where it cannot be translated."""
    return sql if dialect == engine else _translate(sql, dialect, engine) or sql


def can_translate(sql: str, dialect: str, engine: str) -> bool:
    """Tell whether a query of another dialect runs in translation."""
    return _translate(sql, dialect, engine) is not None


def translated_database(database: Database, dialect: str) -> Database:
    """Return a database whose schema script is in its engine's dialect; files stay as they are."""
    if database.schema_sql is None or dialect == database.engine:
        return database
    script = translated(database.schema_sql, dialect, database.engine)
    return replace(database, schema_sql=script)


@lru_cache(maxsize=256)
def _translate(sql: str, dialect: str, engine: str) -> str | None:
    if len(sql) > MAX_TRANSLATED or nests_deeper(sql, MAX_NESTING):
        return None
    try:
        statements = sqlglot.transpile(sql, read=dialect, write=engine)
    except PARSER_ERRORS:
        return None
    return ";\n".join(statements)
