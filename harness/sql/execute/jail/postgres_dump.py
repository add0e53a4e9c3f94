"""Reading a schema script or a dump as ``psql`` would: statements, COPY data, meta-commands.

What a dump says of roles, owners and privileges, of other databases or of the session is left out:
it has no meaning where the script is loaded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = re.compile(
    r"""
    --[^\n]*
    | [eE]'(?:[^'\\]|''|\\.)*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | \$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$
    | \w+
    | \s+
    | (?P<open>/\*)
    | (?P<end>;)
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_COPIED = re.compile(r"COPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
_DATA_END = re.compile(r"^\\\.[ \t]*\r?(?:\n|\Z)", re.MULTILINE)

_MEANINGLESS = re.compile(
    r"""
    (?: BEGIN | START\s+TRANSACTION | COMMIT | END | ROLLBACK | SAVEPOINT | RELEASE
      | GRANT | REVOKE | COMMENT\s+ON | SECURITY\s+LABEL | VACUUM | ANALYZE | REINDEX | LOCK
      | (?:CREATE|ALTER|DROP)\s+(?:DATABASE|ROLE|USER|GROUP|TABLESPACE|PUBLICATION|SUBSCRIPTION
                                  |EVENT\s+TRIGGER|SERVER|DEFAULT\s+PRIVILEGES)
      | ALTER\s (?s:.*) \sOWNER\s+TO\s
      | (?:SET|RESET)\s+(?!(?:SESSION\s+|LOCAL\s+)?(?:search_path|datestyle|timezone|intervalstyle
                             |standard_conforming_strings|check_function_bodies)\b)
    )\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_OPTIONAL = re.compile(
    r"""
    (?: CREATE\s+(?:EXTENSION|SCHEMA|(?:UNIQUE\s+)?INDEX|TRIGGER|POLICY|RULE|OPERATOR|COLLATION
                   |(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE|(?:MATERIALIZED\s+)?VIEW
                                           |(?:TRUSTED\s+)?(?:PROCEDURAL\s+)?LANGUAGE))
      | DROP | SET | RESET | SELECT | ALTER\s+(?:FUNCTION|EXTENSION|INDEX)
      | ALTER\s+TABLE\s (?s:.*) \s
        (?:FOREIGN\s+KEY|CLUSTER\s+ON|SET\s+TABLESPACE|(?:ENABLE|DISABLE)\s+TRIGGER)
    )\b
    """,
    re.VERBOSE | re.IGNORECASE,
)


class DumpStatement(NamedTuple):
    """One statement; ``data`` follows a COPY, ``optional`` ones may fail."""

    sql: str
    data: str | None = None
    optional: bool = False


def statements(script: str) -> Iterator[DumpStatement]:
    r"""Yield what of a script is to be run.

    >>> [s.sql for s in statements("\\connect x\nSET lock_timeout = 0; SELECT ';' /* ; */; a")]
    ["SELECT ';' /* ; */", 'a']
    """
    place = 0
    while place < len(script):
        start, end = _next(script, place)
        sql = script[start:end].strip().rstrip(";").rstrip()
        place = max(end, place + 1)
        data = None
        if _COPIED.match(sql):
            line = script.find("\n", end) + 1 or len(script)
            found = _DATA_END.search(script, line)
            data = script[line : found.start() if found else len(script)]
            place = found.end() if found else len(script)
        if sql and not _MEANINGLESS.match(sql):
            yield DumpStatement(sql, data, _OPTIONAL.match(sql) is not None)


def _next(script: str, place: int) -> tuple[int, int]:
    """Return where the next statement begins, past comments and meta-commands, and ends."""
    start = None
    while place < len(script):
        match = _PIECE.match(script, place)
        assert match is not None  # the last alternative takes any character
        if match["open"]:
            place = _past_comment(script, match.end())
            continue
        blank = match[0].isspace() or match[0].startswith("--")
        if start is None and match[0] == "\\":
            place = script.find("\n", place) + 1 or len(script)
            continue
        if start is None and not blank:
            start = place
        place = match.end()
        if match["end"]:
            break
    return (place if start is None else start), place


def _past_comment(script: str, place: int) -> int:
    """Return the end of a block comment; they nest."""
    depth = 1
    for match in _COMMENT.finditer(script, place):
        depth += 1 if match[0] == "/*" else -1
        if not depth:
            return match.end()
    return len(script)
