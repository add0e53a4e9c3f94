"""SQL of many dialects, and the ways in which a model's answer wraps a statement."""

import random
from collections.abc import Iterator

import sqlglot
from sqlglot.errors import ErrorLevel, SqlglotError
from support.paths import TESTS

from harness.sql.parse.lexer import tokenize

DIALECT_SQL = tuple(
    block.strip().removesuffix(";")
    for block in (TESTS / "golden" / "sql_dialects.sql").read_text("utf-8").split("\n\n")[1:]
)
"""Queries with what the dialects have of their own; most parse in one of them only."""

REASONING = """\
The user wants the names, so we need the table emp. First, we select from it; then we group by the
department. With a join we could also add the department's name (it isn't needed).

Let's think: "select the names" means one column. Order matters only if they ask for it.
"""
BEHIND = (
    "This query returns all the names.",
    "\nThis query returns all the names for each of the departments.",
    "\nWith this query you get the names, and it doesn't repeat any.",
    "From this we see every name once.",
    "\nWhere needed, add an index.",
    "\nExplanation:\n- `emp`: the employees\n- The filter keeps the rich ones; others drop out.",
    "\n**Note**: it's assumed that names are unique.",
    "\n### Explanation\n\n1. We read the table.\n2. We filter it.",
    "\nIn short: names only.",
    "\nOn the other hand, you could use a subquery; select whatever is faster.",
    "\nAnd that's it!",
    "\nOrder of the rows is left open by this.",
    "\nAs you can see, nothing is left to do.",
    "\n(Assuming that salaries are unique per person.)",
    "\nLet me know if you'd like another version.",
    "\nI hope this helps",
    "\n---\nUse it with care, please do.",
    "```\n\nThat's all.",
)


def broken_up(sql: str, generator: random.Random, *, comments: bool) -> str:
    """Break lines, and put comments, at random places between tokens."""
    pieces = []
    for token in tokenize(sql):
        pieces.append(token.text)
        if token.kind == "comment" and token.text.startswith("--"):
            pieces.append("\n")
        if token.kind == "space":
            fillers = ["\n", "\n  ", "  "]
            if comments:
                fillers += [" /* it's; a note */ ", " -- don't; stop\n", "\n-- Note: select\n"]
            if generator.random() < 0.5:
                pieces.append(generator.choice(fillers))
    return "".join(pieces)


def pretty(sql: str) -> str | None:
    """Return a query as sqlglot formats it, with blank lines between clauses; None if it cannot."""
    for dialect in ("sqlite", "postgres", "duckdb", "mysql", "tsql"):
        try:
            lines = sqlglot.transpile(
                sql, read=dialect, write=dialect, pretty=True, unsupported_level=ErrorLevel.IGNORE
            )[0].split("\n")
        except SqlglotError:
            continue
        return "\n".join(f"\n{line}" if line[:1].isalpha() else line for line in lines).strip()
    return None


def answers(sql: str, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """Yield (the kind of wrapping, the statement as it is written, the answer that holds it)."""
    behind = generator.choice(BEHIND)
    yield "bare", sql, sql
    yield "semicolon", sql, f"{sql};\n"
    yield "fenced", sql, f"Here it is:\n\n```sql\n{sql};\n```\n{behind.replace('```', '')}"
    yield "reasoned", sql, f"{REASONING}\n{sql}"
    yield "explained", sql, f"{sql}\n{behind}"
    yield "ended and explained", sql, f"{sql};\n{behind}"
    yield "around", sql, f"{REASONING}\nSQL query:\n\n{sql}\n{behind}"
    yield "header", sql, f"-- Don't repeat names; sorted\n/* v2 */\n\n{sql}\n{behind}"
    lines = broken_up(sql, generator, comments=False)
    yield "lines", sql, lines
    yield "lines, explained", sql, f"{lines}\n{behind}"
    commented = broken_up(sql, generator, comments=True)
    yield "comments", sql, commented
    yield "comments, explained", sql, f"{REASONING}\n{commented}\n{behind}"
    formatted = pretty(sql)
    if formatted is not None:
        yield "formatted", formatted, formatted
        yield "formatted, around", formatted, f"{REASONING}\n{formatted}\n{behind}"
