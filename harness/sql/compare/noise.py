"""How much rounding may leave in a query's sums: the tolerance that their size calls for.

A sum of n floating-point numbers is off by up to about n times the machine epsilon times the sum of
their absolute values (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2), however
small the sum itself is. So that sum of absolute values is asked of the database.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence

from sqlglot import exp

from harness.sql.execute.messages import Cells
from harness.sql.execute.sandbox import QueryResult
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS

STEPS = 16
"""Roundings that pile up in one direction; the errors of a longer sum mostly cancel."""


def has_floats(rows: Iterable[Cells]) -> bool:
    """Tell whether a result holds a floating-point number at all."""
    return any(isinstance(cell, float) for row in rows for cell in row)


def size_queries(tree: exp.Expression | None, dialect: str) -> list[str]:
    """Return queries that say how large the numbers are that each SELECT of a query sums up."""
    if tree is None:
        return []
    try:
        return [query.sql(dialect=dialect) for query in _sizes(tree)]
    except PARSER_ERRORS:
        return []


def noise_of(results: Sequence[QueryResult]) -> float:
    """Return the absolute tolerance that the results of `size_queries` call for."""
    cells = [cell for result in results if result.ok for row in result.rows for cell in row]
    sizes = [abs(cell) for cell in cells if isinstance(cell, int | float)]
    return STEPS * sys.float_info.epsilon * max(sizes, default=0.0)


def _sizes(tree: exp.Expression) -> Iterator[exp.Expression]:
    for select in tree.find_all(exp.Select):
        calls = [
            call
            for call in select.find_all(exp.Sum, exp.Avg)
            if call.find_ancestor(exp.Select) is select and not isinstance(call.this, exp.Star)
        ]
        if not calls or not select.args.get("from_"):
            continue
        sums = [
            exp.alias_(type(call)(this=_size(_argument(call))), f"s{number}")
            for number, call in enumerate(calls)
        ]
        inner = exp.Select(expressions=sums)
        for part in ("from_", "joins", "where", "group"):
            if select.args.get(part):
                kept = select.args[part]
                copies = [item.copy() for item in kept] if isinstance(kept, list) else kept.copy()
                inner.set(part, copies)
        largest = [exp.Max(this=exp.column(f"s{number}")) for number in range(len(calls))]
        outer = exp.Select(expressions=largest).from_(inner.subquery("sizes"), copy=False)
        if tree.args.get("with_"):
            outer.set("with_", tree.args["with_"].copy())
        yield outer


def _argument(call: exp.Expression) -> exp.Expression:
    inner = call.this
    return inner.expressions[0] if isinstance(inner, exp.Distinct) else inner


def _size(node: exp.Expression) -> exp.Expression:
    """Return an expression for the size of what a value was computed from."""
    if isinstance(node, exp.Paren | exp.Round):
        return _size(node.this)
    if isinstance(node, exp.Add | exp.Sub):
        return exp.Paren(this=exp.Add(this=_size(node.this), expression=_size(node.expression)))
    if isinstance(node, exp.Mul):
        return exp.Paren(this=exp.Mul(this=_size(node.this), expression=_size(node.expression)))
    return exp.Abs(this=node.copy())
