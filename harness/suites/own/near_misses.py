"""Near misses of a gold: what people and models get almost right, one change each.

A judge that cannot tell a near miss from its gold would call it right; ``remedy`` says which rows
would show the difference.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from sqlglot import exp

from harness.sql.parse.sqlglot_tree import PARSER_ERRORS, parse


class NearMiss(NamedTuple):
    """A changed gold: ``what`` was changed, and the rows that tell it from the gold."""

    what: str
    sql: str
    remedy: str


class Change(NamedTuple):
    """A change of one node, made on the same node of a copy."""

    what: str
    remedy: str
    make: Callable[[exp.Expression], object]


_COMPARISONS: dict[type, type[exp.Expression]] = {
    exp.GT: exp.GTE, exp.GTE: exp.GT, exp.LT: exp.LTE, exp.LTE: exp.LT
}  # fmt: skip
_AGGREGATES: dict[type, type[exp.Expression]] = {
    exp.Sum: exp.Avg, exp.Avg: exp.Sum, exp.Max: exp.Min, exp.Min: exp.Max
}  # fmt: skip


def near_misses(gold: str, dialect: str) -> list[NearMiss]:
    """Return the near misses of a gold; none where it cannot be parsed.

    >>> [miss.what for miss in near_misses("SELECT a FROM t WHERE b > 1 LIMIT 2", "sqlite")]
    ['with DISTINCT', 'LIMIT 3', 'without b > 1', '>= instead of >']
    """
    tree = parse(gold, dialect)
    if tree is None:
        return []
    found: dict[str, NearMiss] = {}
    for place, node in enumerate(tree.walk()):
        for change in _changes(node):
            copy = tree.copy()
            twin = next(other for i, other in enumerate(copy.walk()) if i == place)
            try:
                change.make(twin)
                sql = copy.sql(dialect=dialect)
            except PARSER_ERRORS:
                continue
            found.setdefault(sql, NearMiss(change.what, sql, change.remedy))
    return list(found.values())


def _changes(node: exp.Expression) -> Iterator[Change]:
    if isinstance(node, exp.Select):
        yield from _of_select(node)
    elif isinstance(node, exp.Join):
        yield from _of_join(node)
    elif type(node) in _COMPARISONS:
        other = _COMPARISONS[type(node)]
        shown = node.this.sql()
        yield Change(
            f"{_sign(other)} instead of {_sign(type(node))}",
            f"a row with exactly this {shown}",
            lambda twin: twin.replace(other(this=twin.this, expression=twin.expression)),
        )
    elif type(node) in _AGGREGATES:
        turned = _AGGREGATES[type(node)]
        yield Change(
            f"{turned.__name__.upper()} instead of {type(node).__name__.upper()}",
            f"two rows of one group with different {node.this.sql()}",
            lambda twin: twin.replace(turned(this=twin.this)),
        )
    elif isinstance(node, exp.Ordered):
        yield Change(
            "ordered the other way",
            f"two rows with different {node.this.sql()}",
            lambda twin: twin.set("desc", not twin.args.get("desc")),
        )
    elif isinstance(node, exp.Count) and isinstance(node.this, exp.Column):
        yield Change(
            f"COUNT(*) instead of COUNT({node.this.sql()})",
            f"a row without {node.this.sql()}",
            lambda twin: twin.set("this", exp.Star()),
        )


def _of_select(node: exp.Select) -> Iterator[Change]:
    grouped = node.args.get("group")
    if node.args.get("distinct"):
        yield Change("without DISTINCT", "two rows with the same answer",
                     lambda twin: twin.set("distinct", None))  # fmt: skip
    elif not grouped and not any(item.find(exp.AggFunc) for item in node.expressions):
        yield Change("with DISTINCT", "two rows with the same answer",
                     lambda twin: twin.set("distinct", exp.Distinct()))  # fmt: skip
    limit = node.args.get("limit")
    if isinstance(limit, exp.Limit) and limit.expression.name.isdigit():
        more = int(limit.expression.name) + 1
        yield Change(f"LIMIT {more}", f"more than {more - 1} rows",
                     lambda twin: twin.limit(more, copy=False))  # fmt: skip
    if node.args.get("having"):
        yield Change("without HAVING", "a group that HAVING leaves out",
                     lambda twin: twin.set("having", None))  # fmt: skip
    where = node.args.get("where")
    parts = list(where.this.flatten()) if where and isinstance(where.this, exp.And) else []
    parts = parts or ([where.this] if where else [])
    for number, part in enumerate(parts):
        yield Change(
            f"without {part.sql()}",
            f"a row that only {part.sql()} leaves out",
            partial(_without, number=number),
        )


def _without(select: exp.Expression, number: int) -> None:
    condition = select.args["where"].this
    parts = list(condition.flatten()) if isinstance(condition, exp.And) else [condition]
    kept = [part for i, part in enumerate(parts) if i != number]
    select.set("where", exp.Where(this=exp.and_(*kept)) if kept else None)


def _of_join(node: exp.Join) -> Iterator[Change]:
    table = node.this.alias_or_name
    if node.side.upper() == "LEFT":
        yield Change("JOIN instead of LEFT JOIN", f"a row without any in {table}",
                     lambda twin: twin.set("side", None))  # fmt: skip
    elif not node.side and node.args.get("on") and not _is_filtered(node, table):
        yield Change("LEFT JOIN instead of JOIN", f"a row without any in {table}",
                     lambda twin: (twin.set("side", "LEFT"), twin.set("kind", None)))  # fmt: skip


def _is_filtered(node: exp.Join, table: str) -> bool:
    """Tell whether WHERE leaves out rows without the joined table: both kinds of join are one."""
    where = node.parent.args.get("where") if node.parent else None
    return where is not None and any(c.table == table for c in where.find_all(exp.Column))


def _sign(kind: type) -> str:
    return {exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}[kind]
