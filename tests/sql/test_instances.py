"""Neighbour instances keep the database's rules, and proofs of equality are never wrong."""

import random
import sqlite3
from collections.abc import Iterator

import pytest
import sqlglot
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sqlglot import exp
from support.paths import TESTS

from harness.sql import Database, Judge
from harness.sql.compare.equivalence import proven_equal
from harness.sql.compare.tables import compare, unordered
from harness.sql.execute.database import Schema
from harness.sql.neighbours.instances import build_instance, load_statements, needed_tables
from harness.sql.neighbours.predicates import Condition, collect_predicates
from harness.sql.neighbours.profile import ColumnProfile, profile
from harness.sql.neighbours.regularities import evidence_of
from harness.sql.neighbours.values import other_case, satisfying, step
from harness.sql.parse.binding import bind
from harness.sql.parse.sqlglot_tree import parse

GOLDEN = TESTS / "golden" / "sql"
SCRIPT = (GOLDEN / "bikes.sql").read_text(encoding="utf-8")
TABLES = ("station", "bike", "rental")

QUERIES = (
    "SELECT model FROM bike WHERE price > 400",
    "SELECT model FROM bike WHERE price >= 400",
    "SELECT model FROM bike WHERE price BETWEEN 300 AND 500",
    "SELECT model FROM bike WHERE price >= 300 AND price <= 500",
    "SELECT b.model FROM bike b WHERE 400 < b.price",
    "SELECT DISTINCT model FROM bike",
    "SELECT model FROM bike GROUP BY model",
    "SELECT model, price FROM bike",
    "SELECT price, model FROM bike",
    "SELECT s.name FROM station s JOIN bike b ON b.station_id = s.id WHERE b.price > 400",
    "SELECT s.name FROM bike b JOIN station s ON s.id = b.station_id WHERE b.price > 400",
    "SELECT s.name FROM bike b, station s WHERE s.id = b.station_id AND b.price > 400",
    "SELECT s.name FROM station s LEFT JOIN bike b ON b.station_id = s.id WHERE b.price > 400",
    "SELECT s.name FROM station s LEFT JOIN bike b ON b.station_id = s.id AND b.price > 400",
    "SELECT s.id FROM station s JOIN bike b ON b.station_id = s.id",
    "SELECT b.station_id FROM station s JOIN bike b ON b.station_id = s.id",
    "SELECT b.id FROM station s JOIN bike b ON b.station_id = s.id",
    "SELECT city, COUNT(*) FROM station GROUP BY city",
    "SELECT city, COUNT(*) AS n FROM station GROUP BY 1",
    "SELECT city, COUNT(docks) FROM station GROUP BY city HAVING COUNT(*) > 1",
    "SELECT city, COUNT(docks) AS c FROM station GROUP BY city HAVING c > 1",
    "SELECT COUNT(*) AS c, SUM(docks) AS d FROM station GROUP BY city HAVING c > 1",
    "SELECT COUNT(*) AS d, SUM(docks) AS c FROM station GROUP BY city HAVING c > 1",
    "SELECT name FROM station ORDER BY docks DESC",
    "SELECT name FROM station ORDER BY docks",
    "SELECT name AS docks FROM station ORDER BY docks",
    "SELECT s.name FROM station AS s ORDER BY s.docks",
    "SELECT name FROM station ORDER BY docks LIMIT 2",
    "SELECT rider FROM rental WHERE bike_id = 1 UNION SELECT rider FROM rental WHERE bike_id = 2",
    "SELECT rider FROM rental WHERE bike_id = 2 UNION SELECT rider FROM rental WHERE bike_id = 1",
    "SELECT id, bike_id FROM rental UNION SELECT id, minutes FROM rental",
    "SELECT id, bike_id FROM rental UNION SELECT minutes, id FROM rental",
    "SELECT id AS x, bike_id AS y FROM rental UNION SELECT 1, 2 ORDER BY x",
    "SELECT id AS y, bike_id AS x FROM rental UNION SELECT 1, 2 ORDER BY x",
    "SELECT rider FROM rental EXCEPT SELECT name FROM station",
    "SELECT name FROM station EXCEPT SELECT rider FROM rental",
    "SELECT model FROM bike WHERE station_id IN (SELECT id FROM station WHERE docks > 10)",
    "SELECT model FROM bike WHERE station_id IN (SELECT s.id FROM station s WHERE s.docks > 10)",
    "SELECT model FROM bike WHERE station_id NOT IN (SELECT id FROM station WHERE docks > 10)",
    "SELECT name FROM station s WHERE EXISTS (SELECT 1 FROM bike WHERE station_id = s.id)",
    "SELECT name FROM station s WHERE EXISTS (SELECT 1 FROM bike WHERE station_id = id)",
    "SELECT a.id, b.id FROM rental a JOIN rental b ON a.bike_id = b.bike_id WHERE a.id < b.id",
    "SELECT a.id, b.id FROM rental b JOIN rental a ON a.bike_id = b.bike_id WHERE a.id < b.id",
    "SELECT a.id, b.id FROM rental a JOIN rental b ON a.bike_id = b.bike_id WHERE a.id > b.id",
    "SELECT model FROM bike WHERE price > 400 AND weight > 12 OR station_id = 1",
    "SELECT model FROM bike WHERE price > 400 AND (weight > 12 OR station_id = 1)",
    "SELECT model FROM bike WHERE (weight > 12 OR station_id = 1) AND price > 400",
    "SELECT model FROM bike WHERE NOT (price > 400 AND weight > 12)",
    "SELECT model FROM bike WHERE NOT price > 400 AND weight > 12",
    "SELECT id FROM rental WHERE minutes = (bike_id = 1)",
    "SELECT id FROM rental WHERE (minutes = bike_id) = 1",
    "SELECT rider FROM rental WHERE note = 'Late'",
    "SELECT rider FROM rental WHERE note = 'late'",
    'SELECT rider FROM rental WHERE note = "late"',
    "SELECT x.model FROM (SELECT model, price FROM bike) x WHERE x.price > 400",
    "SELECT x.model FROM (SELECT price AS model, model AS price FROM bike) x WHERE x.price > 400",
    "WITH c AS (SELECT model FROM bike) SELECT model FROM c",
    "WITH bike AS (SELECT 'Gull' AS model) SELECT model FROM bike",
    "SELECT model FROM bike",
    "SELECT COUNT(DISTINCT rider) FROM rental",
    "SELECT COUNT(rider) FROM rental",
    "SELECT minutes / 2 FROM rental",
    "SELECT minutes / 2.0 FROM rental",
)


