"""One finding of a comparison of two queries, and the clauses that it can stand in."""

from dataclasses import dataclass
from typing import Literal

Clause = Literal[
    "set_op", "from", "select", "distinct", "where", "group_by", "having", "order_by", "limit"
]
"""Where a finding stands, in the words of SQL."""

Side = tuple[Literal["left", "right"], ...]
"""The way to one SELECT through set operations; empty for the outermost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One finding: its ``label``, the ``clause`` it stands in, both texts.

    ``side`` leads to the SELECT within set operations: ``("left",)`` is the first operand.
    """

    label: str
    clause: Clause
    gold: str = ""
    pred: str = ""
    side: Side = ()
