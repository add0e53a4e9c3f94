"""What a gold query leaves open: row order among ties, and which tied rows a LIMIT keeps.

The gold is run a second time without its LIMIT and with its order keys beside the answer. Rows with
equal keys form a tie group; within a group any order is right, and where the LIMIT cuts a group any
choice of that many rows is. What ties inside a query leave open shows in its `tie_variants`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
        full_sql=str(full.sql(dialect=dialect)),
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
            # Beside DISTINCT rows only what follows from them can be shown; `expectation` checks.
            if not isinstance(query, exp.Select):
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
    plan: GoldPlan,
    rows: Sequence[Cells],
    width: int,
    full: Sequence[Cells] | None,
    noise: float = 0.0,
) -> Expectation:
    """Say which answers the gold allows, from its result and that of its full query.

    ``noise`` is what rounding may have left in sums, order keys included. Where the full query is
    missing or does not contain the gold's own result, the gold's rows are taken literally, in
    order if it orders.
    """
    if plan.full_sql is not None and full is not None:
        visible = [row[: len(row) - plan.appended] for row in full]
        keys = [tuple(row[k] for k in plan.keys) for row in full]
        groups = _window(tie_groups(visible, keys, noise), plan)
        null_first = bool(keys and keys[0] and keys[0][0] is None)
        allowed = Expectation(
            groups=groups, width=width, ordered=plan.ordered, null_first=null_first, noise=noise
        )
        if compare(allowed, rows, width).same:
            return allowed
    if not plan.ordered:
        return replace(unordered(rows, width), noise=noise)
    literal = tuple(TieGroup(rows=(row,), take=1) for row in rows)
    return Expectation(groups=literal, width=width, ordered=True, noise=noise)


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


_CHOOSING = (
    exp.RowNumber, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue, exp.Ntile,
)  # fmt: skip
"""Window functions whose value depends on the order among equal keys."""


def tie_variants(tree: exp.Expression | None, dialect: str) -> list[tuple[str, str]]:
    """Return queries twice, with the ties inside them broken one way and the other.

    Each LIMIT below the top and each ROW_NUMBER and its like gets what its SELECT shows as further
    order keys, ascending and descending; that for the whole query, and for each such SELECT alone.
    Where the two results of a pair differ, the query leaves its result open. Empty where there is
    nothing to break.
    """
    if tree is None:
        return []
    parts = [part if isinstance(part, exp.Query) else part.find_ancestor(exp.Select) or tree
             for part in _choices(tree)]  # fmt: skip
    wholes = [tree, *(part for part in parts if part is not tree)] if parts else []
    return [
        (_broken(whole, tree, dialect, False), _broken(whole, tree, dialect, True))
        for whole in wholes
    ]


def _broken(query: exp.Expression, tree: exp.Expression, dialect: str, descending: bool) -> str:
    """Write a part of a query, or all of it, with its ties broken."""
    copy = query.copy()
    for node in [
        *_choices(copy),
        *([copy] if query is not tree and copy.args.get("limit") else []),
    ]:
        order = node.args.get("order")
        keys = [*(order.expressions if order else []), *_tie_breakers(node, descending)]
        node.set("order", exp.Order(expressions=keys))
    if query is not tree and tree.args.get("with_") and not copy.args.get("with_"):
        copy.set("with_", tree.args["with_"].copy())
    return str(copy.sql(dialect=dialect))


def _choices(tree: exp.Expression) -> Iterator[exp.Expression]:
    """Yield the parts of a query that choose among tied rows, its own LIMIT apart."""
    for node in tree.find_all(exp.Query, exp.Window):
        if isinstance(node, exp.Window):
            if isinstance(node.this.unnest(), _CHOOSING):
                yield node
        elif node is not tree and node.args.get("limit"):
            yield node


def _tie_breakers(node: exp.Expression, descending: bool) -> list[exp.Expression]:
    if isinstance(node, exp.Window):
        select = node.find_ancestor(exp.Select)
        shown = [item.unalias() for item in select.expressions] if select else []
        columns = [
            item.copy() for item in shown if isinstance(item, exp.Column) and not item.is_star
        ]
        if any(item.is_star for item in shown):
            columns.append(exp.column("rowid"))
        return [exp.Ordered(this=key, desc=descending, nulls_first=True) for key in columns]
    selects = getattr(node, "selects", [])
    positions = range(1, 1 + max(1, len(selects)))
    keys = [exp.Literal.number(n) for n in positions]
    return [exp.Ordered(this=key, desc=descending, nulls_first=True) for key in keys]
