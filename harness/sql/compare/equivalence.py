"""Cheap proofs that two queries always give the same answer.

Two queries are proven equal if they have the same tokens, or the same canonical form, which ignores
names, aliases, the order of inner joins and of conditions, and BETWEEN. Nothing is proven different
here. A proof saves the neighbour instances.

A form is only believed where the parser read the query as SQLite does: what it writes has the words
that it was given (a CAST or a function it knows by another name has not), and no comparison stands
in another without parentheses. The tests try to falsify all of it by running pairs that are called
equal, and queries with the form they were given.
"""

import re
from collections import Counter
from itertools import pairwise

from sqlglot import exp

from harness.sql.execute.database import Schema
from harness.sql.parse.binding import bind
from harness.sql.parse.canonical import canonicalize
from harness.sql.parse.clauses import canonical_text, is_equi_join
from harness.sql.parse.lexer import normalized
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS, parse

_OPEN = re.compile(
    r"\b(?:random|randomblob|now|current_\w+|group_concat|string_agg|json_group_\w+|over|collate"
    r"|last_insert_rowid|total_changes|changes)\b",
    re.IGNORECASE,
)
"""What depends on the clock, on chance or on the order of rows, and explicit collations."""

_SAME = {"!=": "<>", "==": "="}
_NOISE = frozenset({"as", "inner", "outer", "cross", "join", "asc", "(", ")", ";", ","})
_BY_BYTES = re.compile("blob|any", re.IGNORECASE)


def proven_equal(left: str, right: str, schema: Schema) -> bool:
    """Tell whether two SQLite queries are certainly the same; False means "not known"."""
    if normalized(left) == normalized(right):
        return True
    if _OPEN.search(left) or _OPEN.search(right):
        return False
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
    mixed = any(tree is None or _mixes_types(tree, schema) for tree in trees)
    for merge in (False,) if mixed else (False, True):
        texts = [canonical_text(form, merge=merge, transitive=not mixed) for form in forms if form]
        if texts[0] == texts[1]:
            return all(
                tree is not None and reads_as_written(sql, tree)
                for sql, tree in zip((left, right), trees, strict=True)
            )
    return False


def reads_as_written(sql: str, tree: exp.Expression) -> bool:
    """Tell whether the parser understood a query as SQLite would.

    Its text of the tree has the same words, but for those that mean nothing; and no comparison is
    an operand of another, where the two disagree about what binds tighter.
    """
    if _words(sql) != _words(str(tree.sql(dialect="sqlite", comments=False))):
        return False
    return not any(
        isinstance(operand, exp.Predicate | exp.Not | exp.Connector)
        for node in tree.find_all(exp.Binary, exp.Predicate, exp.Unary)
        if not isinstance(node, exp.Connector | exp.Not | exp.Paren | exp.Exists)
        for operand in node.iter_expressions()
    )


def _words(sql: str) -> Counter[str]:
    """Count the tokens of a query, spellings of the same operator and quotes of names aside."""
    found = [token.strip('"`[]').lower() if token[:1] in '"`[' else token
             for token in normalized(sql)]  # fmt: skip
    words = Counter(found)
    for one, two in pairwise(found):
        if one + two in _SAME or one + two == "<>":
            words.subtract((one, two))
            words[_SAME.get(one + two, "<>")] += 1
    return Counter({word: n for word, n in words.items() if n and word not in _NOISE})


def _mixes_types(tree: exp.Expression, schema: Schema) -> bool:
    """Tell whether equated columns may hold what is equal and yet not the same.

    So it is where their declared types differ (``'1'`` may meet ``1``), or keep what they were
    given as it was (1 and 1.0).
    """
    columns = schema.columns
    bound = bind(tree, columns)
    for node in bound.tree.find_all(exp.EQ):
        if is_equi_join(node):
            places = [bound.column(node.this), bound.column(node.expression)]
            types = {columns[p[0]][p[1]].lower() if p else "" for p in places}
            if len(types) != 1 or "" in types or _BY_BYTES.search(next(iter(types))):
                return True
    return False
