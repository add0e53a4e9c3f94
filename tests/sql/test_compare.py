"""When two result tables are the same answer."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sql.compare.noise import noise_of
from harness.sql.compare.policy import Policy
from harness.sql.compare.tables import (
    Expectation,
    TieGroup,
    close,
    compare,
    fitting_orders,
    unordered,
)
from harness.sql.compare.ties import GoldPlan, expectation, plan_gold, tie_variants
from harness.sql.execute.sandbox import QueryResult
from harness.sql.parse.sqlglot_tree import parse

cells = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from([0.5, 1.0, 2.25]),
)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[cells] * width), min_size=1, max_size=6)
)


@given(tables, st.randoms(use_true_random=False))
def test_rows_and_columns_may_be_permuted(rows: list[tuple], rng: random.Random) -> None:
    """A table equals every shuffling of its rows and columns."""
    width = len(rows[0])
    order = rng.sample(range(width), width)
    shuffled = [tuple(row[c] for c in order) for row in rng.sample(rows, len(rows))]
    assert compare(unordered(rows, width), shuffled, width).same


@given(tables, st.randoms(use_true_random=False))
def test_noise_is_no_difference(rows: list[tuple], rng: random.Random) -> None:
    """Relative noise of 1e-12 on any float leaves tables equal."""
    noisy = [
        tuple(c * (1 + rng.choice([-1e-12, 1e-12])) if isinstance(c, float) else c for c in row)
        for row in rows
    ]
    assert compare(unordered(rows, len(rows[0])), noisy, len(rows[0])).same


@given(tables)
def test_a_changed_cell_is_a_difference(rows: list[tuple]) -> None:
    """One cell replaced by a value from nowhere is noticed."""
    changed = [("zzz", *rows[0][1:]), *rows[1:]]
    assert not compare(unordered(rows, len(rows[0])), changed, len(rows[0])).same


@given(tables)
def test_a_repeated_row_is_a_difference(rows: list[tuple]) -> None:
    """Rows are a bag: one copy more is another answer."""
    match = compare(unordered(rows, len(rows[0])), [*rows, rows[0]], len(rows[0]))
    assert (match.same, match.reason) == (False, "duplicates")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True), (3, 3.0000000000000004, True), (0.1 + 0.2, 0.3, True), (1, True, True),
        (2**53 + 1, 2**53, False), (2**53 + 1, float(2**53), False), ("4", 4, False),
        ("a", "A", False), ("a", "a ", False), (None, 0, False), (None, "", False),
        (None, None, True), (b"a", "a", False), (0.031, 0.034, False), (1e-15, 0.0, True),
    ],
)  # fmt: skip
def test_cells(left: object, right: object, same: bool) -> None:
    """Numbers are compared as numbers, everything else exactly."""
    assert close(left, right) is same
    assert compare(unordered([(left,)], 1), [(right,)], 1).same is same


def test_noise_is_matched_row_by_row() -> None:
    """Sorting by a noisy column must not pair the wrong rows."""
    gold = [(0.30000000000000004, "a"), (0.3, "b")]
    pred = [(0.3, "a"), (0.30000000000000004, "b")]
    assert compare(unordered(gold, 2), pred, 2).same
    assert not compare(unordered(gold, 2), [(0.3, "a"), (0.3, "a")], 2).same


def test_many_equal_columns_do_not_explode() -> None:
    """Twelve indistinguishable columns are compared at once, also when a row differs."""
    rows = [(1,) * 12, (2,) * 12]
    assert compare(unordered(rows, 12), rows, 12).same
    assert not compare(unordered(rows, 12), [(1,) * 12, (2,) * 11 + (3,)], 12).same


ORDERED = Expectation(
    groups=(TieGroup(rows=(("a",), ("b",)), take=2), TieGroup(rows=(("c",), ("d",)), take=1)),
    width=1,
    ordered=True,
)


@pytest.mark.parametrize(
    ("rows", "same"),
    [
        ("abc", True), ("bac", True), ("abd", True), ("acb", False), ("cab", False), ("ab", False),
        ("abcd", False),
    ],
)  # fmt: skip
def test_ties_are_free_and_order_is_not(rows: str, same: bool) -> None:
    """Within a tie group any order holds; where LIMIT cuts one, any choice."""
    assert compare(ORDERED, [(r,) for r in rows], 1).same is same


def test_all_ties_is_a_policy() -> None:
    """Returning all tied rows at the cut passes only where the policy says so."""
    rows = [(r,) for r in "abcd"]
    assert not compare(ORDERED, rows, 1).same
    assert compare(ORDERED, rows, 1, policy=Policy(all_ties=True)).same


def test_extra_columns_are_a_policy() -> None:
    """A superset of the gold's columns is named, and passes only where the policy says so."""
    gold, pred = unordered([(1,), (2,)], 1), [("x", 1), ("y", 2)]
    assert compare(gold, pred, 2).reason == "extra_column_only"
    assert compare(gold, pred, 2, policy=Policy(extra_columns=True)).same
    assert compare(gold, [("x", 1), ("y", 3)], 2).reason == "extra_column"


def test_numbers_as_text_are_a_policy() -> None:
    """'4' equals 4 only where the policy says so."""
    assert not compare(unordered([(4,)], 1), [("4",)], 1).same
    assert compare(unordered([(4,)], 1), [("4",)], 1, policy=Policy(text_numbers=True)).same


def _plan(sql: str) -> GoldPlan:
    return plan_gold(sql, parse(sql))


