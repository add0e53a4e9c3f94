"""Which clause alone, taken from the gold, would make the answer right?

More trustworthy than comparing texts: the patched query is run. Both queries are in standard
writing, so that a clause of one means the same in the other.
"""

from collections.abc import Sequence
from copy import deepcopy

from sqlglot import exp

from harness.sql.explain.difference import Clause, Difference, Side
from harness.sql.parse.clauses import (
    conjuncts,
    has_only_inner_joins,
    is_equi_join,
    sources,
    text_of,
)

_KEYS: dict[Clause, tuple[str, ...]] = {
    "group_by": ("group",),
    "having": ("having",),
    "select": ("expressions",),
    "distinct": ("distinct",),
    "order_by": ("order",),
    "limit": ("limit", "offset"),
}


def patches(
    gold: exp.Expression, pred: exp.Expression, found: Sequence[Difference]
) -> list[tuple[Clause, str]]:
    """Return, for every clause with a finding, the prediction with that clause from the gold."""
    places = list(dict.fromkeys((d.clause, d.side) for d in found))
    made = [(clause, _patched(gold, pred, clause, side)) for clause, side in places]
    return [(clause, text_of(query)) for clause, query in made if query is not None]


def _patched(
    gold: exp.Expression, pred: exp.Expression, clause: Clause, side: Side
) -> exp.Expression | None:
    copy = pred.copy()
    target, source = _at(copy, side), _at(gold, side)
    if clause == "set_op":
        return _other_operation(source, target, copy)
    if clause in _KEYS:
        for key in _KEYS[clause]:
            target.set(key, deepcopy(source.args.get(key)))
        return copy
    if not isinstance(target, exp.Select) or not isinstance(source, exp.Select):
        return None
    if has_only_inner_joins(target) and has_only_inner_joins(source):
        source = source.copy()
        target_on, source_on = _flatten(target), _flatten(source)
        links, filters = (source_on, target_on) if clause == "from" else (target_on, source_on)
        merged = [c for c in links if is_equi_join(c)] + [c for c in filters if not is_equi_join(c)]
        if clause == "from":
            merged += [
                c for c in source_on if not is_equi_join(c) and _names_other_table(c, target)
            ]
        target.set(
            "where", exp.Where(this=exp.and_(*[c.copy() for c in merged])) if merged else None
        )
    elif clause == "where":
        where = source.args.get("where")
        target.set("where", where.copy() if where else None)
    if clause == "from":
        start, joins = source.args.get("from_"), source.args.get("joins") or []
        target.set("from_", start.copy() if start else None)
        target.set("joins", [join.copy() for join in joins])
    return copy


def _at(query: exp.Expression, side: Side) -> exp.Expression:
    for step in side:
        query = (query.this if step == "left" else query.expression).unnest()
    return query


def _flatten(select: exp.Select) -> list[exp.Expression]:
    """Turn inner joins into a list of tables; return all conditions, WHERE's included."""
    where = select.args.get("where")
    found = conjuncts(where.this if where else None)
    for join in select.args.get("joins") or ():
        found += conjuncts(join.args.get("on"))
        join.set("on", None)
        join.set("kind", "CROSS")
    return found


def _names_other_table(condition: exp.Expression, select: exp.Select) -> bool:
    """Tell whether a condition is about a table that a SELECT does not read."""
    known = {source.alias_or_name for source in sources(select)}
    return any(column.table not in known for column in condition.find_all(exp.Column))


def _other_operation(
    source: exp.Expression, target: exp.Expression, whole: exp.Expression
) -> exp.Expression | None:
    """Exchange UNION, INTERSECT and EXCEPT, or the sides of an EXCEPT; the operands stay."""
    if not isinstance(source, exp.SetOperation) or not isinstance(target, exp.SetOperation):
        return None
    left, right = target.this, target.expression
    if type(source) is type(target) and isinstance(source, exp.Except):
        left, right = right, left
    others = {k: v for k, v in target.args.items() if k not in {"this", "expression", "distinct"}}
    changed = type(source)(
        this=left, expression=right, distinct=source.args.get("distinct"), **others
    )
    if target is whole:
        return changed
    target.replace(changed)
    return whole
