"""What is proven equal is equal: tried on rows that mix types, NULLs and texts that are numbers."""

import random
import sqlite3
from collections.abc import Iterator

import pytest
from support.sql_expressions import COLUMNS, query, script, variant

from harness.sql.compare.equivalence import proven_equal, reads_as_written
from harness.sql.execute.database import ColumnSchema, Schema, TableSchema
from harness.sql.parse.canonical import canonicalize
from harness.sql.parse.sqlglot_tree import PARSER_ERRORS, parse


def schema_of(columns: dict[str, dict[str, str]]) -> Schema:
    """Return a schema with these tables, columns and types."""
    tables = [
        TableSchema(
            name=name, ddl="", columns=tuple(ColumnSchema(name=c, type=t) for c, t in own.items())
        )
        for name, own in columns.items()
    ]
    return Schema(tables=tuple(tables))


RANDOM = schema_of(COLUMNS)
OWN = schema_of(
    {
        "v": {"id": "INTEGER", "a": "INTEGER", "b": "INTEGER", "c": "TEXT", "r": "REAL"},
        "w": {"id": "INTEGER", "a": "INTEGER", "c": "TEXT"},
        "k1": {"x": "INTEGER"},
        "k2": {"y": "TEXT"},
        "k3": {"z": "TEXT"},
        "n1": {"x": ""},
        "n2": {"y": ""},
    }
)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SELECT CAST(a AS REAL) / b FROM v", "SELECT CAST(a AS DECIMAL) / b FROM v"),
        ("SELECT CAST(a AS REAL) / b FROM v", "SELECT CAST(a AS NUMERIC) / b FROM v"),
        ("SELECT CAST(c AS TEXT) FROM v", "SELECT CAST(c AS STRING) FROM v"),
        ("SELECT CAST(c AS DATE) FROM v", "SELECT DATE(c) FROM v"),
        ("SELECT CAST(c AS BOOLEAN) FROM v", "SELECT CAST(c AS INTEGER) FROM v"),
        ("SELECT MOD(r, 3) FROM v", "SELECT r % 3 FROM v"),
        ("SELECT x FROM k1, k2, k3 WHERE x = y AND y = z",
         "SELECT x FROM k1, k2, k3 WHERE x = y AND x = z"),
        ("SELECT x FROM n1, n2 WHERE x = y", "SELECT y FROM n1, n2 WHERE x = y"),
        ("SELECT id FROM v WHERE a = c LIKE 'x'", "SELECT id FROM v WHERE c LIKE 'x' = a"),
        ("SELECT id FROM v WHERE 1 < a IS NULL", "SELECT id FROM v WHERE a IS NULL > 1"),
        ("SELECT *, a FROM v ORDER BY 2", "SELECT *, a FROM v ORDER BY a"),
        ("SELECT id AS c FROM v WHERE EXISTS (SELECT 1 FROM w WHERE c = 'x')",
         "SELECT id AS c FROM v WHERE EXISTS (SELECT 1 FROM w WHERE v.id = 'x')"),
        ("SELECT 1 FROM v JOIN w ON v.id = w.id WHERE v.a IN (SELECT b FROM (SELECT * FROM v) AS q "
         "WHERE a = 3)", "SELECT 1 FROM v JOIN w ON v.id = w.id WHERE v.a IN (SELECT b FROM "
         "(SELECT * FROM v) AS q WHERE v.a = 3)"),
        ("SELECT v.id FROM (SELECT id + 1 AS id FROM w) AS v JOIN v AS e",
         "SELECT e.id FROM (SELECT id + 1 AS id FROM w) AS v JOIN v AS e"),
        ("SELECT * FROM v JOIN w UNION SELECT * FROM v JOIN w",
         "SELECT * FROM v JOIN w UNION SELECT * FROM w JOIN v"),
        ("SELECT id FROM v WHERE a IN (SELECT w.a FROM w, v LIMIT 1)",
         "SELECT id FROM v WHERE a IN (SELECT w.a FROM v, w LIMIT 1)"),
        ("SELECT w.c, MAX(v.a) + COUNT(*) FROM v, w", "SELECT w.c, MAX(v.a) + COUNT(*) FROM w, v"),
        ("SELECT group_concat(v.c) FROM v, w", "SELECT group_concat(v.c) FROM w, v"),
        ("SELECT a - (b - id) FROM v", "SELECT a - b - id FROM v"),
        ("SELECT id FROM v WHERE c = '1'", "SELECT id FROM v WHERE c = 1"),
    ],
)  # fmt: skip
def test_what_can_differ_is_not_proven(left: str, right: str) -> None:
    """Each pair differs on some rows, or leaves open what it gives."""
    assert not proven_equal(left, right, OWN)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SELECT id FROM v WHERE c > date('now')", "select ID from v where c > date( 'now' ) ;"),
        ("SELECT v.id FROM v JOIN w ON v.id = w.id WHERE v.a > 1 AND w.a < 2",
         "SELECT y.id FROM w AS x, v AS y WHERE 2 > x.a AND y.id = x.id AND y.a > 1"),
        ("SELECT COUNT(*) AS n, a FROM v GROUP BY a HAVING n > 1 ORDER BY 1",
         "SELECT COUNT(*), a FROM v GROUP BY a HAVING COUNT(*) > 1 ORDER BY COUNT(*)"),
        ("SELECT id FROM v WHERE a BETWEEN 1 AND 3 AND c != 'x'",
         "SELECT v.id FROM v WHERE c <> 'x' AND a <= 3 AND a >= 1"),
        ("SELECT CAST(a AS REAL) / b FROM v", "SELECT (CAST(v.a AS REAL)) / v.b FROM v"),
        ("SELECT CAST(a AS decimal(5, 2)) FROM v", "SELECT CAST(v.a AS DECIMAL(5, 2)) FROM v"),
    ],
)  # fmt: skip
def test_what_is_the_same_is_proven(left: str, right: str) -> None:
    """Names, order and spelling do not matter; the same tokens are the same whatever they call."""
    assert proven_equal(left, right, OWN)


