"""Published comparison rules, so that published numbers can be checked.

They are kept with their leaks: one database, no tolerance for floating-point noise. The sandbox and
the extraction of the statement are ours for every rule.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Any

from harness.sql.compare.tables import Row
from harness.sql.parse.lexer import tokenize


def spider_text(sql: str) -> str:
    """Prepare a query as Spider's test-suite evaluation does: operators joined, DISTINCT dropped.

    Source: taoyds/test-suite-sql-eval, ``exec_eval.py`` (``postprocess``, ``remove_distinct``).

    >>> spider_text("SELECT DISTINCT a FROM t WHERE b > = 2")
    'SELECT  a FROM t WHERE b >= 2'
    """
    sql = sql.replace("> =", ">=").replace("< =", "<=").replace("! =", "!=")
    return "".join(
        token.text
        for token in tokenize(sql)
        if not (token.kind == "word" and token.text.lower() == "distinct")
    )


def spider_equal(gold: Sequence[Row], pred: Sequence[Row], *, gold_sql: str) -> bool:
    """Compare two results as ``result_eq`` of the same source does.

    Both empty is equal; columns may be permuted; rows are a bag, or a list where the gold's text
    contains ``order by``; cells compare as Python values.
    """
    if not gold and not pred:
        return True
    if len(gold) != len(pred) or len(gold[0]) != len(pred[0]):
        return False
    ordered = "order by" in gold_sql.lower()

    def same(rows: Sequence[Row]) -> bool:
        return list(gold) == list(rows) if ordered else Counter(gold) == Counter(rows)

    return same(pred) or any(
        same([tuple(r[c] for c in order) for r in pred]) for order in _orders(gold, pred)
    )


def _orders(gold: Sequence[Row], pred: Sequence[Row]) -> Iterable[tuple[int, ...]]:
    """Yield the column orders under which every single column holds the same values."""
    width = len(gold[0])
    wanted = [Counter(row[c] for row in gold) for c in range(width)]
    given = [Counter(row[c] for row in pred) for c in range(width)]
    if sorted(map(_size, wanted)) != sorted(map(_size, given)):
        return
    if width <= 6:
        for order in permutations(range(width)):
            if all(given[c] == want for c, want in zip(order, wanted, strict=True)):
                yield order
        return
    chosen: list[int] = []
    for want in wanted:
        column = next((c for c in range(width) if c not in chosen and given[c] == want), None)
        if column is None:
            return
        chosen.append(column)
    yield tuple(chosen)


def _size(counter: Counter[Any]) -> int:
    return len(counter)


def bird_equal(gold: Iterable[Row], pred: Iterable[Row]) -> bool:
    """Compare two results as BIRD does: sets of rows, columns in order.

    Source: bird-bench/mini_dev, ``evaluation_ex.py`` (``set(predicted) == set(ground_truth)``).
    """
    return set(gold) == set(pred)