@pytest.fixture(scope="module")
def schema() -> Iterator[Schema]:
    """The schema of the golden database."""
    with Judge() as judge:
        yield judge.schema(Database(schema_sql=SCRIPT))


def _instance(schema: Schema, gold: str, number: int, seed: str = "s") -> sqlite3.Connection:
    """Build one neighbour instance of a gold query in plain SQLite, constraints on."""
    tree = parse(gold)
    assert tree is not None
    predicates = collect_predicates(bind(tree, schema.columns))
    profiles = profile(schema, predicates, evidence_of(schema))
    tables = needed_tables(profiles, TABLES)
    instance = build_instance(profiles, predicates, tables=tables, seed=seed, number=number)
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA foreign_keys = ON")
    for name in tables:
        connection.execute(profiles[name].ddl)
    for statement, rows in load_statements(instance, profiles):
        connection.executemany(statement.replace("OR IGNORE", ""), rows)
    return connection


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("gold", QUERIES[::6])
def test_instances_keep_declared_constraints(schema: Schema, gold: str, number: int) -> None:
    """Keys, NOT NULL and foreign keys hold: SQLite itself would refuse the rows otherwise."""
    connection = _instance(schema, gold, number)
    assert not connection.execute("PRAGMA foreign_key_check").fetchall()
    assert all(connection.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in TABLES)
    connection.close()


def test_instances_hold_the_boundary(schema: Schema) -> None:
    """The constant of a condition, and its neighbours on both sides, occur among the rows."""
    gold = "SELECT rider FROM rental WHERE minutes > 60"
    seen = set()
    for number in range(8):
        connection = _instance(schema, gold, number)
        seen |= {minutes for (minutes,) in connection.execute("SELECT minutes FROM rental")}
        connection.close()
    assert {59, 60, 61} <= seen


def test_instances_repeat_and_differ(schema: Schema) -> None:
    """A seed gives the same rows for ever; another number or seed gives others."""

    def rows(number: int, seed: str) -> list[tuple]:
        connection = _instance(schema, QUERIES[0], number, seed)
        found = connection.execute("SELECT * FROM bike").fetchall()
        connection.close()
        return found

    assert rows(1, "a") == rows(1, "a")
    assert rows(1, "a") != rows(2, "a") != rows(2, "b")


@given(st.one_of(st.integers(), st.floats(-1e9, 1e9), st.dates().map(str), st.text(max_size=5)))
@example("!")
@example("a ")
@example("\ue000")
@example("2021-99-99")
@example("9" * 5000)
@example("\u0663")
def test_step_goes_up_and_down(value: object) -> None:
    """The neighbours of a value are others, of the same storage class, on the right side of it."""
    for direction in (1, -1):
        neighbour = step(value, direction)
        assert type(neighbour) is type(value)
        if value != "":
            assert neighbour != value
        if isinstance(value, int | float):
            assert (neighbour > value) is (direction > 0)


