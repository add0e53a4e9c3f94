"""What a query says about its data: constants, comparisons, joins, order keys, NULL tests.

Neighbour instances are built from this: from the gold alone, where every arm meets the same ones,
and a few more from the gold and the answer together.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sqlglot import exp

from harness.sql.neighbours.inverse import UnknownValueError, evaluate
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
_DATED = re.compile(r"(?:19|20)\d\d(?:-\d\d(?:-\d\d.*)?|-?%)")
_DATE_CALLS = {"date", "datetime", "julianday", "unixepoch", "time"}


Part = TypeVar("Part")
Constant = int | float | str
"""The value of a literal, or of an expression without columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a column on constants; ``side`` is what stands around the column, if any."""

    column: ColumnRef
    op: str
    values: tuple[Constant, ...]
    side: exp.Expression | None = field(default=None, hash=False)

    @property
    def wrapped(self) -> bool:
        """Whether something stands around the column."""
        return self.side is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowComparison:
    """A comparison within one row: ``left`` holds ``column``, ``right`` other columns of it."""

    column: ColumnRef
    op: str
    left: exp.Expression = field(hash=False)
    right: exp.Expression = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldPredicates:
    """The predicates of a query, by which the rows of neighbour databases are drawn.

    ``equi_joins`` are pairs of columns that it equates, ``compared`` pairs that it compares across
    tables, ``ordered_by`` the columns it orders by or takes extremes of, ``repeated`` those of
    which it expects duplicates, ``counted`` those of whose values it wants to see several rows
    (HAVING COUNT) and ``counts`` how many, ``null_tested`` those that it provides for being NULL,
    ``dated`` those that it reads as dates, ``limit`` the largest LIMIT.
    """

    conditions: tuple[Condition, ...] = ()
    relations: tuple[RowComparison, ...] = ()
    equi_joins: tuple[tuple[ColumnRef, ColumnRef], ...] = ()
    compared: tuple[tuple[ColumnRef, ColumnRef], ...] = ()
    ordered_by: frozenset[ColumnRef] = frozenset()
    repeated: frozenset[ColumnRef] = frozenset()
    counted: frozenset[ColumnRef] = frozenset()
    counts: tuple[int, ...] = ()
    null_tested: frozenset[ColumnRef] = frozenset()
    dated: frozenset[ColumnRef] = frozenset()
    limit: int = 0
    tables: tuple[str, ...] = field(default=())


def collect_predicates(bound: BoundQuery) -> GoldPredicates:
    """Read the predicates off a bound query."""
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
    limits = [_constant(node.args.get("expression")) for node in tree.find_all(exp.Limit)]
    offsets = [_constant(node.args.get("expression")) for node in tree.find_all(exp.Offset)]
    defaulted = [p for node in tree.find_all(exp.Coalesce) for p in bound.columns_in(node.this)]
    tested = [a.column for a in conditions if a.op in {"null", "not null"}]
    return GoldPredicates(
        conditions=conditions,
        relations=tuple(_relations(bound)),
        equi_joins=tuple(sorted(joins)),
        compared=tuple(_compared(bound)),
        ordered_by=frozenset(p for node in (*ordered, *extremes) for p in bound.columns_in(node)),
        repeated=frozenset(repeated),
        counted=frozenset(_counted(bound)),
        counts=tuple(sorted(set(_counts(bound)))),
        null_tested=frozenset([*tested, *defaulted]),
        dated=frozenset(_dated(bound, conditions)),
        limit=_largest(limits) + _largest(offsets),
        tables=bound.tables,
    )


def combined(gold: GoldPredicates, answer: GoldPredicates) -> GoldPredicates:
    """Return the predicates of two queries together."""
    return replace(
        gold,
        conditions=(*gold.conditions, *_new(answer.conditions, gold.conditions)),
        relations=(*gold.relations, *_new(answer.relations, gold.relations)),
        equi_joins=tuple(sorted({*gold.equi_joins, *answer.equi_joins})),
        compared=tuple(sorted({*gold.compared, *answer.compared})),
        ordered_by=gold.ordered_by | answer.ordered_by,
        repeated=gold.repeated | answer.repeated,
        counted=gold.counted | answer.counted,
        counts=tuple(sorted({*gold.counts, *answer.counts})),
        null_tested=gold.null_tested,
        dated=gold.dated | answer.dated,
        limit=max(gold.limit, answer.limit),
        tables=tuple(sorted({*gold.tables, *answer.tables})),
    )


def adds_to(gold: GoldPredicates, answer: GoldPredicates) -> bool:
    """Tell whether an answer has constants, comparisons or sizes that the gold has not."""
    return bool(
        _new(answer.conditions, gold.conditions)
        or _new(answer.relations, gold.relations)
        or set(answer.counts) - set(gold.counts)
        or answer.limit > gold.limit
    )


def _new(found: Iterable[Part], known: Iterable[Part]) -> tuple[Part, ...]:
    seen = list(known)
    return tuple(item for item in found if item not in seen)


def _largest(numbers: Iterable[Constant | None]) -> int:
    return max((n for n in numbers if isinstance(n, int)), default=0)


def _dated(bound: BoundQuery, conditions: Iterable[Condition]) -> Iterator[ColumnRef]:
    """Yield columns that a query reads as dates: by a function, or by the form of a constant."""
    calls = (exp.TimeToStr, exp.TsOrDsToTimestamp, exp.Date, exp.Year, exp.Month, exp.Extract)
    for node in bound.tree.find_all(*calls, exp.Anonymous):
        if not isinstance(node, exp.Anonymous) or node.name.lower() in _DATE_CALLS:
            yield from bound.columns_in(node)
    for condition in conditions:
        texts = [value for value in condition.values if isinstance(value, str)]
        if condition.side is None and texts and all(map(_DATED.fullmatch, texts)):
            yield condition.column


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


def _counts(bound: BoundQuery) -> Iterator[int]:
    """Yield the numbers that a COUNT is compared with."""
    for node in bound.tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE):
        for side, other in ((node.left, node.right), (node.right, node.left)):
            value = _constant(other)
            if isinstance(value, int) and value > 0 and isinstance(side, exp.Count):
                yield value


def _equated(node: exp.Expression, bound: BoundQuery) -> tuple[ColumnRef | None, ColumnRef | None]:
    """Return the two columns that a condition equates (``a = b``, ``a IN (SELECT b ...)``)."""
    if isinstance(node, exp.EQ):
        return bound.column(node.left), bound.column(node.right)
    query = node.args.get("query")
    inner = query.unnest() if isinstance(query, exp.Subquery) else query
    selects = inner.selects if isinstance(inner, exp.Query) else []
    return bound.column(node.this), bound.column(selects[0]) if len(selects) == 1 else None


def _compared(bound: BoundQuery) -> Iterator[tuple[ColumnRef, ColumnRef]]:
    for node in bound.tree.find_all(exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NEQ):
        left, right = bound.column(node.left), bound.column(node.right)
        if left and right and left[0] != right[0]:
            yield left, right


def _relations(bound: BoundQuery) -> Iterator[RowComparison]:
    """Yield comparisons between columns of one row."""
    for node in bound.tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE):
        columns = [c for c in node.find_all(exp.Column) if bound.column(c)]
        places = [bound.column(column) for column in columns]
        one_row = len({column.table for column in columns}) == 1 == len({p[0] for p in places if p})
        if len(set(places)) < 2 or not one_row or node.find(exp.Query, exp.AggFunc):
            continue
        op, left, right = _COMPARISONS[type(node)], node.left, node.right
        if not bound.columns_in(left):
            op, left, right = _MIRRORED.get(op, op), right, left
        yield RowComparison(
            column=bound.columns_in(left)[0],
            op=op,
            left=_resolved(left, bound),
            right=_resolved(right, bound),
        )


def _resolved(node: exp.Expression, bound: BoundQuery) -> exp.Expression:
    """Copy an expression, its columns under their tables' own names."""
    places = [bound.column(column) for column in node.find_all(exp.Column)]
    copy = node.copy()
    for column, place in zip(list(copy.find_all(exp.Column)), places, strict=True):
        if place is not None:
            column.set("table", exp.to_identifier(place[0]))
            column.set("this", exp.to_identifier(place[1]))
    return copy


