"""The canonical form of a query: names, aliases, ordinals, quotes.

After `canonicalize`, equal parts of two queries have equal text, and a clause of one can replace
that of the other: every table goes by its own name (``emp``, ``emp_2`` for a second occurrence),
every column carries its table, projections have no aliases.
"""

import re
from collections.abc import Mapping

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from harness.sql.parse.binding import Columns, bind
from harness.sql.parse.clauses import sources

_FLIPPED = {exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE}


def canonicalize(tree: exp.Expression, columns: Columns) -> exp.Expression | None:
    """Return the query in canonical form, or None where its names are ambiguous."""
    tree = tree.copy()
    if not _replace_references(tree, columns):
        return None
    tree = bind(tree, columns, copy=False).tree
    try:
        scopes = list(traverse_scope(tree))
    except (SqlglotError, RecursionError, AttributeError, KeyError):
        return None
    aliases: dict[int, str] = {}
    for scope in reversed(scopes):
        _name_tables(scope, aliases)
    innermost = {id(c): (c, scope) for scope in reversed(scopes) for c in scope.columns}
    if not all(_qualify(c, scope, columns, aliases) for c, scope in innermost.values()):
        return None
    for scope in scopes:
        for source in scope.sources.values():
            if isinstance(source, exp.Table) and id(source) in aliases:
                name = exp.to_identifier(aliases[id(source)])
                own = name.name == source.name.lower()
                source.set("alias", None if own else exp.TableAlias(this=name))
    for select in tree.find_all(exp.Select):
        if _is_unnamed(select):
            select.set("expressions", [item.unalias() for item in select.expressions])
    return tree.transform(_plain, copy=False)


def _replace_references(tree: exp.Expression, columns: Columns) -> bool:
    """Replace ordinals and aliases by what they stand for, by SQLite's precedence.

    A bare ORDER BY key is an alias first; anywhere else a column comes before an alias.

    Returns:
        Whether all is clear: not where a subquery uses the name of an alias around it, which
        could be a column of its own.
    """
    for select in list(tree.find_all(exp.Select)):
        items = select.expressions
        named = {item.alias.lower(): item.this for item in items if isinstance(item, exp.Alias)}
        order, group = select.args.get("order"), select.args.get("group")
        for ordered in order.expressions if order else ():
            ordered.set("this", _referred(ordered.this, items, named))
        if group:
            group.set("expressions", [_referred(key, items, {}) for key in group.expressions])
        real = {name for source in sources(select) for name in _column_names(source, columns)}
        unreal = {name: item for name, item in named.items() if name not in real}
        for key in ("where", "group", "having", "order"):
            part = select.args.get(key)
            for column in list(part.find_all(exp.Column)) if part and unreal else ():
                if not column.table and column.name.lower() in unreal:
                    if column.find_ancestor(exp.Select) is not select:
                        return False
                    column.replace(exp.Paren(this=unreal[column.name.lower()].copy()))
    return True


def _column_names(source: exp.Expression, columns: Columns) -> list[str]:
    if isinstance(source, exp.Table):
        return list(columns.get(source.name.lower(), {}))
    return [item.alias_or_name.lower() for item in getattr(source.unnest(), "selects", ())]


def _referred(
    key: exp.Expression, items: list[exp.Expression], named: Mapping[str, exp.Expression]
) -> exp.Expression:
    if isinstance(key, exp.Literal) and not key.is_string and key.this.isdigit():
        position = int(key.this) - 1
        known = not any(item.is_star for item in items[: position + 1])
        if 0 <= position < len(items) and known:
            return items[position].unalias().copy()
    if isinstance(key, exp.Column) and not key.table and key.name.lower() in named:
        return named[key.name.lower()].copy()
    return key


def _name_tables(scope: Scope, aliases: dict[int, str]) -> None:
    """Give every table of a scope a name that no enclosing scope uses."""
    taken = {
        alias.lower()
        for alias, source in scope.sources.items()
        if not isinstance(source, exp.Table)
    }
    outer = scope.parent
    while outer is not None:
        taken |= {aliases[id(s)] for s in outer.sources.values() if id(s) in aliases}
        outer = outer.parent
    for source in scope.sources.values():
        if not isinstance(source, exp.Table) or id(source) in aliases:
            continue
        name = base = source.name.lower()
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        aliases[id(source)] = name
        taken.add(name)


def _qualify(column: exp.Column, scope: Scope, columns: Columns, aliases: dict[int, str]) -> bool:
    """Point a column at its table's new name, looking outwards; False if that fails."""
    name, wanted = column.name.lower(), column.table.lower()
    within: Scope | None = scope
    while within is not None:
        owners = [
            aliases[id(source)] if isinstance(source, exp.Table) else alias.lower()
            for alias, source in within.sources.items()
            if (alias.lower() == wanted if wanted else _has(source, name, columns))
        ]
        if owners:
            column.set("table", exp.to_identifier(owners[0]))
            return len(owners) == 1
        if not wanted and any(_is_open(s, columns) for s in within.sources.values()):
            return False
        within = within.parent
    return not wanted


def _is_open(source: exp.Expression | Scope, columns: Columns) -> bool:
    """Tell whether a source may have columns that nobody lists: a table function, a star."""
    if isinstance(source, exp.Table):
        return source.name.lower() not in columns
    return any(item.is_star for item in source.expression.selects)


def _has(source: exp.Expression | Scope, name: str, columns: Columns) -> bool:
    if isinstance(source, exp.Table):
        return name in columns.get(source.name.lower(), {})
    return any(item.alias_or_name.lower() == name for item in source.expression.selects)


def _is_unnamed(select: exp.Select) -> bool:
    """Tell whether the names of a projection are seen by nobody."""
    node: exp.Expression = select
    while isinstance(node.parent, exp.SetOperation):
        node = node.parent
        if node.args.get("order"):
            return False
    return node.parent is None


def _plain(node: exp.Expression) -> exp.Expression:
    """Lower-case identifiers, drop needless quotes and parentheses, put constants on the right."""
    if isinstance(node, exp.Identifier):
        name = node.this.lower()
        return exp.Identifier(this=name, quoted=not re.fullmatch(r"\w+", name))
    if isinstance(node, exp.DataType) and isinstance(node.args.get("kind"), str):
        node.set("kind", node.args["kind"].upper())
    if isinstance(node, exp.Paren):
        call = isinstance(node.this, exp.Func) and not isinstance(
            node.this, exp.Binary | exp.Connector | exp.Predicate
        )
        needless = call or isinstance(node.this, exp.Column | exp.Literal | exp.Paren)
        in_list = isinstance(node.parent, exp.And | exp.Or | exp.Where | exp.Having | exp.Join)
        if needless or (in_list and isinstance(node.this, exp.Predicate)):
            return node.this
    if type(node) in _FLIPPED and isinstance(node.this, exp.Literal):
        return _FLIPPED[type(node)](this=node.expression, expression=node.this)
    if isinstance(node, exp.Between) and not node.args.get("symmetric"):
        return exp.Paren(this=exp.And(
            this=exp.GTE(this=node.this.copy(), expression=node.args["low"]),
            expression=exp.LTE(this=node.this.copy(), expression=node.args["high"]),
        ))  # fmt: skip
    if isinstance(node, exp.Ordered):
        node.set("desc", bool(node.args.get("desc")) or None)
    return node
