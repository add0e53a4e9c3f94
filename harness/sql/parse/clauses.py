"""A canonicalized query as its clauses: what diagnosis compares and proofs rest on."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from sqlglot import exp

_INNER = {"", "INNER", "CROSS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clauses:
    """One SELECT, every part as text in canonical form.

    ``tables`` are the joined tables; ``joins`` is empty where all joins are inner (then their
    conditions stand among ``conditions``), else the joins in order. ``links`` are the classes of
    columns that equalities make the same. ``order`` keeps its sequence, the rest has none.
    """

    tables: tuple[str, ...]
    joins: tuple[str, ...]
    conditions: frozenset[str]
    links: frozenset[frozenset[str]]
    select: tuple[str, ...]
    distinct: bool
    group: frozenset[str]
    having: frozenset[str]
    order: tuple[str, ...]
    limit: str
    offset: str
    rest: tuple[str, ...] = ()


def text_of(node: exp.Expression | None) -> str:
    """Return the text of a canonicalized node; of the same nodes, the same text."""
    return "" if node is None else str(node.sql(dialect="sqlite", comments=False))


def conjuncts(node: exp.Expression | None) -> list[exp.Expression]:
    """Split a condition at its ANDs, through parentheses."""
    if node is None:
        return []
    node = node.unnest()
    if isinstance(node, exp.And):
        return conjuncts(node.left) + conjuncts(node.right)
    return [node]


def has_only_inner_joins(select: exp.Select) -> bool:
    """Tell whether the joins may be taken in any order, conditions apart."""
    return all(
        not join.side and join.kind.upper() in _INNER
        and not join.args.get("using") and not join.method
        for join in select.args.get("joins") or ()
    )  # fmt: skip


def sources(select: exp.Select) -> list[exp.Expression]:
    """Return what a SELECT reads from: tables and derived tables."""
    start = select.args.get("from_")
    joins = select.args.get("joins") or ()
    return [item.this for item in ([start] if start else []) + list(joins)]


def conditions(select: exp.Select) -> list[exp.Expression]:
    """Return all conjuncts of WHERE, and of ON where joins are inner."""
    where = select.args.get("where")
    found = conjuncts(where.this if where else None)
    if has_only_inner_joins(select):
        for join in select.args.get("joins") or ():
            found += conjuncts(join.args.get("on"))
    return found


def is_equi_join(node: exp.Expression) -> bool:
    """Tell whether a condition equates two columns."""
    return (
        isinstance(node, exp.EQ)
        and isinstance(node.this, exp.Column)
        and isinstance(node.expression, exp.Column)
    )


def clauses_of(select: exp.Select, *, merge: bool = False) -> Clauses:
    """Take a canonicalized SELECT apart.

    ``merge`` writes columns that an equality makes the same under one name.
    """
    found = conditions(select)
    links = _classes((text_of(c.this), text_of(c.expression)) for c in found if is_equi_join(c))
    same = {member: min(group) for group in links for member in group} if merge else {}
    inner = has_only_inner_joins(select)
    group, having = select.args.get("group"), select.args.get("having")
    order = select.args.get("order")
    known = {"from_", "joins", "where", "group", "having", "order", "limit", "offset", "distinct",
             "expressions", "kind", "hint"}  # fmt: skip
    return Clauses(
        tables=tuple(sorted(_source_text(source) for source in sources(select))),
        joins=() if inner else tuple(text_of(join) for join in select.args["joins"]),
        conditions=frozenset(_written(c, same) for c in found if not is_equi_join(c)),
        links=links,
        select=tuple(_written(item, same) for item in select.expressions),
        distinct=select.args.get("distinct") is not None,
        group=frozenset(_written(key, same) for key in (group.expressions if group else ())),
        having=frozenset(_written(c, same) for c in conjuncts(having.this if having else None)),
        order=tuple(_written(key, same) for key in (order.expressions if order else ())),
        limit=text_of(select.args.get("limit")).strip(),
        offset=text_of(select.args.get("offset")).strip(),
        rest=tuple(
            f"{name}={text_of(value) if isinstance(value, exp.Expression) else value}"
            for name, value in sorted(select.args.items())
            if value and name not in known
        ),
    )


def _source_text(source: exp.Expression) -> str:
    return (
        canonical_text(source, top=False) if isinstance(source, exp.Subquery) else text_of(source)
    )


def _classes(pairs: Iterable[tuple[str, str]]) -> frozenset[frozenset[str]]:
    """Join pairs that share a member."""
    groups: list[set[str]] = []
    for left, right in pairs:
        joined = {left, right}
        for group in [g for g in groups if g & joined]:
            joined |= group
            groups.remove(group)
        groups.append(joined)
    return frozenset(frozenset(group) for group in groups)


def _written(node: exp.Expression, same: dict[str, str]) -> str:
    """Return the text of a node, equal columns under one name, subqueries in canonical form."""
    copy = node.copy()

    def rewrite(part: exp.Expression) -> exp.Expression:
        if isinstance(part, exp.Query):
            return exp.Identifier(this=canonical_text(part, top=False), quoted=True)
        if isinstance(part, exp.Column):
            return exp.Identifier(this=same.get(text_of(part), text_of(part)), quoted=False)
        return part

    return text_of(_sorted_sides(copy.transform(rewrite)))


def _sorted_sides(node: exp.Expression) -> exp.Expression:
    """Write ``a = b``, ``a <> b``, AND and OR with their sides in alphabetical order."""
    for part in reversed(list(node.find_all(exp.EQ, exp.NEQ, exp.And, exp.Or))):
        left, right = part.this, part.expression
        if text_of(right) < text_of(left) and not isinstance(right, exp.Literal):
            part.set("this", right)
            part.set("expression", left)
    return node


def canonical_text(node: exp.Expression, *, merge: bool = False, top: bool = True) -> str:
    """Return a canonical text of a canonicalized query: equal texts mean equal queries.

    Only at the top does the order of columns not matter.
    """
    if isinstance(node, exp.Subquery):
        return f"({canonical_text(node.this, merge=merge, top=False)}) {node.alias}".strip()
    if isinstance(node, exp.SetOperation):
        sides = [
            canonical_text(side, merge=merge, top=False) for side in (node.this, node.expression)
        ]
        others = {
            key: text_of(value) if isinstance(value, exp.Expression) else value
            for key, value in sorted(node.args.items())
            if value and key not in {"this", "expression"}
        }
        return f"{type(node).__name__} {sides} {others}"
    if isinstance(node, exp.Select):
        parts = clauses_of(node, merge=merge)
        given = [getattr(parts, field.name) for field in fields(parts)]
        return repr(
            [
                sorted(sorted(p) if isinstance(p, frozenset) else p for p in part)
                if isinstance(part, frozenset) or (top and part is parts.select)
                else part
                for part in given
            ]
        )
    return text_of(node)