def _conditions(bound: BoundQuery) -> Iterator[Condition]:
    for node in bound.tree.find_all(*_COMPARISONS, exp.In, exp.Between, exp.Is):
        condition, negated = _condition(node, bound), isinstance(node.parent, exp.Not)
        if condition is None:
            continue
        if isinstance(node.parent, exp.Paren) and isinstance(node.parent.parent, exp.Not):
            negated = True
        yield replace(condition, op=_NEGATED[condition.op]) if negated else condition
    for case in bound.tree.find_all(exp.Case):
        place = bound.column(case.this)
        for value in [_constant(branch.this) for branch in case.args["ifs"]] if place else ():
            if value is not None and place:
                yield Condition(column=place, op="=", values=(value,))


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
    if len(set(places)) != 1 or len(constants) < len(values) or side.find(exp.Query, exp.Count):
        return None
    if not constants and op != "null":
        return None
    wrapped = bound.column(side) is None
    return Condition(
        column=places[0],
        op=op,
        values=constants,
        side=_resolved(side, bound) if wrapped else None,
    )


def _ignores_case(node: exp.Expression) -> bool:
    """Tell whether a comparison is COLLATE NOCASE: ``=`` is then a LIKE without wildcards."""
    sides = [side for side in (node.this, node.expression) if isinstance(side, exp.Collate)]
    return any(side.expression.name.lower() == "nocase" for side in sides)


def _constant(node: exp.Expression | None) -> Constant | None:
    """Return the value of an expression without columns, or None."""
    if node is None or node.find(exp.Column, exp.Query):
        return None
    try:
        value = evaluate(node, {})
    except UnknownValueError:
        return None
    return value if isinstance(value, int | float | str) else None
