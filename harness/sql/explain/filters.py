"""What is wrong with one condition of a WHERE or HAVING."""

from collections.abc import Callable

from sqlglot import exp

from harness.sql.parse.clauses import text_of

Nested = Callable[[exp.Expression, exp.Expression], str]
"""Names the difference between two subqueries; empty where there is none."""

_COMPARISONS = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike, exp.Glob, exp.In,
    exp.Is, exp.Between,
)  # fmt: skip


def filter_label(gold: exp.Expression | None, pred: exp.Expression | None, nested: Nested) -> str:
    """Name the difference between a condition of the gold and its counterpart.

    Either may be None: the condition is missing, or one too many. ``nested`` compares subqueries.
    """
    if gold is None:
        return "filter_extra"
    if pred is None:
        return "filter_missing"
    if isinstance(gold, exp.Or) != isinstance(pred, exp.Or):
        return "logic_and_or"
    if bool(gold.find(exp.Query)) != bool(pred.find(exp.Query)):
        return "nesting"
    if isinstance(gold, exp.Or) and isinstance(pred, exp.Or):
        return _disjunction_label(gold, pred, nested)
    if gold.find(exp.Query) and pred.find(exp.Query):
        return _nested_label(gold, pred, nested)
    if bool(gold.find(exp.Null)) or bool(pred.find(exp.Null)):
        return "null_test"
    return _comparison_label(gold, pred)


def _comparison_label(gold: exp.Expression, pred: exp.Expression) -> str:
    columns = [[text_of(c) for c in side.find_all(exp.Column)] for side in (gold, pred)]
    literals = [[text_of(c) for c in side.find_all(exp.Literal)] for side in (gold, pred)]
    operators = [_operator(side) for side in (gold, pred)]
    if columns[0] != columns[1]:
        return "filter_column"
    if operators[0] != operators[1]:
        return "filter_operator"
    if literals[0] != literals[1]:
        return "filter_value"
    return "filter_operator"


def _operator(node: exp.Expression) -> str:
    negated = isinstance(node, exp.Not)
    inner = node.this.unnest() if negated else node
    comparison = inner if isinstance(inner, _COMPARISONS) else inner.find(*_COMPARISONS)
    return f"{'not ' if negated else ''}{type(comparison).__name__}"


def _disjunction_label(gold: exp.Or, pred: exp.Or, nested: Nested) -> str:
    """Compare two ORs by the first part that only one of them has."""
    parts = [[p.unnest() for p in side.flatten()] for side in (gold, pred)]
    texts = [{text_of(part) for part in side} for side in parts]
    missing = [part for part in parts[0] if text_of(part) not in texts[1]]
    extra = [part for part in parts[1] if text_of(part) not in texts[0]]
    return filter_label(missing[0] if missing else None, extra[0] if extra else None, nested)


def _nested_label(gold: exp.Expression, pred: exp.Expression, nested: Nested) -> str:
    """Compare two conditions on subqueries: outside first, then the first difference inside."""
    inner = [side.find(exp.Query) for side in (gold, pred)]
    if inner[0] is None or inner[1] is None:
        return "nesting"
    if bool(gold.find(exp.Exists)) != bool(pred.find(exp.Exists)):
        return "nesting"
    outside = [text_of(side).replace(text_of(query), "?") for side, query in
               zip((gold, pred), inner, strict=True)]  # fmt: skip
    if outside[0] != outside[1]:
        columns = [s.find(exp.Column) for s in (gold, pred)]
        same = text_of(columns[0]) == text_of(columns[1])
        return "filter_operator" if same else "filter_column"
    return nested(inner[0].unnest(), inner[1].unnest()) or "nesting"
