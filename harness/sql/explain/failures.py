"""Why a statement gave no result, in words that name the mistake and the nearest right name."""

import re

from harness.errors import nearest
from harness.sql.execute.database import Schema
from harness.sql.execute.sandbox import QueryResult
from harness.sql.parse.dialects import ENGINES
from harness.sql.parse.lexer import significant
from harness.sql.parse.sqlglot_tree import parse

EXTRACTION = {
    "no_sql": "no SQL statement was found in the answer",
    "truncated": "the statement breaks off before its end",
    "multi_statement": "several statements were given where one query is allowed",
    "refused_write": "the statement is no query: only SELECT, WITH and VALUES may run",
    "not_a_query": "EXPLAIN describes a query and answers nothing",
    "too_long": "the statement is longer than 100,000 characters",
}
"""What each problem of extraction means."""

REFUSED = frozenset({"multi_statement", "refused_write", "not_a_query"})
"""Problems that are asked-for harm or no query at all: the verdict is ``refused``."""

_BY_KIND = {
    "timeout": ("timeout", "the query did not end within its time limit"),
    "rows": ("row_or_memory_cap", "the query returns more rows or bytes than any answer needs"),
    "memory": ("row_or_memory_cap", "the query needs more memory than allowed"),
    "crash": ("crash", "the query ended the database engine"),
    "denied": ("refused_write", "the statement asks for more than reading tables"),
}
_MESSAGES = (
    (r"no such function: (?P<name>\w+)", "dialect_function", "there is no function {name}"),
    (
        r"Function with name (?P<name>\w+) does not|function (?P<other>\w+)\(.*\) does not exist",
        "dialect_function",
        "there is no function {name}",
    ),
    (
        r"ambiguous column name: (?P<name>\S+)|Ambiguous reference"
        r'|column reference "(?P<other>[^"]+)" is ambiguous',
        "ambiguous_column",
        "the column {name} could belong to several tables",
    ),
    (
        r"misuse of aggregate|aggregate functions are not allowed|aggregate|GROUP BY clause",
        "aggregate_misuse",
        "an aggregate function stands where none may",
    ),
    (
        r"wrong number of arguments",
        "wrong_arguments",
        "a function has the wrong number of arguments",
    ),
    (
        r"same number of (?:result )?columns",
        "set_operation_columns",
        "the two sides of a set operation have different numbers of columns",
    ),
    (
        r"sub-select returns|row value misused|[Ss]ubquery (?:must return|returns \d+ columns)",
        "subquery_columns",
        "a subquery has more columns than its place allows",
    ),
    (
        r"too large|stack overflow|stack depth|too many|too deep|recursion",
        "too_complex",
        "the statement is nested deeper or has more parts than allowed",
    ),
    (
        r"operator does not exist|invalid input syntax|cannot cast|cannot be matched|must be type"
        r"|Conversion Error|Cannot (?:compare|mix)|No function matches|out of range",
        "type_error",
        "values stand together whose types do not go together",
    ),
)


def explain_failure(
    result: QueryResult, sql: str, schema: Schema, engine: str = "sqlite"
) -> tuple[str, str]:
    """Return the label and a sentence for a result that is not ``ok``."""
    if result.kind in _BY_KIND:
        label, text = _BY_KIND[result.kind]
        return label, f"{text} ({result.error})" if result.kind == "denied" else text
    missing = re.search(
        r"no such (table|column): (\S+)|(Table) with name (\S+) does not"
        r'|Referenced (column) "([^"]+)" not found|(column) "?([\w.]+)"? does not exist'
        r'|(relation) "([^"]+)" does not exist|FROM-clause entry for (table) "([^"]+)"',
        result.error,
    )
    if missing:
        kind, name = [part for part in missing.groups() if part]
        return _unknown("column" if kind == "column" else "table", name, sql, schema)
    for pattern, label, text in _MESSAGES:
        found = re.search(pattern, result.error)
        if found:
            name = next(filter(None, found.groupdict().values()), "")
            return label, text.format(name=name)
    other = other_dialect(sql, engine)
    if other:
        text = f"the statement is {other}, not {ENGINES[engine]} ({result.error})"
        return "dialect_syntax", text
    return "syntax_error", f"the statement cannot be parsed ({result.error})"


def other_dialect(sql: str, engine: str) -> str | None:
    """Return a dialect in which a statement parses that the engine's does not read, if any."""
    if parse(sql, engine) is not None:
        return None
    known = ("postgres", "mysql", "tsql")
    return next((name for name in known if parse(sql, name) is not None), None)


def _unknown(kind: str, name: str, sql: str, schema: Schema) -> tuple[str, str]:
    bare = name.rsplit(".", maxsplit=1)[-1].strip('"`[]')
    columns = schema.columns
    if kind == "table":
        return (
            "unknown_table",
            f"there is no table {bare!r}{nearest(bare, [t.name for t in schema.tables])}",
        )
    owners = [table.name for table in schema.tables if table.index(bare) is not None]
    if owners:
        where = " or ".join(owners[:3])
        return "column_wrong_table", f"the column {name!r} is not reachable there; {where} has it"
    used = {token.text.strip('"`[]').lower() for token in significant(sql)}
    near = {c for t, cs in columns.items() if t in used for c in cs} or {
        c for cs in columns.values() for c in cs
    }
    return "unknown_column", f"there is no column {name!r}{nearest(bare.lower(), near)}"
