"""Cheap proofs that two queries always give the same answer.

Two queries are proven equal if they have the same canonical form, which ignores names, aliases, the
order of inner joins and of conditions, and BETWEEN. Nothing is proven different here. A proof saves
the neighbour instances; the tests try to falsify it by running pairs that it calls equal.
"""

import re

from sqlglot import exp

from harness.sql.execute.database import Schema
from harness.sql.parse.binding import bind
from harness.sql.parse.canonical import canonicalize
from harness.sql.parse.clauses import canonical_text, is_equi_join
from harness.sql.parse.lexer import normalized
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS, parse

_UNSTABLE = re.compile(r"\b(?:random|randomblob|now|current_\w+)\b", re.IGNORECASE)


def proven_equal(left: str, right: str, schema: Schema) -> bool:
    """Tell whether two SQLite queries are certainly the same; False means "not known"."""
    if _UNSTABLE.search(left) or _UNSTABLE.search(right):
        return False
    if normalized(left) == normalized(right):
        return True
    if any(re.search(r"\bcollate\b", table.ddl, re.IGNORECASE) for table in schema.tables):
        return False
    try:
        return _same_form(left, right, schema)
    except PARSER_ERRORS:
        return False


def _same_form(left: str, right: str, schema: Schema) -> bool:
    trees = [parse(sql) for sql in (left, right)]
    forms = [tree and canonicalize(tree, schema.columns) for tree in trees]
    if forms[0] is None or forms[1] is None:
        return False
    if canonical_text(forms[0]) == canonical_text(forms[1]):
        return True
    if any(tree is None or _mixes_types(tree, schema) for tree in trees):
        return False
    return canonical_text(forms[0], merge=True) == canonical_text(forms[1], merge=True)


def _mixes_types(tree: exp.Expression, schema: Schema) -> bool:
    """Tell whether columns of different declared types are equated: ``'1'`` may meet ``1``."""
    columns = schema.columns
    bound = bind(tree, columns)
    for node in bound.tree.find_all(exp.EQ):
        if is_equi_join(node):
            places = [bound.column(node.this), bound.column(node.expression)]
            types = {columns[p[0]][p[1]].lower() if p else "" for p in places}
            if len(types) != 1 or "" in types:
                return True
    return False
