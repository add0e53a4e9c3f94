"""Why a query that runs is not the gold: clause by clause, on both in standard writing.

Labels name what a person would correct (``filter_value``, ``join_condition``, ...). Every finding
also says in which clause it stands, so that the clause can be tried from the gold.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlglot import exp

from harness.sql.clauses import (
    conditions,
    conjuncts,
    form,
    has_only_inner_joins,
    is_link,
    sources,
    text_of,
)
from harness.sql.filters import filter_label

Clause = Literal[
    "set_op", "from", "select", "distinct", "where", "group_by", "having", "order_by", "limit"
]
CLAUSES: tuple[Clause, ...] = (
    "set_op", "from", "where", "group_by", "having", "select", "distinct", "order_by", "limit",
)  # fmt: skip
"""In the order in which findings are listed: what others depend on comes first."""

Side = tuple[Literal["left", "right"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One finding: its ``label``, the ``clause`` it stands in, both texts.

    ``side`` leads to the SELECT within set operations: ``("left",)`` is the first operand.
    """

    label: str
    clause: Clause
    gold: str = ""
    pred: str = ""
    side: Side = ()


def differences(gold: exp.Expression, pred: exp.Expression, side: Side = ()) -> list[Difference]:
    """List what differs between two standardized queries, most fundamental first."""
    if isinstance(gold, exp.SetOperation) or isinstance(pred, exp.SetOperation):
        return _set_operations(gold, pred, side)
    if not isinstance(gold, exp.Select) or not isinstance(pred, exp.Select):
        return []
    found = [
        *_tables(gold, pred),
        *_filters(gold, pred),
        *_groups(gold, pred),
        *_having(gold, pred),
        *_projection(gold, pred),
        *_distinct(gold, pred),
        *_order(gold, pred),
        *_limit(gold, pred),
    ]
    return [
        Difference(label=d.label, clause=d.clause, gold=d.gold, pred=d.pred, side=side)
        for d in found
    ]


def _set_operations(gold: exp.Expression, pred: exp.Expression, side: Side) -> list[Difference]:
    kinds = [_operation(query) for query in (gold, pred)]
    if kinds[0] != kinds[1]:
        return [
            Difference(label="set_op", clause="set_op", gold=kinds[0], pred=kinds[1], side=side)
        ]
    left = differences(gold.this.unnest(), pred.this.unnest(), (*side, "left"))
    right = differences(gold.expression.unnest(), pred.expression.unnest(), (*side, "right"))
    swapped = form(gold.this) == form(pred.expression) and form(pred.this) == form(gold.expression)
    if swapped and isinstance(gold, exp.Except) and left:
        return [Difference(label="set_op", clause="set_op", gold="A EXCEPT B", pred="B EXCEPT A")]
    outer = [*_order(gold, pred), *_limit(gold, pred)]
    return left + right + outer


def _operation(query: exp.Expression) -> str:
    if not isinstance(query, exp.SetOperation):
        return "one SELECT"
    return type(query).__name__.upper() + ("" if query.args.get("distinct") else " ALL")


