"""A PostgreSQL dump as a DuckDB script, for where there is no PostgreSQL to load it.

Tables, their rows, primary keys and views come over; sequences, functions, indexes and further keys
do not, and what sqlglot cannot translate is left out where a dump could do without it.
"""

import re
from collections.abc import Iterator

import sqlglot
from sqlglot import exp

from harness.sql.execute.jail.postgres_dump import DumpStatement, statements
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS

_COPY = re.compile(r"COPY\s+([\w.\"]+)\s*(\([^)]*\))?", re.IGNORECASE)
_KEY = re.compile(
    r"ALTER\s+TABLE\s+(?:ONLY\s+)?([\w.\"]+)\s+ADD\s+(?:CONSTRAINT\s+\S+\s+)?(PRIMARY\s+KEY\s*\(.*\))",
    re.IGNORECASE | re.DOTALL,
)
_KEPT = re.compile(
    r"(?:CREATE\s+(?:SCHEMA|TABLE|TYPE|(?:OR\s+REPLACE\s+)?VIEW)|INSERT)\b", re.IGNORECASE
)
_SERIAL = {"SMALLSERIAL": "SMALLINT", "SERIAL": "INT", "BIGSERIAL": "BIGINT"}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


def duckdb_script(script: str) -> str:
    """Translate what of a PostgreSQL script DuckDB can hold."""
    return ";\n".join(sql for statement in statements(script) for sql in _statement(statement))


def without_public(tree: exp.Expression) -> exp.Expression:
    """Leave out the schema ``public``, which DuckDB calls ``main``; change the tree."""
    for node in tree.find_all(exp.Table, exp.Column):
        if node.text("db").lower() == "public":
            node.set("db", None)
    return tree


def _statement(statement: DumpStatement) -> Iterator[str]:
    if statement.data is not None:
        yield from _rows(statement.sql, statement.data)
        return
    key = _KEY.match(statement.sql)
    if key:
        yield f"ALTER TABLE {_plain(key[1])} ADD {key[2]}"
    if not _KEPT.match(statement.sql):
        return
    try:
        trees = [tree for tree in sqlglot.parse(statement.sql, read="postgres") if tree]
        yield from [sql for tree in trees for sql in _written(tree)]
    except PARSER_ERRORS:
        if not statement.optional:
            yield statement.sql


def _written(tree: exp.Expression) -> Iterator[str]:
    """Write one statement, before it the sequences that number its columns."""
    table = tree.find(exp.Table)
    for number, column in enumerate(tree.find_all(exp.ColumnDef)):
        kind = column.args.get("kind")
        name = str(kind.this.value) if isinstance(kind, exp.DataType) else ""
        constraints = column.args.get("constraints") or []
        kept = [constraint for constraint in constraints if not _counts(constraint)]
        if name in _SERIAL or len(kept) < len(constraints):
            sequence = f"numbers_{number}_{table.name if table else ''}"
            yield f'CREATE SEQUENCE IF NOT EXISTS "{sequence}"'
            value = exp.func("nextval", exp.Literal.string(f'"{sequence}"'))
            kept.append(exp.ColumnConstraint(kind=exp.DefaultColumnConstraint(this=value)))
        if name in _SERIAL:
            column.set("kind", exp.DataType.build(_SERIAL[name]))
        column.set("constraints", kept)
    yield without_public(tree).sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.IGNORE)


def _counts(constraint: exp.Expression) -> bool:
    """Tell whether a column gets its values from a sequence."""
    kind = constraint.args.get("kind")
    if isinstance(kind, exp.GeneratedAsIdentityColumnConstraint):
        return kind.args.get("expression") is None
    return isinstance(kind, exp.DefaultColumnConstraint) and "NEXTVAL(" in kind.sql().upper()


def _rows(copy: str, data: str) -> Iterator[str]:
    """Write the data of a COPY as an INSERT."""
    found = _COPY.match(copy)
    lines = [line.removesuffix("\r") for line in data.split("\n") if line]
    if found is None or not lines:
        return
    rows = ", ".join(f"({', '.join(map(_value, line.split(chr(9))))})" for line in lines)
    yield f"INSERT INTO {_plain(found[1])} {found[2] or ''} VALUES {rows}"


def _value(text: str) -> str:
    r"""Read a cell of COPY's text format.

    >>> _value(r"\N"), _value(r"it's\ta")
    ('NULL', "'it''s\ta'")
    """
    if text == r"\N":
        return "NULL"
    plain = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text)
    return "'" + plain.replace("'", "''") + "'"


def _plain(table: str) -> str:
    return re.sub(r"^(?:public|\"public\")\.", "", table, flags=re.IGNORECASE)
