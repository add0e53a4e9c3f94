"""Which answer stands on which side, and the rows that raters see.

Sides alternate inside every stratum, so base and tuned stand on either side equally often, whatever
the number of rows, and no rater can learn a side. Every further rater sees half of the rows with
the sides exchanged, which makes a preference for a side measurable. A few rows come twice, far
apart and with the sides exchanged: whoever rates with care rates them alike.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.analysis import script_text, target_text
from harness.display_text import visible
from harness.records import Item
from harness.review.draw import Drawn, keyed
from harness.review.packet import RaterRow

BASE_ON_A = "A"
BASE_ON_B = "B"

_TURN = re.compile(
    r"<\|(?:im_start\|>|start_header_id\|>)?(?P<role>system|user|assistant)"
    r"(?:\|>|<\|end_header_id\|>\s*|\n)"
)
_SPECIAL = re.compile(r"<\|(?:end|im_end|eot_id|begin_of_text|end_of_text|endoftext)\|>|</?s>")
_CUE = re.compile(r"\n(?:Assistant|Answer): ?\s*$")

CELL = 32_000
"""UTF-16 units of a text that a sheet shows; spreadsheet cells end at 32,767."""
CUT = " [cut here: too long for a cell]"

REPEATED = 20
"""One of so many of a rater's rows comes twice; none where there are fewer than ten."""
FEWEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindedRow:
    """One row of a rater's sheet, and what only the key knows.

    ``repeats`` is the row that this one shows again with the sides exchanged.
    """

    shown: RaterRow
    drawn: Drawn
    base_side: str
    repeats: str | None = None


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

    def lot(use: str, entry: Drawn) -> str:
        return keyed(seed, use, name, str(rater), drawing, *map(str, entry.pair.base.item.key))

    once = [
        _row(entry, _id(lot("row", entry)), _base_side(place, name, rater, seed))
        for place, entry in enumerate(_by_kind(drawn, name, seed))
    ]
    placed = [(int(lot("order", row.drawn)[:8], 16), row) for row in once]
    placed += [
        ((place + _HALF) % (2 * _HALF), _again(row, _id(lot("again", row.drawn))))
        for place, row in _repeated(placed)
    ]
    return tuple(row for _, row in sorted(placed, key=lambda each: (each[0], each[1].shown.id)))


_HALF = 1 << 31
"""Half of the range in which rows have their places: how far a repetition is from its row."""


def _id(lot: str) -> str:
    """Name a row so that no spreadsheet takes it for a number, a date or a cell."""
    return f"row-{lot[:10]}"


def _repeated(placed: Sequence[tuple[int, BlindedRow]]) -> list[tuple[int, BlindedRow]]:
    """Choose what comes twice: as many with base on A as on B, one more or less."""
    sides = [
        sorted((each for each in placed if each[1].base_side == side), key=lambda e: e[1].shown.id)
        for side in (BASE_ON_A, BASE_ON_B)
    ]
    couples = [each for couple in zip(*sides, strict=False) for each in couple]
    return couples[: -(-len(placed) // REPEATED)] if len(placed) >= FEWEST else []


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
    shown = RaterRow(
        id=name,
        question=_fitting(asked_of(item)),
        reference=_fitting(visible(target_text(item)).strip()),
        answer_a=_fitting(a or "(empty)"),
        answer_b=_fitting(b or "(empty)"),
    )
    return BlindedRow(shown=shown, drawn=entry, base_side=side)


def _again(row: BlindedRow, name: str) -> BlindedRow:
    shown = replace(row.shown, id=name, answer_a=row.shown.answer_b, answer_b=row.shown.answer_a)
    side = BASE_ON_B if row.base_side == BASE_ON_A else BASE_ON_A
    return replace(row, shown=shown, base_side=side, repeats=row.shown.id)


def asked_of(item: Item) -> str:
    """Return what an item asks, for people; of a dialogue what both sides were told."""
    told = script_text(item)
    return readable(item.prompt) if told is None else visible(told)


def readable(prompt: str) -> str:
    """Write a prompt for people: turns with their speaker instead of a chat template's tokens.

    >>> readable("<|user|>Who is it?<|end|><|assistant|>")
    'User: Who is it?'
    """
    text = _TURN.sub(lambda turn: f"\n{turn['role'].title()}: ", visible(prompt))
    return _CUE.sub("", _SPECIAL.sub("", text)).strip()


def _fitting(text: str) -> str:
    """Cut a text to what a cell holds, which counts in UTF-16's units."""
    if len(text) <= CELL // 2 or len(text.encode("utf-16-le")) // 2 <= CELL:
        return text
    return text.encode("utf-16-le")[: 2 * CELL].decode("utf-16-le", "ignore") + CUT
