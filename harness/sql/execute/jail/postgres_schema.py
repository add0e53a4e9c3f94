"""What PostgreSQL's catalogue says of tables, views and keys, and how to make them elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from postgres_client import quoted  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postgres_client import PostgresConnection

    from harness.sql.execute.messages import Cell, TableDescription

OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

RELATIONS = f"""
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
       has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.oid
"""
COLUMNS = f"""
SELECT a.attrelid::bigint, a.attname::text, format_type(a.atttypid, a.atttypmod),
       a.attnotnull, a.attgenerated <> '', pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE {OURS} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum
"""
KEYS = f"""
SELECT k.conrelid::bigint, k.contype::text, pg_get_constraintdef(k.oid),
       (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(k.conkey) WITH ORDINALITY u(num, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num)::text,
       p.relname::text,
       (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(k.confkey) WITH ORDINALITY u(num, place)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num)::text
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
LEFT JOIN pg_class p ON p.oid = k.confrelid
WHERE {OURS} AND k.contype IN ('p', 'u', 'f', 'c') AND k.conrelid <> 0
UNION ALL
SELECT i.indrelid::bigint, 'u', 'UNIQUE (' || string_agg(quote_ident(a.attname), ', ' ORDER BY u.place) || ')',
       json_agg(a.attname ORDER BY u.place)::text, NULL, NULL
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest(i.indkey) WITH ORDINALITY u(num, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num
WHERE {OURS} AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
GROUP BY i.indexrelid, i.indrelid
"""  # noqa: E501
TYPES = f"""
SELECT n.nspname::text, t.typname::text,
       (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
        FROM pg_enum e WHERE e.enumtypid = t.oid),
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
       (SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k
        WHERE k.contypid = t.oid AND k.contype = 'c')
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE {OURS} AND t.typtype IN ('e', 'd') ORDER BY t.oid
"""
_KINDS = {"r": "table", "p": "table", "f": "table", "v": "view", "m": "view"}


class Relation(NamedTuple):
    """A table or view of the catalogue with what is known about its columns and keys."""

    schema: str
    name: str
    kind: str
    definition: str
    columns: Sequence[Sequence[Cell]]
    keys: Sequence[Sequence[Cell]]

    @property
    def path(self) -> str:
        """The name with its schema, quoted."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def describe(connection: PostgresConnection, limit: int) -> list[TableDescription]:
    """Read tables in the order of the search path, then views, each with its first rows.

    Of two relations with one name, the first on the search path is the one that the name means.
    """
    order = connection.rows("SELECT json_build_array(current_schemas(false))::text")[0][0]
    connection.script("SET LOCAL search_path = ''")  # so that every definition is qualified
    types = "".join(_type(*row) for row in connection.rows(TYPES))
    found: dict[str, TableDescription] = {}
    for relation in _relations(connection, json.loads(str(order))[0]):
        if relation.name.lower() in found:
            continue
        table = _table(relation)
        if relation.kind == "table" and limit:
            table["rows"] = connection.rows(f"SELECT * FROM {relation.path} LIMIT {int(limit)}")
        table["sql"] = (types if relation.kind == "table" else "") + _create(relation)
        found[relation.name.lower()] = table
    return sorted(found.values(), key=lambda table: table["kind"] == "view")


def _relations(connection: PostgresConnection, order: list[str]) -> list[Relation]:
    columns = _by_table(connection.rows(COLUMNS))
    keys = _by_table(connection.rows(KEYS))
    found = [
        Relation(str(schema), str(name), _KINDS[str(kind)], str(definition or "").rstrip("; "),
                 columns.get(oid, []), keys.get(oid, []))
        for oid, schema, name, kind, definition, readable in connection.rows(RELATIONS)
        if readable
    ]  # fmt: skip
    return sorted(found, key=lambda r: order.index(r.schema) if r.schema in order else len(order))


def _by_table(rows: Sequence[Sequence[Cell]]) -> dict[Cell, list[Sequence[Cell]]]:
    found: dict[Cell, list[Sequence[Cell]]] = {}
    for table, *rest in rows:
        found.setdefault(table, []).append(rest)
    return found


def _table(relation: Relation) -> TableDescription:
    keys = [(kind, _names(mine), parent, _names(theirs))
            for kind, _, mine, parent, theirs in relation.keys]  # fmt: skip
    primary = next((names for kind, names, *_ in keys if kind == "p"), [])
    return {
        "name": relation.name,
        "kind": relation.kind,
        "sql": "",
        "columns": [
            {
                "name": str(name),
                "type": str(kind),
                "notnull": bool(needed),
                "pk": primary.index(str(name)) + 1 if name in primary else 0,
                "hidden": 3 if generated else 0,
            }
            for name, kind, needed, generated, _ in relation.columns
        ],
        "unique": [list(names) for kind, names, *_ in keys if kind == "u"],
        "foreign": [
            {"table": str(parent), "columns": mine, "parents": list(theirs)}
            for kind, mine, parent, theirs in keys
            if kind == "f"
        ],
        "rows": [],
    }


def _names(listed: Cell) -> list[str]:
    return [str(name) for name in json.loads(str(listed))] if listed else []


def _create(relation: Relation) -> str:
    """Write what makes an empty copy: columns and constraints, no defaults, no owner."""
    schema = f"CREATE SCHEMA IF NOT EXISTS {quoted(relation.schema)};\n"
    if relation.kind == "view":
        return f"{schema}CREATE VIEW {relation.path} AS {relation.definition}"
    parts = [
        f"{quoted(str(name))} {kind!s}"
        + (f" GENERATED ALWAYS AS ({default!s}) STORED" if generated else "")
        + (" NOT NULL" if needed else "")
        for name, kind, needed, generated, default in relation.columns
    ]
    parts += [str(text) for kind, text, *_ in relation.keys if kind != "f"]
    made = f"{schema}CREATE TABLE {relation.path} (\n  " + ",\n  ".join(parts) + "\n)"
    links = [str(text) for kind, text, *_ in relation.keys if kind == "f"]
    return ";\n".join([made, *(f"ALTER TABLE ONLY {relation.path} ADD {text}" for text in links)])


def _type(schema: Cell, name: Cell, labels: Cell, base: Cell, checks: Cell) -> str:
    """Write what makes an enumeration or a domain where it is not there yet."""
    path = f"{quoted(str(schema))}.{quoted(str(name))}"
    made = f"CREATE DOMAIN {path} AS {base!s} {checks or ''!s}"
    if labels is not None:
        made = f"CREATE TYPE {path} AS ENUM ({labels!s})"
    tag = "$harness$"
    return (
        f"CREATE SCHEMA IF NOT EXISTS {quoted(str(schema))};\n"
        f"DO {tag} BEGIN {made}; EXCEPTION WHEN duplicate_object THEN NULL; END {tag};\n"
    )