def test_step_keeps_to_characters() -> None:
    """All over Unicode a text's neighbours can be written, and sort on the right side of it."""
    beyond = [0x10FFFF, *range(0x10000, 0x110000, 61)]
    for code in [*range(0xD800), *range(0xE000, 0x10000), *beyond]:
        text = f"a{chr(code)}"
        below, above = (step(text, direction).encode() for direction in (-1, 1))
        assert below < text.encode() < above, hex(code)


LIKE_PATTERNS = st.text(st.sampled_from("abXYé%_ "), min_size=1, max_size=6)


def matches(text: str, operator: str, pattern: str) -> bool:
    """Ask SQLite itself."""
    connection = sqlite3.connect(":memory:")
    found = connection.execute(f"SELECT ? {operator} ?", (text, pattern)).fetchone()[0]
    connection.close()
    return bool(found)


@given(LIKE_PATTERNS, st.randoms(use_true_random=False))
def test_pattern_texts_match_in_either_case(pattern: str, rng: random.Random) -> None:
    """What is made for a LIKE pattern is accepted by SQLite, whatever its case."""
    place = ("station", "name")
    column = ColumnProfile(
        name="name", kind="text", pool=("a",), nullable=False, unique=False, closed=False
    )
    like = Condition(column=place, op="like", values=(pattern,))
    assert matches(satisfying(like, column, ("a",), rng), "LIKE", pattern)
    assert matches(other_case(satisfying(like, column, ("a",), rng)), "LIKE", pattern)
    glob = Condition(column=place, op="glob", values=(pattern.replace("%", "*").replace("_", "?"),))
    assert matches(satisfying(glob, column, ("a",), rng), "GLOB", str(glob.values[0]))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["Har%", "%bour", "%arbou%", "Castle", "Old M_ll"]))
def test_like_is_told_from_what_heeds_case(schema: Schema, pattern: str) -> None:
    """For every shape of pattern some instance tells LIKE from GLOB, and LIKE from ``=``."""
    told = {"GLOB": False, "=": False}
    gold = f"SELECT id FROM station WHERE name LIKE '{pattern}'"
    for number in range(10):
        connection = _instance(schema, gold, number)
        wanted = connection.execute(gold).fetchall()
        for operator in told:
            other = pattern.replace("%", "*").replace("_", "?") if operator == "GLOB" else pattern
            query = f"SELECT id FROM station WHERE name {operator} ?"
            told[operator] |= connection.execute(query, (other,)).fetchall() != wanted
        connection.close()
    assert all(told.values()), told


def test_equal_queries_are_proven(schema: Schema) -> None:
    """Aliases, join order, BETWEEN, quotes and ordinals do not hide equality."""
    pairs = [(2, 3), (0, 4), (7, 8), (9, 10), (9, 11), (14, 15), (17, 18), (24, 26), (36, 37),
             (45, 46), (52, 53)]  # fmt: skip
    for left, right in pairs:
        assert proven_equal(QUERIES[left], QUERIES[right], schema), QUERIES[left]


def test_no_proof_is_refuted_by_running(schema: Schema) -> None:
    """Of all pairs of these queries, none that is proven equal differs on any instance."""
    proven = [(a, b) for a in QUERIES for b in QUERIES if a < b and proven_equal(a, b, schema)]
    assert len(proven) >= 11
    for left, right in proven:
        for number in range(6):
            connection = _instance(schema, left, number)
            _assert_same(connection, left, right)
            connection.close()


@settings(max_examples=60, deadline=None)
@given(query=st.sampled_from(QUERIES), rng=st.randoms(use_true_random=False))
def test_no_proof_for_a_changed_query(query: str, rng: random.Random, schema: Schema) -> None:
    """A query with a literal, an operator or DISTINCT changed is never called equal to itself."""
    tree = sqlglot.parse_one(query, read="sqlite")
    literals = list(tree.find_all(exp.Literal))
    comparisons = list(tree.find_all(exp.GT, exp.LT, exp.GTE))
    if literals and rng.random() < 0.5:
        literal = rng.choice(literals)
        literal.set("this", literal.this + ("0" if not literal.is_string else "z"))
        assume(not isinstance(literal.parent, exp.Ordered | exp.Group))
    elif comparisons:
        node = rng.choice(comparisons)
        node.replace(exp.NEQ(this=node.this, expression=node.expression))
    else:
        assume(isinstance(tree, exp.Select))
        tree.set("distinct", None if tree.args.get("distinct") else exp.Distinct())
    assert not proven_equal(query, tree.sql(dialect="sqlite"), schema)


def _assert_same(connection: sqlite3.Connection, left: str, right: str) -> None:
    results = []
    for query in (left, right):
        cursor = connection.execute(query)
        results.append((cursor.fetchall(), len(cursor.description)))
    (wanted, width), (given_rows, given_width) = results
    assert compare(unordered(wanted, width), given_rows, given_width).same, (left, right)
