"""Measure what the SQL judge reads, holds and believes, beyond what the test run tries.

    python tests/bench/sql_reading.py [extraction] [workers] [proofs] [hostile]

``extraction``: every gold and prediction of Spider (``../shared/data``) in every wrapping, and the
dialects' statements, found token-identical. ``workers``: 120 trivial questions on 120 DuckDB
databases, forwards and backwards. ``proofs``: random queries whose canonical forms and proven
variants give other rows. ``hostile``: statements that mean harm, on SQLite and DuckDB.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "sql")]

from support.hostile_sql import DUCKDB, SQLITE  # noqa: E402
from support.sql_texts import DIALECT_SQL  # noqa: E402
from test_hostile_engines import contained  # noqa: E402
from test_proofs import Rows, falsify  # noqa: E402
from test_whole_statements import not_whole, spider_statements  # noqa: E402

from harness.sql import Database, Judge, Question  # noqa: E402

DATABASES = 120
QUERIES = 5_000


def extraction() -> None:
    """Print how many answers of all are not extracted token-identical, by wrapping."""
    started = time.process_time()
    statements = list(spider_statements())
    bad = not_whole(statements)
    print(
        f"extraction: {len(statements)} statements, not whole: {len(bad)}",
        Counter(k for k, _ in bad),
    )
    many = [pair for seed in range(20) for pair in not_whole(DIALECT_SQL, seed)]
    print(f"extraction: {len(DIALECT_SQL)} statements of dialects, 20 times: {len(many)} not whole")
    print(f"extraction: {time.process_time() - started:.1f} s processor, wrapping included")


def workers() -> None:
    """Print the outcomes of a near miss on many DuckDB databases, in both orders."""
    for order in (range(DATABASES), reversed(range(DATABASES))):
        outcomes: Counter[str] = Counter()
        with Judge() as judge:
            for number in order:
                script = f"CREATE TABLE t(a INT); INSERT INTO t VALUES ({number}), (4), (5)"
                database = Database(schema_sql=script, engine="duckdb")
                asked = Question(
                    gold_sql="SELECT a FROM t WHERE a > 4", database=database, dialect="duckdb"
                )
                outcomes[judge.judge(asked, "SELECT a FROM t WHERE a >= 4").outcome] += 1
        print(f"workers: {DATABASES} DuckDB databases: {dict(outcomes)}")


def proofs() -> None:
    """Print how many claims of equality were tried on rows, and which failed."""
    tried, wrong = falsify(Rows(), random.Random(7), QUERIES)
    print(f"proofs: {tried} claims on {QUERIES} random queries, wrong: {len(wrong)}", *wrong[:5])


def hostile() -> None:
    """Print which hostile statements are not contained."""
    with tempfile.TemporaryDirectory() as folder:
        for engine, statements in (("sqlite", SQLITE), ("duckdb", DUCKDB)):
            bad = contained(engine, list(statements), Path(folder))  # type: ignore[arg-type]
            print(f"hostile: {len(statements)} on {engine}, not contained: {bad}")


if __name__ == "__main__":
    PARTS = {f.__name__: f for f in (extraction, workers, proofs, hostile)}
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
