"""Statements are found whole, token by token, in whatever a model writes around them."""

import json
import random
from collections.abc import Iterable, Iterator

import pytest
from support.paths import SHARED
from support.sql_texts import DIALECT_SQL, answers

from harness.sql import extract
from harness.sql.parse.lexer import normalized

SPIDER = SHARED / "spider"
needs_spider = pytest.mark.skipif(not SPIDER.is_dir(), reason="Spider is not in ../shared/data")


def not_whole(statements: Iterable[str], seed: int = 1) -> list[tuple[str, str]]:
    """Return (kind of wrapping, answer) of all that are not extracted token-identical."""
    generator = random.Random(seed)
    return [
        (kind, text)
        for sql in statements
        for kind, wanted, text in answers(sql.strip().rstrip("; "), generator)
        if (found := extract(text)).problem or normalized(found.sql or "") != normalized(wanted)
    ]


def spider_statements() -> Iterator[str]:
    """Yield Spider's golds and what four systems predicted."""
    files = [SPIDER / "dev.jsonl", *sorted((SPIDER / "predictions").iterdir())]
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            yield row["query"] if "query" in row else row["pred_sql"]


def test_statements_of_all_dialects_are_found_whole() -> None:
    """Quotes, casts, brackets and clauses of six dialects, in every wrapping."""
    assert not not_whole(DIALECT_SQL)


@needs_spider
def test_real_statements_are_found_whole() -> None:
    """A sample of Spider's golds and of predictions, in every wrapping."""
    assert not not_whole(list(spider_statements())[::100])


@needs_spider
@pytest.mark.nightly
def test_all_real_statements_are_found_whole() -> None:
    """All golds and predictions, and the dialects with many line breaks and comments."""
    assert not not_whole(spider_statements())
    assert not [bad for seed in range(20) for bad in not_whole(DIALECT_SQL, seed)]


@pytest.mark.parametrize(
    "sql",
    [
        "WITH big AS (\n  SELECT id FROM orders WHERE total > 50\n)\n\nSELECT count(*) FROM big",
        "WITH /* c */ big AS (SELECT 1) SELECT * FROM big",
        "WITH -- c\nbig AS (SELECT 1)\n\nSELECT * FROM big",
        'WITH "big ones" AS (SELECT 1)\n\nSELECT * FROM "big ones"',
        "SELECT a FROM t\nUNION ALL\n\nSELECT b FROM u",
        "-- header: all names\n\nSELECT name FROM emp",
        "SELECT a,\n\n-- Note: the total\n\nb FROM t",
        "SELECT a FROM t\nWHERE b = 'It is\n\nNote: so it is.\n'",
        "SELECT a -- don't stop\nFROM t",
        "SELECT count\n(*)\nFROM t\nE\n\nWHERE E.a = 1",
        "SELECT a\n- b\nFROM t",
        "WITH a AS (SELECT 1)\n(SELECT * FROM a)\nUNION\n(SELECT 2)",
        "SELECT CASE\nWHEN a THEN 'x'\n\nEND\nFROM t",
        "SELECT T1 . name FROM emp AS T1",
        "select name\n\nfrom emp\n\nwhere the_key = 1 and that is null",
    ],
)
def test_line_breaks_and_comments_do_not_cut(sql: str) -> None:
    """What the next line continues is not over."""
    found = extract(sql)
    assert (normalized(found.sql or ""), found.problem) == (normalized(sql), "")


def test_a_clause_is_no_query_of_its_own() -> None:
    """FROM begins a query of DuckDB's only where no SELECT stands before it."""
    select = "SELECT a,\n       b\n\nFROM t\nORDER BY a"
    assert extract(f"Answer: {select}").sql == select
    assert extract("Use it:\nFROM t\nSELECT a").sql == "FROM t\nSELECT a"


@pytest.mark.parametrize(
    "behind",
    [
        "\nWith this query you get all the names.",
        "\nFrom this we see each name.",
        "\n\nname\n----\nAnn\nBob",
        "\n\n| name |\n|------|\n| Ann |",
        "\n\n5",
        "\n\nSELECT id FROM emp",
        ".\n\nThis lists them.",
        ". Hope it helps you.",
        "\nDone",
        "\n\nDone.",
        "\nIt's short.",
        "\n\nWhere needed, add an index on name",
        "\n\nresult: two rows",
        "\n\n> it lists the names",
    ],
)
def test_english_behind_a_statement_is_left_out(behind: str) -> None:
    """Sentences, listings and a second attempt are no part of the statement."""
    assert extract("SELECT name FROM emp" + behind).sql == "SELECT name FROM emp"


