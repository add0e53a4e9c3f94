"""A canonicalized query as its clauses: what diagnosis compares and proofs rest on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from functools import partial

from sqlglot import exp

_INNER = {"", "INNER", "CROSS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clauses:
    """One SELECT, every part as text in canonical form.

    ``tables`` are the joined tables, sorted where their order cannot show; ``joins`` is empty where
    all joins are inner (then their conditions stand among ``conditions``), else the joins in order.
    ``links`` are the classes of columns that equalities make the same. ``order`` keeps its
    sequence, the rest has none.
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


_dialect: ContextVar[str] = ContextVar("dialect", default="sqlite")


@contextmanager
def written_in(dialect: str) -> Iterator[None]:
    """Let `text_of` write another dialect than SQLite's while the block runs."""
    before = _dialect.set(dialect)
    try:
        yield
    finally:
        _dialect.reset(before)


def text_of(node: exp.Expression | None) -> str:
    """Return the text of a canonicalized node; of the same nodes, the same text."""
    return "" if node is None else str(node.sql(dialect=_dialect.get(), comments=False))


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


def clauses_of(
    select: exp.Select, *, merge: bool = False, transitive: bool = True, top: bool = True
) -> Clauses:
    """Take a canonicalized SELECT apart.

    Args:
        select: The SELECT.
        merge: Write columns that an equality makes the same under one name.
        transitive: Whether equalities of columns join up to classes. They do not where one compares
            text with a number.
        top: Whether it is the whole query: the order of columns and of rows left open then does
            not matter.
    """
    found = conditions(select)
    pairs = [(text_of(c.this), text_of(c.expression)) for c in found if is_equi_join(c)]
    links = _classes(pairs) if transitive else frozenset(map(frozenset, pairs))
    same = {member: min(group) for group in links for member in group} if merge else {}
    inner = has_only_inner_joins(select)
    group, having = select.args.get("group"), select.args.get("having")
    order = select.args.get("order")
    known = {"from_", "joins", "where", "group", "having", "order", "limit", "offset", "distinct",
             "expressions", "kind", "hint"}  # fmt: skip
    written = partial(_written, same=same, transitive=transitive)
    tables = tuple(_source_text(source, transitive=transitive) for source in sources(select))
    shows = not top and (select.is_star or select.args.get("limit"))
    open_order = not shows and not _takes_any_row(select)
    return Clauses(
        tables=tuple(sorted(tables)) if open_order else tables,
        joins=() if inner else tuple(text_of(join) for join in select.args["joins"]),
        conditions=frozenset(written(c) for c in found if not is_equi_join(c)),
        links=links,
        select=tuple(written(item) for item in select.expressions),
        distinct=select.args.get("distinct") is not None,
        group=frozenset(written(key) for key in (group.expressions if group else ())),
        having=frozenset(written(c) for c in conjuncts(having.this if having else None)),
        order=tuple(written(key) for key in (order.expressions if order else ())),
        limit=text_of(select.args.get("limit")).strip(),
        offset=text_of(select.args.get("offset")).strip(),
        rest=tuple(
            f"{name}={text_of(value) if isinstance(value, exp.Expression) else value}"
            for name, value in sorted(select.args.items())
            if value and name not in known
        ),
    )


def _takes_any_row(select: exp.Select) -> bool:
    """Tell whether a column comes from some row of a group: the join order may decide which."""
    group = select.args.get("group")
    keys = {text_of(key) for key in group.expressions} if group else set()
    parts = [*select.expressions, select.args.get("having"), select.args.get("order")]
    read = [part for part in parts if part is not None]
    if group is None and not any(part.find(exp.AggFunc) for part in read):
        return False
    return any(
        text_of(column) not in keys and column.find_ancestor(exp.AggFunc, exp.Select) is select
        for part in read
        for column in part.find_all(exp.Column, exp.Star)
    )


def _source_text(source: exp.Expression, *, transitive: bool) -> str:
    if isinstance(source, exp.Subquery):
        return canonical_text(source, top=False, transitive=transitive)
    return text_of(source)


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


def _written(node: exp.Expression, *, same: dict[str, str], transitive: bool) -> str:
    """Return the text of a node, equal columns under one name, subqueries in canonical form."""
    copy = node.copy()

    def rewrite(part: exp.Expression) -> exp.Expression:
        if isinstance(part, exp.Query):
            text = canonical_text(part, top=False, transitive=transitive)
            return exp.Identifier(this=text, quoted=True)
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


def canonical_text(
    node: exp.Expression, *, merge: bool = False, top: bool = True, transitive: bool = True
) -> str:
    """Return a canonical text of a canonicalized query: equal texts mean equal queries.

    Only at the top does the order of columns not matter; for the rest see `clauses_of`.
    """
    within = partial(canonical_text, merge=merge, top=False, transitive=transitive)
    if isinstance(node, exp.Subquery):
        return f"({within(node.this)}) {node.alias}".strip()
    if isinstance(node, exp.SetOperation):
        sides = [within(side) for side in (node.this, node.expression)]
        others = {
            key: text_of(value) if isinstance(value, exp.Expression) else value
            for key, value in sorted(node.args.items())
            if value and key not in {"this", "expression"}
        }
        return f"{type(node).__name__} {sides} {others}"
    if isinstance(node, exp.Select):
        parts = clauses_of(node, merge=merge, transitive=transitive, top=top)
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
