"""Two results side by side as a person reads them: few rows, those that differ before others."""

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

from harness.sql.execute.messages import Cell, Cells
from harness.sql.execute.sandbox import QueryResult

SHOWN_ROWS = 12
SHOWN_COLUMNS = 12
SHOWN_CHARACTERS = 120


class ShownTable(TypedDict):
    """A table or a result as plain data."""

    columns: list[str]
    rows: list[list[Cell]]


class ShownResult(ShownTable):
    """A result beside another: ``total`` rows in all, ``only`` the shown ones the other lacks."""

    total: int
    only: list[int]


class BothResults(TypedDict):
    """What the wanted query and the answer returned on the same database."""

    gold: ShownResult
    pred: ShownResult


def side_by_side(gold: QueryResult, pred: QueryResult) -> BothResults:
    """Shorten two results for a page; rows count as bags, whatever their order.

    >>> rows = {"columns": ("n",), "kind": "ok"}
    >>> gold = QueryResult(rows=((1,), (2,)), **rows)
    >>> both = side_by_side(gold, QueryResult(rows=((2,), (2,)), **rows))
    >>> both["gold"]["only"], both["pred"]["only"]
    ([0], [1])
    """
    return {"gold": _shown(gold, pred.rows), "pred": _shown(pred, gold.rows)}


def _shown(result: QueryResult, others: Sequence[Cells]) -> ShownResult:
    left = Counter(others)
    lone, common = [], []
    for number, row in enumerate(result.rows):
        if left[row] > 0:
            left[row] -= 1
            common.append(number)
        else:
            lone.append(number)
    first = set(lone[:SHOWN_ROWS])
    numbers = sorted([*first, *common[: SHOWN_ROWS - len(first)]])
    return {
        "columns": list(result.columns[:SHOWN_COLUMNS]),
        "rows": [[_short(cell) for cell in result.rows[n][:SHOWN_COLUMNS]] for n in numbers],
        "total": len(result.rows),
        "only": [place for place, number in enumerate(numbers) if number in first],
    }


def _short(cell: Cell) -> Cell:
    if isinstance(cell, bytes):
        return f"({len(cell)} bytes)"
    if isinstance(cell, str) and len(cell) > SHOWN_CHARACTERS:
        return cell[:SHOWN_CHARACTERS] + "…"
    return cell
