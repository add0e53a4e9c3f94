"""Parsing one query with sqlglot, within limits, and what sqlglot may raise."""

from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from harness.sql.parse.lexer import nests_deeper

MAX_PARSED = 20_000
MAX_NESTING = 60

PARSER_ERRORS = (
    SqlglotError, RecursionError, AttributeError, KeyError, IndexError, TypeError, ValueError,
    AssertionError,
)  # fmt: skip
"""What the parser and rewriting may raise on odd trees; an explanation lost, never a verdict."""


@lru_cache(maxsize=256)
def parse(sql: str, dialect: str = "sqlite") -> exp.Expression | None:
    """Parse one statement, or return None where the parser cannot (too deep, too long, unknown).

    The tree is shared between callers: copy it before you change it.
    """
    if len(sql) > MAX_PARSED or nests_deeper(sql, MAX_NESTING):
        return None
    try:
        trees = sqlglot.parse(sql, read=dialect)
    except PARSER_ERRORS:
        return None
    return trees[0] if len(trees) == 1 and isinstance(trees[0], exp.Query) else None
