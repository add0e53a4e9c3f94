"""Why a query that runs differs from the gold: clause by clause, and which clause repairs it.

Both queries are compared in canonical form. Labels name what a person would correct
(``filter_value``, ``join_condition``, ...); each difference also names its clause, so that the
prediction can be run again with that clause from the gold.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from harness.sql.execute.database import Schema
from harness.sql.explain.difference import Clause, Difference, Side
from harness.sql.explain.filters import filter_label
from harness.sql.explain.joins import tables
from harness.sql.explain.projection import projection
from harness.sql.explain.repair import patches
from harness.sql.parse.binding import Columns
from harness.sql.parse.canonical import canonicalize
from harness.sql.parse.clauses import (
    canonical_text,
    conditions,
    conjuncts,
    is_equi_join,
    text_of,
    written_in,
)
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS, parse
from harness.sql.parse.wording.statements import starts_statement

MatchesGold = Callable[[Sequence[str]], Sequence[bool]]
"""Runs queries where the answer was found wrong, and says which of them are right."""

_CLAUSE_NAMES: dict[Clause, str] = {
    "set_op": "set operation", "from": "FROM and join conditions", "where": "WHERE",
    "group_by": "GROUP BY", "having": "HAVING", "select": "SELECT list", "distinct": "DISTINCT",
    "order_by": "ORDER BY", "limit": "LIMIT",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """``labels`` primary first; each clause of ``repaired_by``, alone, would repair the answer."""

    labels: tuple[str, ...] = ()
    repaired_by: tuple[Clause, ...] = ()
    found: tuple[Difference, ...] = ()

    @property
    def sentence(self) -> str:
        """The first difference in words; empty where there is none."""
        if not self.found:
            return ""
        first = self.found[0]
        name = _CLAUSE_NAMES[first.clause]
        text = f"{name}: {first.pred or 'nothing'} instead of {first.gold or 'nothing'}"
        if self.repaired_by:
            names = " or ".join(_CLAUSE_NAMES[clause] for clause in self.repaired_by)
            return f"{text}; with the gold's {names} it is right"
        return text


def diagnose(
    gold_sql: str, pred_sql: str, schema: Schema, trial: MatchesGold, dialect: str = "sqlite"
) -> Diagnosis:
    """Compare two queries clause by clause and try each differing clause from the gold.

    ``dialect`` is that of the engine, in which both are written.
    """
    with written_in(dialect):
        return _diagnose(gold_sql, pred_sql, schema, trial, dialect)


def _diagnose(
    gold_sql: str, pred_sql: str, schema: Schema, trial: MatchesGold, dialect: str
) -> Diagnosis:
    trees = [parse(sql, dialect) for sql in (gold_sql, pred_sql)]
    if trees[0] is None or trees[1] is None:
        listed = trees[0] is not None and starts_statement(pred_sql) == "values"
        return Diagnosis(labels=("constant_answer",) if listed else ())
    columns = schema.columns
    try:
        gold, pred = (canonicalize(tree.unnest(), columns) for tree in (trees[0], trees[1]))
        if gold is None or pred is None:
            return Diagnosis()
        found = differences(gold, pred)
        tried = patches(gold, pred, found)
    except PARSER_ERRORS:
        return Diagnosis()
    right = trial([sql for _, sql in tried]) if tried else []
    repairs = tuple(clause for (clause, _), same in zip(tried, right, strict=True) if same)
    ranked = sorted(found, key=lambda d: d.clause not in repairs)
    labels = [d.label for d in ranked]
    if dialect == "sqlite" and _reads_name_as_text(trees[1], columns):
        labels.insert(0, "dq_string_fallback")
    if _makes_up_rows(trees[1], columns):
        labels.insert(0, "constant_answer")
    return Diagnosis(labels=tuple(dict.fromkeys(labels)), repaired_by=repairs, found=tuple(ranked))


def _reads_name_as_text(tree: exp.Expression, columns: Columns) -> bool:
    """Tell whether a projected double-quoted name is no column, so that SQLite returns its text."""
    known = {name for table in columns.values() for name in table}
    known |= {item.alias.lower() for item in tree.find_all(exp.Alias)}
    items = [item.unalias() for select in tree.find_all(exp.Select) for item in select.expressions]
    return any(
        isinstance(item, exp.Column) and not item.table
        and item.this.args.get("quoted") and item.name.lower() not in known
        for item in items
    )  # fmt: skip


def _makes_up_rows(tree: exp.Expression, columns: Columns) -> bool:
    """Tell whether no table is read, or a CTE takes the name of one so that it is not."""
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    read = {table.name.lower() for table in tree.find_all(exp.Table)} - ctes
    return not read or bool(ctes & set(columns))


def differences(gold: exp.Expression, pred: exp.Expression, side: Side = ()) -> list[Difference]:
    """List what differs between two canonicalized queries, most fundamental first."""
    if isinstance(gold, exp.SetOperation) or isinstance(pred, exp.SetOperation):
        return _set_operations(gold, pred, side)
    if not isinstance(gold, exp.Select) or not isinstance(pred, exp.Select):
        return []
    found = [
        *tables(gold, pred),
        *_filters(gold, pred),
        *_groups(gold, pred),
        *_having(gold, pred),
        *projection(gold, pred),
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
    swapped = canonical_text(gold.this) == canonical_text(pred.expression) and canonical_text(
        pred.this
    ) == canonical_text(gold.expression)
    if swapped and isinstance(gold, exp.Except) and left:
        return [Difference(label="set_op", clause="set_op", gold="A EXCEPT B", pred="B EXCEPT A")]
    outer = [*_order(gold, pred), *_limit(gold, pred)]
    return left + right + outer


def _operation(query: exp.Expression) -> str:
    if not isinstance(query, exp.SetOperation):
        return "one SELECT"
    return type(query).__name__.upper() + ("" if query.args.get("distinct") else " ALL")


def _filters(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    sides = [[c for c in conditions(query) if not is_equi_join(c)] for query in (gold, pred)]
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
    same = {condition_key(c) for c in wanted} & {condition_key(c) for c in given}
    missing = [c for c in wanted if condition_key(c) not in same]
    extra = [c for c in given if condition_key(c) not in same]
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


def condition_key(node: exp.Expression) -> str:
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
