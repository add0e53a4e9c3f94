"""Differences that careful people dispute, and which of them a judge accepts."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from harness.errors import StudyError, nearest
from harness.sql.execute.messages import Cell, Cells

_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What careful people dispute; strict unless said otherwise.

    ``extra_columns``: accept further columns beside the gold's. ``all_ties``: where the gold cuts
    at a tie, accept all tied rows too. ``text_numbers``: let ``'4'`` equal ``4``.
    """

    extra_columns: bool = False
    all_ties: bool = False
    text_numbers: bool = False

    @classmethod
    def allowing(cls, names: Iterable[str]) -> "Policy":
        """Return the policy that allows what is named.

        Raises:
            StudyError: If there is no such policy.

        >>> Policy.allowing(["all_ties"]).allowed
        ('all_ties',)
        """
        known = [field.name for field in fields(cls)]
        for name in names:
            if name not in known:
                raise StudyError(f"nothing called {name!r} can be allowed{nearest(name, known)}")
        return cls(**dict.fromkeys(names, True))

    @property
    def allowed(self) -> tuple[str, ...]:
        """The names of what is allowed; empty for the strict default."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))


STRICT = Policy()


def numeric(row: Sequence[Cell]) -> Cells:
    """Return a row in which text that spells a number is that number.

    >>> numeric(("4", "4.5", "4 ", "1_0"))
    (4, 4.5, '4 ', '1_0')
    """
    return tuple(_number(cell) if isinstance(cell, str) else cell for cell in row)


def _number(text: str) -> Cell:
    """Read text as the number it spells, if it does."""
    if _INTEGER.fullmatch(text):
        return int(text)
    value = float(text) if _FLOAT.fullmatch(text) else math.inf
    return value if math.isfinite(value) else text
