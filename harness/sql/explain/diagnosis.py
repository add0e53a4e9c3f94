"""The whole story of a wrong answer: what differs, and which clause is to blame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from harness.sql.compare.ties import PARSER_FAULTS, parse
from harness.sql.execute.database import Schema
from harness.sql.explain.difference import Clause, Difference
from harness.sql.explain.differences import differences
from harness.sql.explain.repair import patches
from harness.sql.parse.binding import Columns
from harness.sql.parse.canonical import canonicalize
from harness.sql.parse.lexer import starts_statement

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
        """What to show a person; empty where the texts tell nothing."""
        if not self.found:
            return ""
        first = self.found[0]
        name = _CLAUSE_NAMES[first.clause]
        text = f"{name}: {first.pred or 'nothing'} instead of {first.gold or 'nothing'}"
        if self.repaired_by:
            names = " or ".join(_CLAUSE_NAMES[clause] for clause in self.repaired_by)
            return f"{text}; with the gold's {names} it is right"
        return text


def diagnose(gold_sql: str, pred_sql: str, schema: Schema, trial: MatchesGold) -> Diagnosis:
    """Compare two SQLite queries clause by clause and try each differing clause from the gold."""
    trees = [parse(sql) for sql in (gold_sql, pred_sql)]
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
    except PARSER_FAULTS:
        return Diagnosis()
    right = trial([sql for _, sql in tried]) if tried else []
    repairs = tuple(clause for (clause, _), same in zip(tried, right, strict=True) if same)
    ranked = sorted(found, key=lambda d: d.clause not in repairs)
    labels = [d.label for d in ranked]
    if _reads_name_as_text(trees[1], columns):
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