@pytest.mark.parametrize(
    "text",
    [
        "CREATE SEQUENCE s; SELECT name FROM emp",
        "CREATE MACRO f(x) AS x; SELECT name FROM emp;",
        "CREATE TYPE mood AS ENUM ('a')",
        "CREATE SCHEMA other; SELECT name FROM emp;",
        "LOCK TABLE emp; SELECT name FROM emp;",
        "REFRESH MATERIALIZED VIEW x; SELECT name FROM emp;",
        "COMMENT ON TABLE emp IS 'x'; SELECT name FROM emp;",
        "DO $$ BEGIN DELETE FROM emp; END $$; SELECT name FROM emp;",
        "VACUUM", "VACUUM FULL emp", "PRAGMA journal_mode = off", "PRAGMA x.y(1)",
        "CLUSTER emp USING i",
        "CALL f(1)", "EXEC sp_who", "EXECUTE plan(1)", "PREPARE p AS SELECT 1", "DISCARD ALL",
        "LISTEN c", "NOTIFY c, 'x'", "RENAME TABLE a TO b", "OPTIMIZE TABLE emp", "FLUSH TABLES",
        "KILL 5", "HANDLER t OPEN", "LOAD DATA INFILE 'x' INTO TABLE t", "INSTALL httpfs",
        "EXPORT DATABASE 'x'", "ATTACH 'x.db' AS y", "USE other", "SET search_path TO x",
        "START TRANSACTION", "BULK INSERT t FROM 'x'", "BACKUP DATABASE x TO DISK = 'y'",
        "SELECT name INTO copy FROM emp", "WITH x AS (DELETE FROM emp RETURNING *) SELECT * FROM x",
        "WITH x AS (SELECT 1) INSERT INTO emp SELECT * FROM x", "MERGE INTO emp USING x ON true",
        "SELECT * FROM (UPDATE emp SET a = 1 RETURNING *) AS u", "SELECT a FROM b INTO OUTFILE 'x'",
        "Here you go:\n```sql\nALTER SEQUENCE s RESTART\n```", "The fix:\nREINDEX TABLE emp;",
        "SELECT 1;\n\nGRANT SELECT ON emp TO joe", "TRUNCATE emp", "REVOKE ALL ON emp FROM joe",
    ],
)  # fmt: skip
def test_every_kind_of_statement_is_recognised(text: str) -> None:
    """What is no query, or writes besides, is named so: it is not taken for prose."""
    assert extract(text).problem in {"refused_write", "multi_statement"}


@pytest.mark.parametrize(
    "behind",
    ["Create an index on name to speed this up.", "Show this to others.", "Use it with care",
     "Drop me a line.", "Set your own limit if you like.", "Call me back (if you want)",
     "Lock the table before you do that.", "Comment on this if it fails", "Do tell me more.",
     "Load the data first", "Analyze the plan to see more", "With a join it is slower",
     "Explain plans show this too.", "Values are sorted (by name)", "From here on it is easy",
     "Table names are in lower case", "Insert your own name instead."],
)  # fmt: skip
def test_english_with_a_verb_of_sql_is_english(behind: str) -> None:
    """A sentence that begins with such a verb refuses nothing."""
    found = extract(f"SELECT name FROM emp;\n\n{behind}")
    assert (found.sql, found.problem) == ("SELECT name FROM emp", "")
    assert extract(behind).problem == "no_sql"


@pytest.mark.parametrize(
    "sql",
    ["SELECT 'into' FROM emp", 'SELECT "into" FROM emp', "SELECT e.into FROM emp e",
     "SELECT replace(a, 'x', 'y') FROM emp", "FROM emp SELECT name", "TABLE emp",
     "UNPIVOT t ON a, b INTO NAME n VALUE v", "SELECT (update) FROM emp"],
)  # fmt: skip
def test_queries_are_not_refused(sql: str) -> None:
    """Names and literals that look like a write, and DuckDB's own queries, may run."""
    assert extract(sql).problem == ""
