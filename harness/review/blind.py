"""Which answer stands on which side, and the rows that raters see.

Sides alternate inside every stratum and transition, so base and tuned stand on either side
equally often, whatever the number of rows, and no rater can learn a side. Every further rater
sees half of the rows with the sides exchanged, which makes a preference for a side measurable.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis import target_text
from harness.display_text import visible
from harness.review.draw import Drawn, keyed

BASE_ON_A = "A"
BASE_ON_B = "B"

_TURN = re.compile(
    r"<\|(?:im_start\|>|start_header_id\|>)?(?P<role>system|user|assistant)"
    r"(?:\|>|<\|end_header_id\|>\s*|\n)"
)
_SPECIAL = re.compile(r"<\|(?:end|im_end|eot_id|begin_of_text|end_of_text|endoftext)\|>|</?s>")
_CUE = re.compile(r"\n(?:Assistant|Answer): ?\s*$")

CELL = 32_000
"""Characters of a text that a sheet shows; spreadsheet cells end at 32,767."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindedRow:
    """One row of a rater's sheet, with what only the key knows: ``drawn`` and ``base_side``."""

    id: str
    question: str
    reference: str
    answer_a: str
    answer_b: str
    drawn: Drawn
    base_side: str


def rows(
    drawn: Sequence[Drawn], *, name: str, rater: int, seed: int, drawing: str = ""
) -> tuple[BlindedRow, ...]:
    """Blind the drawn pairs for one rater.

    Args:
        drawn: The pairs of one set.
        name: The set's name, which tells suite but not candidate.
        rater: The rater's number, from 1.
        seed: Of sides, row names and order.
        drawing: The draw's name; no two draws have a row of the same name.

    Returns:
        The rows in this rater's own order. Base is on side A in half of them (one more or less
        where their number is odd).
    """
    blinded = [
        _row(
            entry,
            keyed(seed, "row", name, str(rater), drawing, *map(str, entry.pair.base.item.key))[:10],
            _base_side(place, name, rater, seed),
        )
        for place, entry in enumerate(_by_kind(drawn, name, seed))
    ]
    return tuple(sorted(blinded, key=lambda row: row.id))


def _by_kind(drawn: Sequence[Drawn], name: str, seed: int) -> list[Drawn]:
    def order(entry: Drawn) -> tuple[str, str, str]:
        hashed = keyed(seed, "side", name, *map(str, entry.pair.base.item.key))
        return entry.stratum, entry.pair.transition, hashed

    return sorted(drawn, key=order)


def _base_side(place: int, name: str, rater: int, seed: int) -> str:
    """Alternate by place; rater ``r`` exchanges couples of places by bit ``r - 2``."""
    start = int(keyed(seed, "start", name)[:8], 16)
    exchanged = rater > 1 and (place // 2) >> (rater - 2) & 1
    return BASE_ON_A if (start + place + exchanged) % 2 == 0 else BASE_ON_B


def _row(entry: Drawn, name: str, side: str) -> BlindedRow:
    item = entry.pair.base.item
    a, b = (entry.base, entry.tuned) if side == BASE_ON_A else (entry.tuned, entry.base)
    return BlindedRow(
        id=name,
        question=_fitting(readable(item.prompt)),
        reference=_fitting(visible(target_text(item)).strip()),
        answer_a=_fitting(a or "(empty)"),
        answer_b=_fitting(b or "(empty)"),
        drawn=entry,
        base_side=side,
    )


def readable(prompt: str) -> str:
    """Write a prompt for people: turns with their speaker instead of a chat template's tokens.

    >>> readable("<|user|>Who is it?<|end|><|assistant|>")
    'User: Who is it?'
    """
    text = _TURN.sub(lambda turn: f"\n{turn['role'].title()}: ", visible(prompt))
    return _CUE.sub("", _SPECIAL.sub("", text)).strip()


def _fitting(text: str) -> str:
    return text if len(text) <= CELL else text[:CELL] + " [cut here: too long for a cell]"
