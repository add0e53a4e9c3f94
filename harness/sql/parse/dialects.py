"""Queries and schema scripts of other dialects, translated for the engine that runs them.

SQLite, DuckDB and PostgreSQL run their own dialects; everything else goes through sqlglot.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from harness.errors import StudyError, nearest
from harness.sql.execute.database import Database
from harness.sql.parse.dump_translation import duckdb_script, without_public
from harness.sql.parse.lexer import nests_deeper
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS

ENGINES = {"sqlite": "SQLite", "duckdb": "DuckDB", "postgres": "PostgreSQL"}
"""The engines that run queries, each its own dialect, with their names for people."""

Problem = Literal["", "unparsable", "untranslated"]
"""Why a query of another dialect cannot run."""

IGNORE = sqlglot.ErrorLevel.IGNORE
MAX_TRANSLATED = 200_000
MAX_NESTING = 100


def check_dialect(name: str) -> None:
    """Raise StudyError if there is no such dialect."""
    # The engines' own come first: asking for all of sqlglot's loads each of its modules.
    if name not in ENGINES and name not in Dialect.classes:
        raise StudyError(f"no SQL dialect {name!r}{nearest(name, filter(None, Dialect.classes))}")


def translated(sql: str, dialect: str, engine: str) -> str:
    """Return a query in the engine's dialect, or as it is where it cannot be translated."""
    return sql if dialect == engine else _translate(sql, dialect, engine)[1] or sql


def translation_problem(sql: str, dialect: str, engine: str) -> Problem:
    """Return why a query cannot run in translation; empty where it can.

    ``unparsable``: it is no query of its dialect. ``untranslated``: it is, and the engine has
    nothing that means the same.
    """
    return "" if dialect == engine else _translate(sql, dialect, engine)[0]


def translated_database(database: Database, dialect: str) -> Database:
    """Return a database whose schema script is in its engine's dialect; files stay as they are."""
    if database.schema_sql is None or dialect == database.engine:
        return database
    script = _translate_script(database.schema_sql, dialect, database.engine)
    return replace(database, schema_sql=script)


@lru_cache(maxsize=64)
def _translate_script(script: str, dialect: str, engine: str) -> str:
    try:
        if (dialect, engine) == ("postgres", "duckdb"):
            return duckdb_script(script)
        return ";\n".join(
            sqlglot.transpile(script, read=dialect, write=engine, unsupported_level=IGNORE)
        )
    except PARSER_ERRORS:
        return script


@lru_cache(maxsize=512)
def _translate(sql: str, dialect: str, engine: str) -> tuple[Problem, str]:
    if len(sql) > MAX_TRANSLATED or nests_deeper(sql, MAX_NESTING):
        return "untranslated", ""
    try:
        trees = [tree for tree in sqlglot.parse(sql, read=dialect) if tree is not None]
    except PARSER_ERRORS:
        return "unparsable", ""
    try:
        texts = [
            _adapted(tree, dialect, engine).sql(
                dialect=engine, unsupported_level=sqlglot.ErrorLevel.RAISE
            )
            for tree in trees
        ]
    except PARSER_ERRORS:
        return "untranslated", ""
    return "", ";\n".join(texts)


def _adapted(tree: exp.Expression, dialect: str, engine: str) -> exp.Expression:
    """Change what means something else to the engine and sqlglot leaves as it is."""
    if engine != "duckdb":
        return tree
    if dialect == "postgres":
        return without_public(tree)
    if dialect in {"mysql", "tsql"}:  # whose LIKE does not heed case
        return tree.transform(
            lambda node: exp.ILike(**node.args) if type(node) is exp.Like else node, copy=False
        )
    return tree