def _tables(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    wanted, given = (Counter(_table_names(query)) for query in (gold, pred))
    missing, extra = sorted((wanted - given).elements()), sorted((given - wanted).elements())
    shown = [", ".join(sorted(side)) for side in (wanted.elements(), given.elements())]
    if missing or extra:
        everywhere = [{t.name for t in query.find_all(exp.Table)} for query in (gold, pred)]
        label = (
            "table_wrong" if missing and extra else "table_missing" if missing else "table_extra"
        )
        if not given:
            label = "constant_answer"
        elif everywhere[0] == everywhere[1] or _has_derived(gold) != _has_derived(pred):
            label = "nesting"
        yield Difference(label=label, clause="from", gold=shown[0], pred=shown[1])
    elif not has_only_inner_joins(gold) or not has_only_inner_joins(pred):
        yield from _outer_joins(gold, pred)
    else:
        yield from _links(gold, pred)


def _table_names(query: exp.Select) -> list[str]:
    return [s.name if isinstance(s, exp.Table) else "a subquery" for s in sources(query)]


def _has_derived(query: exp.Select) -> bool:
    return any(not isinstance(source, exp.Table) for source in sources(query))


def _outer_joins(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    kinds = [[_join_kind(j) for j in query.args.get("joins") or ()] for query in (gold, pred)]
    texts = [[text_of(j) for j in query.args.get("joins") or ()] for query in (gold, pred)]
    if sorted(kinds[0]) != sorted(kinds[1]):
        yield Difference(label="join_type", clause="from",
                         gold=", ".join(kinds[0]), pred=", ".join(kinds[1]))  # fmt: skip
    elif sorted(texts[0]) != sorted(texts[1]):
        yield Difference(label="join_condition", clause="from",
                         gold=" ".join(texts[0]), pred=" ".join(texts[1]))  # fmt: skip


def _join_kind(join: exp.Join) -> str:
    return f"{join.method} {join.side}".strip().upper() or "INNER"


def _links(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    wanted, given = (
        {frozenset((text_of(c.this), text_of(c.expression))) for c in conditions(q) if is_link(c)}
        for q in (gold, pred)
    )
    if wanted == given or _connected(wanted) == _connected(given):
        return
    label = "missing_join" if given < wanted else "join_condition"
    shown = [
        " AND ".join(sorted(" = ".join(sorted(pair)) for pair in side)) for side in (wanted, given)
    ]
    yield Difference(label=label, clause="from", gold=shown[0], pred=shown[1])


def _connected(links: Iterable[frozenset[str]]) -> set[frozenset[str]]:
    groups: list[set[str]] = []
    for link in sorted(links, key=sorted):
        joined = set(link)
        for group in [g for g in groups if g & joined]:
            joined |= group
            groups.remove(group)
        groups.append(joined)
    return {frozenset(group) for group in groups}


def _filters(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    sides = [[c for c in conditions(query) if not is_link(c)] for query in (gold, pred)]
    yield from _conditions(sides[0], sides[1], "where")


def _having(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    havings = [query.args.get("having") for query in (gold, pred)]
    sides = [conjuncts(having.this if having else None) for having in havings]
    for found in _conditions(sides[0], sides[1], "having"):
        yield Difference(label="having", clause="having", gold=found.gold, pred=found.pred)


def _conditions(
    wanted: Sequence[exp.Expression], given: Sequence[exp.Expression], clause: Clause
) -> Iterable[Difference]:
    """Pair conditions that only one side has, nearest first; name each pair's difference."""
    same = {form_of(c) for c in wanted} & {form_of(c) for c in given}
    missing = [c for c in wanted if form_of(c) not in same]
    extra = [c for c in given if form_of(c) not in same]
    while missing or extra:
        pair = max(
            ((m, e) for m in missing for e in extra), key=lambda p: _likeness(*p), default=None
        )
        left = pair[0] if pair else (missing[0] if missing else None)
        right = pair[1] if pair else (extra[0] if extra and not missing else None)
        label = filter_label(left, right, _nested)
        if label == "logic_and_or":  # the other parts of the OR are no findings of their own
            shown = [" AND ".join(map(text_of, side)) for side in (wanted, given)]
            yield Difference(label=label, clause=clause, gold=shown[0], pred=shown[1])
            return
        yield Difference(label=label, clause=clause, gold=text_of(left), pred=text_of(right))
        missing = [c for c in missing if c is not left]
        extra = [c for c in extra if c is not right]


def _nested(gold: exp.Expression, pred: exp.Expression) -> str:
    found = differences(gold, pred)
    return found[0].label if found else ""


def form_of(node: exp.Expression) -> str:
    """Return a text that is equal for conditions with their sides exchanged."""
    if isinstance(node, exp.EQ | exp.NEQ):
        return f"{type(node).__name__} {sorted((text_of(node.this), text_of(node.expression)))}"
    return text_of(node)


def _likeness(left: exp.Expression, right: exp.Expression) -> int:
    columns = [{text_of(c) for c in side.find_all(exp.Column)} for side in (left, right)]
    literals = [{text_of(c) for c in side.find_all(exp.Literal)} for side in (left, right)]
    return (
        4 * bool(columns[0] & columns[1])
        + 2 * bool(literals[0] & literals[1])
        + (type(left) is type(right))
    )


def _groups(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    keys = [query.args.get("group") for query in (gold, pred)]
    wanted, given = ({text_of(k) for k in (group.expressions if group else ())} for group in keys)
    if wanted != given:
        yield Difference(label="group_by", clause="group_by",
                         gold=", ".join(sorted(wanted)), pred=", ".join(sorted(given)))  # fmt: skip


def _projection(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    wanted, given = ([item.unalias() for item in query.expressions] for query in (gold, pred))
    missing, extra = _without(wanted, given), _without(given, wanted)
    stars = [any(item.is_star for item in query.expressions) for query in (gold, pred)]
    label = ""
    if stars[0] != stars[1]:
        label = "select_extra" if stars[1] else "select_missing"
    elif len(pred.expressions) > len(gold.expressions) and not missing:
        label = "select_extra"
    elif len(pred.expressions) < len(gold.expressions) and not extra:
        label = "select_missing"
    elif missing or extra:
        label = _item_label(missing, extra, gold, pred)
    if label:
        yield Difference(
            label=label,
            clause="select",
            gold=", ".join(text_of(item) for item in gold.expressions),
            pred=", ".join(text_of(item) for item in pred.expressions),
        )


def _without(items: Sequence[exp.Expression], others: Sequence[exp.Expression]) -> list[Any]:
    """Return the items that the others do not have, as bags."""
    left = Counter(map(text_of, others))
    kept = []
    for item in items:
        if left[text_of(item)]:
            left[text_of(item)] -= 1
        else:
            kept.append(item)
    return kept


_KINDS: tuple[tuple[str, tuple[type[exp.Expression], ...]], ...] = (
    ("window", (exp.Window,)),
    ("case_expression", (exp.Case, exp.If)),
    ("cast", (exp.Cast, exp.TryCast)),
    ("rounding", (exp.Round, exp.Floor, exp.Ceil)),
    ("date_function", (exp.TimeToStr, exp.Date, exp.Extract, exp.StrToTime, exp.CurrentDate)),
    ("string_function", (exp.Substring, exp.Upper, exp.Lower, exp.Trim, exp.DPipe, exp.Concat)),
    ("math", (exp.Binary, exp.Abs)),
)  # fmt: skip


def _item_label(
    missing: Sequence[exp.Expression],
    extra: Sequence[exp.Expression],
    gold: exp.Select,
    pred: exp.Select,
) -> str:
    """Name the difference of projections that are no mere superset of each other."""
    if len(pred.expressions) != len(gold.expressions):
        return "select_extra" if len(pred.expressions) > len(gold.expressions) else "select_missing"
    for left, right in zip(missing, extra, strict=False):
        calls = [next(iter(side.find_all(exp.AggFunc)), None) for side in (left, right)]
        if calls[0] is not None and calls[1] is not None:
            label = _aggregate_label(calls[0], calls[1])
            if label:
                return label
        elif (calls[0] is None) != (calls[1] is None):
            return "aggregate_function"
        label = _kind_label(left, right)
        if label:
            return label
    return "select_wrong_column"


def _aggregate_label(left: exp.Expression, right: exp.Expression) -> str:
    if type(left) is not type(right):
        return "aggregate_function"
    arguments = [side.this for side in (left, right)]
    distinct = [isinstance(argument, exp.Distinct) for argument in arguments]
    if distinct[0] != distinct[1]:
        return "distinct_in_aggregate"
    return "aggregate_argument" if text_of(arguments[0]) != text_of(arguments[1]) else ""


def _kind_label(left: exp.Expression, right: exp.Expression) -> str:
    """Name the first kind of expression of which the two sides have different ones."""
    division = [{text_of(part) for part in side.find_all(exp.Div)} for side in (left, right)]
    if division[0] and division[1] and division[0] != division[1]:
        return "int_division"
    for label, kinds in _KINDS:
        texts = [Counter(text_of(part) for part in side.find_all(*kinds)) for side in (left, right)]
        if texts[0] != texts[1]:
            return label
    return ""


def _distinct(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    flags = [query.args.get("distinct") is not None for query in (gold, pred)]
    if flags[0] != flags[1]:
        words = ["DISTINCT" if flag else "all rows" for flag in flags]
        yield Difference(label="distinct", clause="distinct", gold=words[0], pred=words[1])


def _order(gold: exp.Expression, pred: exp.Expression) -> Iterable[Difference]:
    orders = [query.args.get("order") for query in (gold, pred)]
    wanted, given = ([*order.expressions] if order else [] for order in orders)
    shown = [", ".join(map(text_of, side)) for side in (wanted, given)]
    if shown[0] == shown[1]:
        return
    keys = [[text_of(key.this) for key in side] for side in (wanted, given)]
    if not given:
        label = "order_missing"
    elif not wanted:
        label = "order_extra"
    else:
        label = "order_direction" if keys[0] == keys[1] else "order_key"
    yield Difference(label=label, clause="order_by", gold=shown[0], pred=shown[1])


def _limit(gold: exp.Expression, pred: exp.Expression) -> Iterable[Difference]:
    limits = [text_of(query.args.get("limit")).strip() for query in (gold, pred)]
    offsets = [text_of(query.args.get("offset")).strip() for query in (gold, pred)]
    if limits[0] != limits[1]:
        label = "limit_missing" if not limits[1] else "limit_value" if limits[0] else "limit_extra"
        yield Difference(label=label, clause="limit", gold=limits[0], pred=limits[1])
    elif offsets[0] != offsets[1]:
        yield Difference(label="offset", clause="limit", gold=offsets[0], pred=offsets[1])
