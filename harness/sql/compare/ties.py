"""What a gold query leaves open: row order among ties, and which tied rows a LIMIT keeps.

The gold is run a second time without its LIMIT and with its order keys beside the answer. Rows with
equal keys form a tie group; within a group any order is right, and where the LIMIT cuts a group any
choice of that many rows is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from harness.sql.compare.tables import Expectation, TieGroup, compare, tie_groups, unordered
from harness.sql.execute.messages import Cells


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldPlan:
    """How to run a gold so that its ties show; ``dialect`` is the engine's.

    ``full_sql`` is the gold without LIMIT, its order keys appended where they are not in the
    answer (None: as it stands). ``keys`` are column indices into that result, negative for appended
    ones, of which there are ``appended``. ``limit`` is None for all rows.
    """

    sql: str
    dialect: str = "sqlite"
    ordered: bool = False
    full_sql: str | None = None
    keys: tuple[int, ...] = ()
    appended: int = 0
    limit: int | None = None
    offset: int = 0


def needs_plan(sql: str) -> bool:
    """Tell whether a gold can leave anything open; without these words it cannot."""
    return re.search(r"\b(?:order|limit|fetch|top|max|min)\b", sql, re.IGNORECASE) is not None


def plan_gold(sql: str, tree: exp.Expression | None, dialect: str = "sqlite") -> GoldPlan:
    """Work out how to run a gold; an unparsable one is taken as it stands."""
    query = tree.unnest() if isinstance(tree, exp.Subquery) and not tree.args.get("order") else tree
    if query is None:
        return GoldPlan(sql=sql, dialect=dialect)
    if dialect == "sqlite":
        query = _extreme_as_limit(query)
    order, limit = query.args.get("order"), query.args.get("limit")
    if order is None and limit is None:
        return GoldPlan(sql=sql, dialect=dialect)
    count, offset = _number(limit), _number(query.args.get("offset"), default=0)
    if count is None or offset is None:
        return GoldPlan(sql=sql, dialect=dialect, ordered=order is not None)
    full = query.copy()
    full.set("limit", None)
    full.set("offset", None)
    found = _order_keys(full)
    if found is None:
        return GoldPlan(sql=sql, dialect=dialect, ordered=order is not None)
    positions, extra = found
    for key in extra:
        full.select(key, append=True, copy=False)
    return GoldPlan(
        sql=sql,
        dialect=dialect,
        ordered=order is not None,
        full_sql=full.sql(dialect=dialect),
        keys=tuple(positions),
        appended=len(extra),
        limit=None if limit is None else count,
        offset=offset,
    )


def _extreme_as_limit(query: exp.Expression) -> exp.Expression:
    """Write ``SELECT name, MAX(pay) FROM emp`` as the first row by ``pay``.

    SQLite takes a bare column from a row that holds the extreme: any of them, if several do.
    """
    shaping = ("group", "having", "order", "limit", "offset", "distinct")
    if not isinstance(query, exp.Select) or any(query.args.get(key) for key in shaping):
        return query
    calls = [call for item in query.expressions for call in item.find_all(exp.AggFunc)]
    bare = [item for item in query.expressions if isinstance(item.unalias(), exp.Column)]
    if len(calls) != 1 or not bare or not isinstance(calls[0], exp.Max | exp.Min):
        return query
    if len(bare) != len(query.expressions) - 1 or not isinstance(calls[0].this, exp.Column):
        return query
    copy = query.copy()
    call = next(call for item in copy.expressions for call in item.find_all(exp.Max, exp.Min))
    key = call.this.copy()
    call.replace(key.copy())
    copy.where(exp.Not(this=exp.Is(this=key.copy(), expression=exp.Null())), copy=False)
    copy.order_by(exp.Ordered(this=key, desc=isinstance(call, exp.Max)), copy=False)
    return copy.limit(1, copy=False)


def _number(node: exp.Expression | None, default: int = -1) -> int | None:
    """Read LIMIT or OFFSET: an integer, ``default`` where there is none, None where unclear."""
    if node is None:
        return default
    value = node.args.get("expression") or node.args.get("count")
    if isinstance(value, exp.Literal) and not value.is_string and value.this.isdigit():
        return int(value.this)
    return None


def _order_keys(query: exp.Expression) -> tuple[list[int], list[exp.Expression]] | None:
    """Find each order key in the projection, or append it.

    Returns:
        Column indices of the keys (negative, from the end, for appended ones) and the expressions
        to append; None where nothing can be appended (DISTINCT, set operations).
    """
    order = query.args.get("order")
    if order is None:
        return [], []
    visible = query.selects
    has_star = any(item.is_star for item in visible)
    positions: list[int] = []
    extra: list[exp.Expression] = []
    for ordered in order.expressions:
        key = ordered.this
        position = None if has_star else _projected(key, visible)
        if position is None:
            if query.args.get("distinct") or not isinstance(query, exp.Select):
                return None
            extra.append(_key_value(key, visible))
            position = ~(len(extra) - 1)
        positions.append(position)
    return [p if p >= 0 else ~p - len(extra) for p in positions], extra


def _projected(key: exp.Expression, visible: Sequence[exp.Expression]) -> int | None:
    if isinstance(key, exp.Literal) and not key.is_string:
        return (
            int(key.this) - 1 if key.this.isdigit() and 0 < int(key.this) <= len(visible) else None
        )
    if isinstance(key, exp.Column) and not key.table:
        for index, item in enumerate(visible):
            if item.alias_or_name.lower() == key.name.lower():
                return index
    for index, item in enumerate(visible):
        if item.unalias() == key:
            return index
    return None


def _key_value(key: exp.Expression, visible: Sequence[exp.Expression]) -> exp.Expression:
    """Return what to select for a key: aliases resolved, NOCASE made visible."""
    aliases = {item.alias.lower(): item.unalias() for item in visible if item.alias}
    value = key.copy()
    if isinstance(value, exp.Collate):
        value = exp.Lower(this=value.this)
    return value.transform(
        lambda node: (
            aliases[node.name.lower()].copy()
            if isinstance(node, exp.Column) and not node.table and node.name.lower() in aliases
            else node
        )
    )


def expectation(
    plan: GoldPlan, rows: Sequence[Cells], width: int, full: Sequence[Cells] | None
) -> Expectation:
    """Say which answers the gold allows, from its result and that of its full query.

    Where the full query is missing or does not contain the gold's own result, the gold's rows are
    taken literally, in order if it orders.
    """
    if plan.full_sql is not None and full is not None:
        visible = [row[: len(row) - plan.appended] for row in full]
        keys = [tuple(row[k] for k in plan.keys) for row in full]
        groups = _window(tie_groups(visible, keys), plan)
        null_first = bool(keys and keys[0] and keys[0][0] is None)
        allowed = Expectation(
            groups=groups, width=width, ordered=plan.ordered, null_first=null_first
        )
        if compare(allowed, rows, width).same:
            return allowed
    if not plan.ordered:
        return unordered(rows, width)
    literal = tuple(TieGroup(rows=(row,), take=1) for row in rows)
    return Expectation(groups=literal, width=width, ordered=True)


def _window(groups: list[list[Cells]], plan: GoldPlan) -> tuple[TieGroup, ...]:
    """Count how many rows of each tie group lie between OFFSET and OFFSET + LIMIT."""
    total = sum(len(group) for group in groups)
    first = plan.offset
    last = total if plan.limit is None else min(total, first + plan.limit)
    windows = []
    start = 0
    for group in groups:
        take = max(0, min(start + len(group), last) - max(start, first))
        if take:
            windows.append(TieGroup(rows=tuple(group), take=take))
        start += len(group)
    return tuple(windows)
