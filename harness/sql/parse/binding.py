"""Resolve the names in a query to tables and columns."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

ColumnRef = tuple[str, str]
"""A table and one of its columns, in lower case."""

Columns = Mapping[str, Mapping[str, str]]
"""``{table: {column: type}}`` in lower case."""


@dataclass(frozen=True, slots=True)
class BoundQuery:
    """A query with resolved names; ``columns`` is keyed by ``id()`` of a column node."""

    tree: exp.Expression
    columns: Mapping[int, ColumnRef]
    tables: tuple[str, ...]

    def column(self, node: exp.Expression | None) -> ColumnRef | None:
        """Return what a column node means, or None (derived, unknown, not a column)."""
        return self.columns.get(id(node))

    def columns_in(self, node: exp.Expression) -> list[ColumnRef]:
        """Return every table column that occurs under a node."""
        found = (self.columns.get(id(column)) for column in node.find_all(exp.Column))
        return [place for place in found if place is not None]


def bind(tree: exp.Expression, columns: Columns, *, copy: bool = True) -> BoundQuery:
    """Resolve the names of a query, on a copy of it by default.

    Double-quoted names that are no column become text literals, as SQLite reads them.
    """
    tree = tree.copy() if copy else tree
    places: dict[int, ColumnRef] = {}
    try:
        scopes = traverse_scope(tree)
    except (SqlglotError, RecursionError, AttributeError, KeyError):
        scopes = []
    for scope in scopes:
        for column in scope.columns:
            if id(column) not in places:
                place = _find(column, scope, columns, places)
                if place is not None:
                    places[id(column)] = place
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    tables = sorted({t.name.lower() for t in tree.find_all(exp.Table)} - (ctes - set(columns)))
    known = {name for table in columns.values() for name in table}
    known |= {item.alias.lower() for item in tree.find_all(exp.Alias)}
    tree = tree.transform(lambda node: _as_literal(node, known), copy=False)
    return BoundQuery(tree, places, tuple(tables))


def _find(
    column: exp.Column, scope: Scope, columns: Columns, places: Mapping[int, ColumnRef]
) -> ColumnRef | None:
    name = column.name.lower()
    for alias, source in scope.sources.items():
        if column.table and column.table.lower() != alias.lower():
            continue
        if isinstance(source, exp.Table):
            table = source.name.lower()
            if name in columns.get(table, {}):
                return table, name
        else:
            inner = _derived(name, source, places)
            if inner is not None:
                return inner
    return None


def _derived(name: str, source: Scope, places: Mapping[int, ColumnRef]) -> ColumnRef | None:
    """Follow a column of a derived table to the table it was taken from."""
    for item in getattr(source.expression, "selects", ()):
        if item.alias_or_name.lower() == name:
            return places.get(id(item.unalias()))
    return None


def _as_literal(node: exp.Expression, known: set[str]) -> exp.Expression:
    if (
        isinstance(node, exp.Column)
        and not node.table
        and isinstance(node.this, exp.Identifier)
        and node.this.args.get("quoted")
        and node.name.lower() not in known
    ):
        return exp.Literal.string(node.name)
    return node
