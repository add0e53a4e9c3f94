"""Signs that the gold is at fault, not the answer.

On public benchmarks many answers counted as wrong are right, and the gold is not. A flag with its
reason lets a person look there first; it never changes a verdict.
"""

import re
from collections.abc import Sequence

from sqlglot import exp

from harness.sql.compare.tables import Expectation
from harness.sql.execute.database import Schema
from harness.sql.execute.sandbox import QueryResult
from harness.sql.explain.difference import Difference
from harness.sql.neighbours.predicates import Evidence


def gold_suspect(
    *,
    evidence: Evidence,
    expected: Expectation,
    gold: QueryResult,
    found: Sequence[Difference],
    question: str,
    schema: Schema,
) -> str:
    """Return the reason to look at the gold, or an empty text."""
    if expected.cuts_tie:
        return "the gold keeps some of several tied rows"
    if _starts_with_null(evidence, expected):
        return "the gold takes the smallest value, and that is a missing one (NULL sorts first)"
    for difference in found:
        said = _said_in_question(difference, question)
        if said:
            return f"the question says {said!r}, which only the answer looks for"
    if not gold.rows:
        absent = _absent_constant(evidence, schema)
        if absent:
            return f"the gold looks for {absent}, which the data does not hold"
    return ""


def _starts_with_null(evidence: Evidence, expected: Expectation) -> bool:
    """Tell whether a LIMIT keeps rows only because their order key is NULL."""
    return bool(evidence.limit and expected.ordered and expected.null_first)


def _said_in_question(difference: Difference, question: str) -> str:
    """Return a constant of the answer alone that the question names and the gold lacks."""
    if difference.clause != "where" or not question:
        return ""
    in_pred, in_gold = (
        {str(constant) for constant in re.findall(r"'([^']+)'", text)}
        for text in (difference.pred, difference.gold)
    )
    words = question.lower()
    for constant in sorted(in_pred - in_gold):
        plain = constant.strip("% ").lower()
        others = any(other.strip("% ").lower() in words for other in in_gold)
        if len(plain) > 2 and re.search(rf"\b{re.escape(plain)}", words) and not others:
            return constant
    return ""


def _absent_constant(evidence: Evidence, schema: Schema) -> str:
    for atom in evidence.atoms:
        table = schema.table(atom.place[0])
        column = table.index(atom.place[1]) if table else None
        if table is None or column is None or atom.op != "=" or atom.wrapped or not table.rows:
            continue
        held = {str(row[column]) for row in table.rows}
        if str(atom.values[0]) not in held:
            return f"{atom.place[1]} = {exp.convert(atom.values[0]).sql(dialect='sqlite')}"
    return ""