@pytest.mark.parametrize(
    "kind",
    ["DATE", "DECIMAL(5, 2)", "NUMERIC", "BOOLEAN", "STRING", "varchar(3)", "double precision"],
)
def test_a_cast_is_written_as_it_was_read(kind: str) -> None:
    """What is run in a rewritten query has the types of the query itself."""
    tree = parse(f"SELECT CAST(a + CAST(b AS {kind}) AS {kind}), MOD(a, 3) FROM v")
    assert tree is not None
    written = tree.sql(dialect="sqlite")
    assert written == f"SELECT CAST(a + CAST(b AS {kind}) AS {kind}), MOD(a, 3) FROM v"


class Rows:
    """Some databases with random rows, on which queries are compared."""

    def __init__(self) -> None:
        self.connections = [sqlite3.connect(":memory:") for _ in range(4)]
        for seed, connection in enumerate(self.connections):
            connection.executescript(script(random.Random(seed)))

    def results(self, sql: str) -> list[list[str] | None]:
        """Return the rows of a query in each database, or None where it fails."""
        found: list[list[str] | None] = []
        for connection in self.connections:
            try:
                found.append(sorted(map(repr, connection.execute(sql).fetchall())))
            except sqlite3.Error:
                found.append(None)
        return found


@pytest.fixture(scope="module")
def rows() -> Iterator[Rows]:
    """The same databases for all tests."""
    rows = Rows()
    yield rows
    for connection in rows.connections:
        connection.close()


def falsify(rows: Rows, generator: random.Random, count: int) -> tuple[int, list[tuple[str, str]]]:
    """Try random queries.

    Returns:
        How many claims were tried, and (query, what was called the same) of all that differ.
    """
    tried, wrong = 0, []
    for _ in range(count):
        sql = query(generator, generator.choice([1, 1, 2, 2, 3]))
        expected = rows.results(sql)
        claims = [v for v in (variant(sql, generator) for _ in range(3))
                  if v != sql and proven_equal(sql, v, RANDOM)]  # fmt: skip
        tree = parse(sql)
        try:
            form = tree and canonicalize(tree, RANDOM.columns)
        except PARSER_ERRORS:
            form = None
        if tree is not None and form is not None and reads_as_written(sql, tree):
            claims.append(form.sql(dialect="sqlite"))
        tried += len(claims)
        wrong += [(sql, claim) for claim in claims if rows.results(claim) != expected]
    return tried, wrong


def test_random_queries_keep_their_rows(rows: Rows) -> None:
    """No canonical form and no variant that is called equal changes a row."""
    tried, wrong = falsify(rows, random.Random(1), 60)
    assert tried > 30
    assert not wrong


@pytest.mark.nightly
def test_thousands_of_random_queries_keep_their_rows(rows: Rows) -> None:
    """The same with many more."""
    assert not falsify(rows, random.Random(2), 5_000)[1]


def duckdb_rows(sql: str, connection: object) -> list[str] | None:
    """Return the sorted rows of a query in DuckDB, or None where it fails."""
    import duckdb

    try:
        return sorted(map(repr, connection.execute(sql).fetchall()))  # type: ignore[attr-defined]
    except duckdb.Error:
        return None


@pytest.mark.parametrize("count", [60, pytest.param(3_000, marks=pytest.mark.nightly)])
def test_the_parser_keeps_what_duckdb_queries_mean(count: int) -> None:
    """Read and written again in DuckDB's dialect, a query that runs gives the same rows."""
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect(config={"threads": 1})
    generator = random.Random(3)
    connection.execute(script(generator, engine="duckdb"))
    ran = 0
    for _ in range(count):
        sql = query(generator, generator.choice([1, 2]))
        expected = duckdb_rows(sql, connection)
        tree = parse(sql, "duckdb")
        if expected is None or tree is None:
            continue
        ran += 1
        assert duckdb_rows(tree.sql(dialect="duckdb"), connection) == expected, sql
    connection.close()
    assert ran
