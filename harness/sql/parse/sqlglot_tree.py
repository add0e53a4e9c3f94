"""Parsing one query with sqlglot, within limits, and what sqlglot may raise."""

from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType

from harness.sql.parse.lexer import nests_deeper

MAX_PARSED = 20_000
MAX_NESTING = 60

PARSER_ERRORS = (
    SqlglotError, RecursionError, AttributeError, KeyError, IndexError, TypeError, ValueError,
    AssertionError,
)  # fmt: skip
"""What the parser and rewriting may raise on odd trees; an explanation lost, never a verdict."""


class SQLiteAsWritten(SQLite):  # type: ignore[misc] # sqlglot names it at run time
    """SQLite whose CASTs keep the type that was written, and MOD its name.

    To SQLite a type is an affinity: DECIMAL keeps an integer where REAL, as which sqlglot writes
    it, does not; DATE is a number and no call of ``DATE()``; STRING is a number, too. ``MOD``
    divides what ``%`` first cuts to integers.
    """

    class Parser(SQLite.Parser):  # type: ignore[misc]
        """The parser, with types of a CAST read as names."""

        FUNCTIONS = {  # noqa: RUF012 - as sqlglot has it
            name: build for name, build in SQLite.Parser.FUNCTIONS.items() if name != "MOD"
        }

        def _parse_cast(self, strict: bool, safe: bool | None = None) -> exp.Expr:
            node = super()._parse_cast(strict, safe)
            last = self._index - 1
            first = last
            while first > 0 and self._tokens[first].token_type != TokenType.ALIAS:
                first -= 1
            if isinstance(node, exp.Cast):
                kind = self._find_sql(self._tokens[first + 1], self._tokens[last])
                node.set("to", exp.DataType(this=exp.DType.USERDEFINED, kind=kind))
            return node


@lru_cache(maxsize=256)
def parse(sql: str, dialect: str = "sqlite") -> exp.Expression | None:
    """Parse one statement, or return None where the parser cannot (too deep, too long, unknown).

    The tree is shared between callers: copy it before you change it.
    """
    if len(sql) > MAX_PARSED or nests_deeper(sql, MAX_NESTING):
        return None
    try:
        trees = sqlglot.parse(sql, read=SQLiteAsWritten if dialect == "sqlite" else dialect)
    except PARSER_ERRORS:
        return None
    return trees[0] if len(trees) == 1 and isinstance(trees[0], exp.Query) else None