@pytest.mark.parametrize(
    ("sql", "ordered", "keys", "appended"),
    [
        ("SELECT a FROM t", False, (), 0),
        ("SELECT a FROM t WHERE a IN (SELECT b FROM u ORDER BY b)", False, (), 0),
        ("SELECT a FROM t WHERE b = 'order by'", False, (), 0),
        ("SELECT a FROM t ORDER  BY a", True, (0,), 0),
        ("SELECT a, b FROM t ORDER BY 2 DESC, a", True, (1, 0), 0),
        ("SELECT a FROM t ORDER BY c DESC LIMIT 3", True, (-1,), 1),
        ("SELECT a, count(*) AS n FROM t GROUP BY a ORDER BY n", True, (1,), 0),
        ("SELECT a FROM t GROUP BY a ORDER BY count(*), a", True, (-1, 0), 1),
        ("SELECT a FROM t ORDER BY b, c", True, (-2, -1), 2),
        ("SELECT a FROM t UNION SELECT b FROM u ORDER BY a", True, (0,), 0),
        ("SELECT * FROM t ORDER BY a", True, (-1,), 1),
        ("SELECT a FROM t LIMIT 2", False, (), 0),
    ],
)
def test_plan_finds_the_order_keys(
    sql: str, ordered: bool, keys: tuple[int, ...], appended: int
) -> None:
    """Keys are found in the projection or appended to it; only the outermost ORDER BY counts."""
    plan = _plan(sql)
    assert (plan.ordered, plan.keys, plan.appended) == (ordered, keys, appended)
    if ordered or "LIMIT" in sql:
        assert plan.full_sql is not None
        assert "LIMIT" not in plan.full_sql


def test_order_of_distinct_rows_is_open_where_the_shown_columns_tie() -> None:
    """A key that follows from the projection shows ties; one that does not leaves none open."""
    plan = _plan("SELECT DISTINCT a FROM t ORDER BY LENGTH(a)")
    full = [("x", 1), ("y", 1), ("zz", 2)]
    expected = expectation(plan, [("x",), ("y",), ("zz",)], 1, full)
    assert compare(expected, [("y",), ("x",), ("zz",)], 1).same
    assert not compare(expected, [("y",), ("zz",), ("x",)], 1).same
    hidden = expectation(
        _plan("SELECT DISTINCT a FROM t ORDER BY b"),
        [("x",), ("y",)],
        1,
        [("x", 1), ("y", 1), ("x", 2)],
    )
    assert compare(hidden, [("x",), ("y",)], 1).same
    assert not compare(hidden, [("y",), ("x",)], 1).same


def test_sums_are_compared_to_the_size_of_what_was_summed() -> None:
    """5.8e-11 is nothing beside sums of 1e5, keys that differ by it tie; a cent is something."""
    plan = _plan("SELECT a, SUM(b) FROM t GROUP BY a ORDER BY SUM(b)")
    rows = [("x", 0.0), ("y", 5.8e-11), ("z", 0.01)]
    noise = noise_of([QueryResult(kind="ok", rows=((1.2e6,),))])
    expected = expectation(plan, rows, 2, rows, noise)
    assert compare(expected, [("y", 0.0), ("x", -5.8e-11), ("z", 0.01)], 2).same
    assert not compare(expected, [("x", 0.0), ("y", 0.01), ("z", 0.01)], 2).same
    assert not compare(expectation(plan, rows, 2, rows), [*rows[1::-1], rows[2]], 2).same


def test_columns_stand_for_the_same_on_every_database() -> None:
    """What fits one row in one order only has to fit all others in that order."""
    first = fitting_orders(unordered([(3, 1)], 2), [(3, 1)], 2)
    assert first == ((0, 1),)
    assert not compare(unordered([(1, 3)], 2), [(3, 1)], 2, orders=first).same
    assert fitting_orders(unordered([(2, 2)], 2), [(2, 2)], 2) == ((0, 1), (1, 0))
    assert fitting_orders(unordered([], 2), [], 2) is None


def test_ties_inside_a_query_show_in_its_variants() -> None:
    """The LIMIT of a subquery and ROW_NUMBER are broken both ways, the outermost LIMIT is not."""
    inner = "SELECT a FROM t WHERE b = (SELECT b FROM u GROUP BY b ORDER BY COUNT(*) DESC LIMIT 1)"
    whole, alone = tie_variants(parse(inner), "sqlite")
    assert whole[0] != whole[1]
    assert alone[0].startswith("SELECT b FROM u")
    window = "SELECT a FROM (SELECT a, ROW_NUMBER() OVER (ORDER BY b) AS n FROM t) WHERE n = 1"
    assert "b, a DESC" in tie_variants(parse(window), "sqlite")[0][1]
    assert not tie_variants(parse("SELECT a FROM t ORDER BY b LIMIT 1"), "sqlite")


def test_offset_and_limit_cut_tie_groups() -> None:
    """OFFSET skips into a tie group; which of its rows are skipped is open."""
    plan = _plan("SELECT a FROM t ORDER BY b LIMIT 2 OFFSET 1")
    full = [("w", 1), ("x", 1), ("y", 2), ("z", 2)]
    expected = expectation(plan, [("x",), ("y",)], 1, full)
    assert expected.cuts_tie
    for good in (["w", "y"], ["x", "z"], ["x", "y"]):
        assert compare(expected, [(g,) for g in good], 1).same
    for bad in (["w", "x"], ["y", "w"], ["y", "z"]):
        assert not compare(expected, [(b,) for b in bad], 1).same
