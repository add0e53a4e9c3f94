"""What a gold query says about its data: constants, equi-joins, order keys, NULL tests.

Neighbour instances are built from this, and from the gold alone: every arm meets the same ones.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from harness.sql.parse.binding import BoundQuery, ColumnRef

_COMPARISONS = {
    exp.EQ: "=", exp.NEQ: "!=", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=",
    exp.Like: "like", exp.ILike: "like", exp.Glob: "glob",
}  # fmt: skip
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED = {
    "=": "!=", "!=": "=", ">": "<=", "<=": ">", "<": ">=", ">=": "<", "like": "not like",
    "glob": "not glob",
    "in": "not in", "between": "not between", "null": "not null",
}  # fmt: skip


Constant = int | float | str
"""The value of a literal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a column on constants; ``wrapped`` if a function stands around it."""

    column: ColumnRef
    op: str
    values: tuple[Constant, ...]
    wrapped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldPredicates:
    """The predicates of a gold query, by which the rows of neighbour databases are drawn.

    ``equi_joins`` are pairs of columns that it equates, ``ordered_by`` the columns it orders by or
    takes extremes of, ``repeated`` those of which it expects duplicates, ``counted`` those of whose
    values it wants to see several rows (HAVING COUNT), ``limit`` the largest LIMIT.
    """

    conditions: tuple[Condition, ...] = ()
    equi_joins: tuple[tuple[ColumnRef, ColumnRef], ...] = ()
    ordered_by: frozenset[ColumnRef] = frozenset()
    repeated: frozenset[ColumnRef] = frozenset()
    counted: frozenset[ColumnRef] = frozenset()
    null_tested: frozenset[ColumnRef] = frozenset()
    limit: int = 0
    tables: tuple[str, ...] = field(default=())


def collect_predicates(bound: BoundQuery) -> GoldPredicates:
    """Read the predicates off a bound gold query."""
    tree = bound.tree
    conditions = tuple(_conditions(bound))
    joins = {
        (min(left, right), max(left, right))
        for node in tree.find_all(exp.EQ, exp.In)
        for left, right in [_equated(node, bound)]
        if left and right and left != right
    }
    ordered = [node for order in tree.find_all(exp.Order) for node in order.expressions]
    extremes = list(tree.find_all(exp.Max, exp.Min))
    repeated = [
        place
        for node in tree.find_all(exp.Distinct)
        for place in bound.columns_in(node if node.expressions else node.parent)
    ]
    counted = frozenset(_counted(bound))
    limits = [_constant(node.args.get("expression")) for node in tree.find_all(exp.Limit)]
    return GoldPredicates(
        conditions=conditions,
        equi_joins=tuple(sorted(joins)),
        ordered_by=frozenset(p for node in (*ordered, *extremes) for p in bound.columns_in(node)),
        repeated=frozenset(repeated),
        counted=counted,
        null_tested=frozenset(a.column for a in conditions if a.op in {"null", "not null"}),
        limit=max((n for n in limits if isinstance(n, int)), default=0),
        tables=bound.tables,
    )


def _counted(bound: BoundQuery) -> Iterator[ColumnRef]:
    for select in bound.tree.find_all(exp.Select):
        having, group = select.args.get("having"), select.args.get("group")
        if having and group and having.find(exp.Count):
            places = [bound.column(key) for key in group.expressions]
            joined = [_equated(node, bound) for node in select.find_all(exp.EQ)]
            yield from (place for place in places if place)
            for left, right in joined:  # the same value on the other side of the join
                if left and right and (left in places or right in places):
                    yield from (left, right)


def _equated(node: exp.Expression, bound: BoundQuery) -> tuple[ColumnRef | None, ColumnRef | None]:
    """Return the two columns that a condition equates (``a = b``, ``a IN (SELECT b ...)``)."""
    if isinstance(node, exp.EQ):
        return bound.column(node.left), bound.column(node.right)
    query = node.args.get("query")
    inner = query.unnest() if isinstance(query, exp.Subquery) else query
    selects = inner.selects if isinstance(inner, exp.Query) else []
    return bound.column(node.this), bound.column(selects[0]) if len(selects) == 1 else None


def _conditions(bound: BoundQuery) -> Iterator[Condition]:
    for node in bound.tree.find_all(*_COMPARISONS, exp.In, exp.Between, exp.Is):
        condition, negated = _condition(node, bound), isinstance(node.parent, exp.Not)
        if condition is None:
            continue
        if isinstance(node.parent, exp.Paren) and isinstance(node.parent.parent, exp.Not):
            negated = True
        yield replace(condition, op=_NEGATED[condition.op]) if negated else condition


def _condition(node: exp.Expression, bound: BoundQuery) -> Condition | None:
    if isinstance(node, exp.In):
        op, side = "in", node.this
        values = [_constant(item) for item in node.expressions]
    elif isinstance(node, exp.Between):
        op, side = "between", node.this
        values = [_constant(node.args["low"]), _constant(node.args["high"])]
    elif isinstance(node, exp.Is):
        if not isinstance(node.expression, exp.Null):
            return None
        op, side, values = "null", node.this, []
    else:
        op, folded = _COMPARISONS[type(node)], _ignores_case(node)
        left, right = (side.this if isinstance(side, exp.Collate) else side
                       for side in (node.this, node.expression))  # fmt: skip
        side, values = left, [_constant(right)]
        if values == [None]:
            op, side, values = _MIRRORED.get(op, op), right, [_constant(left)]
        if folded and not re.search("[%_]", str(values[0])):
            op = {"=": "like", "!=": "not like"}.get(op, op)
    places = bound.columns_in(side)
    constants = tuple(value for value in values if value is not None)
    if len(set(places)) != 1 or len(constants) < len(values):
        return None
    if not constants and op != "null":
        return None
    wrapped = bound.column(side) is None
    return Condition(column=places[0], op=op, values=constants, wrapped=wrapped)


def _ignores_case(node: exp.Expression) -> bool:
    """Tell whether a comparison is COLLATE NOCASE: ``=`` is then a LIKE without wildcards."""
    sides = [side for side in (node.this, node.expression) if isinstance(side, exp.Collate)]
    return any(side.expression.name.lower() == "nocase" for side in sides)


def _constant(node: exp.Expression | None) -> Constant | None:
    """Return the value of a literal, or None."""
    if isinstance(node, exp.Neg):
        value = _constant(node.this)
        return -value if isinstance(value, int | float) else None
    if isinstance(node, exp.Paren):
        return _constant(node.this)
    if not isinstance(node, exp.Literal):
        return None
    if node.is_string:
        return str(node.this)
    try:
        return int(node.this)
    except ValueError:
        try:
            return float(node.this)
        except ValueError:
            return None
