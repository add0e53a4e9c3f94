"""Finding the one statement in what a model wrote."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.growth import grows_linearly

from harness.sql import extract
from harness.sql.parse.lexer import is_truncated, normalized, tokenize
from harness.sql.parse.wording.statements import starts_statement

WANTED = "SELECT name FROM emp"

WRAPPED = {
    "bare": "SELECT name FROM emp",
    "semicolon": "SELECT name FROM emp;",
    "several semicolons": "SELECT name FROM emp;;\n;",
    "fence": "```sql\nSELECT name FROM emp\n```",
    "fence on one line": "```sql SELECT name FROM emp ```",
    "fence without a language": "```\nSELECT name FROM emp\n```",
    "unclosed fence": "Here:\n```sql\nSELECT name FROM emp",
    "tilde fence": "~~~sql\nSELECT name FROM emp\n~~~",
    "prose and fence": "Sure!\n\n```sql\nSELECT name FROM emp;\n```\n\nThis lists all names.",
    "corrected fence": "```sql\nSELECT id FROM emp\n```\nNo:\n```sql\nSELECT name FROM emp\n```",
    "SQL fence before an output fence": "```sql\nSELECT name FROM emp\n```\n```\nAnn\nBob\n```",
    "label": "SQL: SELECT name FROM emp",
    "bold label": "**Answer:** SELECT name FROM emp",
    "prompt": "sqlite> SELECT name FROM emp;",
    "thoughts": "<think>SELECT id FROM emp? No.</think>\nSELECT name FROM emp",
    "end of thoughts only": "I could SELECT id FROM emp.\n</think>\nSELECT name FROM emp",
    "tag": "<sql>SELECT name FROM emp</sql>",
    "JSON": '{"sql": "SELECT name FROM emp"}',
    "fenced JSON": '```json\n{"query": "SELECT name FROM emp"}\n```',
    "inline code": "The query is `SELECT name FROM emp`.",
    "quoted": '"SELECT name FROM emp"',
    "end-of-turn token": "SELECT name FROM emp<|im_end|>\nSELECT id FROM emp",
    "next question": "SELECT name FROM emp\nQuestion: how many?\nSQL: SELECT 1",
    "sentence behind": "SELECT name FROM emp\nThis query returns all the names.",
    "paragraph behind": "SELECT name FROM emp\n\nnote that names repeat",
    "prose behind a semicolon": "SELECT name FROM emp; drop me a line if it fails",
    "a sentence that starts with Select": "Select the names as follows:\nSELECT name FROM emp",
    "mid-sentence": "To get them, use SELECT name FROM emp;",
    "byte order mark": "\ufeffSELECT name FROM emp",
}


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED)
def test_wrapping_is_removed(text: str) -> None:
    """Whatever stands around it, the same statement is found."""
    found = extract(text)
    assert normalized(found.sql or "") == normalized(WANTED)
    assert not found.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no_sql"),
        ("I do not know.", "no_sql"),
        ("Select something you like", "no_sql"),
        ("<think>SELECT name FROM emp", "no_sql"),
        ("SELECT name FROM emp; DROP TABLE emp", "multi_statement"),
        ("SELECT name FROM emp; SELECT 1", "multi_statement"),
        ("BEGIN; DELETE FROM emp; COMMIT", "multi_statement"),
        ("DELETE FROM emp", "refused_write"),
        ("-- harmless\nDROP TABLE emp", "refused_write"),
        ("PRAGMA table_info(emp)", "refused_write"),
        ("EXPLAIN SELECT name FROM emp", "not_a_query"),
        ("SELECT name FROM emp WHERE name = 'An", "truncated"),
        ("SELECT name FROM emp WHERE", "truncated"),
        ("SELECT COUNT(", "truncated"),
        ("SELECT " + "1 + " * 60_000 + "1", "too_long"),
    ],
)
def test_what_cannot_be_run_is_named(text: str, problem: str) -> None:
    """No statement, several, another kind, and one that breaks off have names of their own."""
    assert extract(text).problem == problem


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a;b' FROM emp",
        "SELECT name FROM emp -- ; DROP TABLE emp",
        "SELECT /* ; */ name FROM emp",
        'SELECT "drop table" FROM emp',
        "SELECT note FROM emp WHERE note = 'DROP TABLE emp; --'",
        "SELECT replace(name, 'A', 'X') FROM emp",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "(SELECT 1) UNION (SELECT 2)",
        "VALUES (1), (2)",
        "SELECT name\n\nFROM emp\n\nWHERE id = 1",
        "SELECT 'it''s' FROM emp",
    ],
)
def test_statement_is_left_as_it_is(sql: str) -> None:
    """Words in literals, names and comments neither cut nor refuse a statement."""
    found = extract(sql)
    assert found.sql == sql
    assert not found.problem


@given(st.text(max_size=300))
def test_any_text_is_survived(text: str) -> None:
    """Extraction never raises, and finds a statement or says what is wrong."""
    found = extract(text)
    assert found.problem or found.sql


@given(st.text(alphabet="SELECTFROMabc '\"`;()-/*\n,=<>|{}[]:#", max_size=200))
@settings(max_examples=300)
def test_tokens_join_back_to_the_text(text: str) -> None:
    """Tokenizing loses nothing, and its helpers survive any punctuation."""
    assert "".join(token.text for token in tokenize(text)) == text
    is_truncated(text)
    starts_statement(text)
    extract(text)


@given(st.sampled_from(list(WRAPPED.values())), st.text(max_size=60))
def test_prose_in_front_is_survived(wrapped: str, prose: str) -> None:
    """Text before an answer may hide the statement, but never raises."""
    extract(prose + "\n" + wrapped)


@pytest.mark.parametrize(
    "shape",
    [
        lambda n: "SELECT 'x\n" + ("Hello there my friend " * 18 + "\n") * n,
        lambda n: "SELECT ('x\n" + ("## " + "a b " * 100 + "\n") * n,
        lambda n: "SELECT a\n" + "\n" * (400 * n) + "FROM t",
        lambda n: "`SELECT a FROM t," + ("`" + "y" * (6 * n)) * 60,
        lambda n: "<sql>a" * (60 * n),
        lambda n: "<|channel|>analysis" * (20 * n),
        lambda n: "SELECT x: select y\n" * (20 * n),
        lambda n: "[{'" * (100 * n),
        lambda n: "SELECT 1; " + "select the best of all words. " * (12 * n),
        lambda n: "-- SELECT a FROM b\n" * (20 * n),
    ],
    ids=lambda shape: repr(shape(1)[:24]),
)
def test_cost_grows_with_the_length_of_a_text(shape: Callable[[int], str]) -> None:
    """No shape of text makes extraction superlinear: there is no worker to be killed here."""
    assert grows_linearly(extract, shape(125), shape(1_000), times=8)
