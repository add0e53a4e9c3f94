"""Which pairs raters see: some of every stratum, each at a known probability.

Items that changed alone would say nothing about the whole suite, and a plain random draw would hold
few of them. Strata of known sizes give both: raters see what changed, and weights bring the sample
back to the population.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from harness.analysis import primary_label, shown_text
from harness.display_text import one_line, visible
from harness.records import PREFERENCE, Comparison, Pair, Transition
from harness.review.strata import Cell, allot, joined

LABEL = "label"
"""What strata can be split by beside fields of the rows: the cause that scoring gave an answer."""

_TEMPLATE_TOKENS = re.compile(r"(?:\s*(?:<\|[\w ]+\|>|</s>|<eos>|<end_of_turn>))+\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One pair for raters; ``probability`` is the chance that the draw had to take it."""

    pair: Pair
    stratum: str
    probability: float
    base: str
    tuned: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What was drawn from one comparison, and what was not shown because it needs no rater.

    ``sizes`` has how many items each stratum holds; ``identical`` pairs count as ties.
    """

    drawn: tuple[Drawn, ...]
    sizes: dict[str, int]
    identical: int
    unscored: int


def draw(
    comparison: Comparison,
    *,
    items: int,
    seed: int,
    part: int = 0,
    parts: int = 1,
    by: str = "",
) -> Draw:
    """Draw at most ``items`` pairs, half of them items that changed where there are enough.

    Strata are what became of an item (lost, gained, both wrong, both right) and, with ``by``, one
    property of it; each gives two pairs or more, as far as it has them, and strata too small for
    that are joined.

    Args:
        comparison: Base against one candidate on one suite.
        items: Pairs that raters shall see.
        seed: Of the draw; the same seed draws the same pairs.
        part: Which share of the suite's items may be drawn, from 0.
        parts: Into how many shares the items are dealt. With a share a candidate no question is
            seen twice; else the answer that recurs would give the base away.
        by: A field of the rows or `LABEL`; empty for none.

    Returns:
        The drawn pairs; their probabilities are those among all of the stratum's items.
    """
    found: dict[tuple[Transition, str], list[Pair]] = defaultdict(list)
    identical = unscored = 0
    for pair in comparison.pairs:
        if pair.transition == "unscored" and comparison.suite.metric != PREFERENCE:
            unscored += 1
        elif clean(shown_text(pair.base)) == clean(shown_text(pair.tuned)):
            identical += 1
        else:
            found[pair.transition, property_of(pair, by)].append(pair)

    def dealt(pairs: Sequence[Pair]) -> tuple[tuple[str, Pair], ...]:
        lots = [
            (keyed(seed, "draw", comparison.candidate, *map(str, pair.base.item.key)), pair)
            for pair in pairs
            if _share(pair, parts, seed) == part
        ]
        return tuple(sorted(lots, key=itemgetter(0)))

    cells = joined(
        (
            Cell(transitions=(move,), values=(value,), size=len(pairs), dealt=dealt(pairs))
            for (move, value), pairs in sorted(found.items(), key=itemgetter(0))
        ),
        items,
    )
    return Draw(
        drawn=tuple(
            _drawn(pair, cell.name, count / cell.size)
            for cell, count in zip(cells, allot(cells, items), strict=True)
            for _, pair in cell.dealt[:count]
        ),
        sizes={cell.name: cell.size for cell in cells},
        identical=identical,
        unscored=unscored,
    )


def property_of(pair: Pair, by: str) -> str:
    """Return what a pair has of the property that strata are split by.

    A cause is the candidate's where its answer is wrong, else the base's.
    """
    if not by:
        return ""
    if by == LABEL:
        return primary_label(pair.tuned) or primary_label(pair.base) or "none"
    item = pair.base.item
    return one_line(str(item.slices.get(by, item.doc.get(by, "none"))), 60)


def clean(text: str) -> str:
    """Strip from an answer what would reveal its arm: template tokens and stray white space.

    >>> clean(" a  <|end|>")
    'a'
    """
    text = _TEMPLATE_TOKENS.sub("", visible(text))
    return "\n".join(line.rstrip() for line in text.strip().split("\n"))


def keyed(seed: int, *parts: str) -> str:
    """Return a hash that only the holder of the seed can compute; it orders and names rows."""
    text = "\x1f".join((str(seed), *parts))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _drawn(pair: Pair, stratum: str, probability: float) -> Drawn:
    return Drawn(
        pair=pair,
        stratum=stratum,
        probability=probability,
        base=clean(shown_text(pair.base)),
        tuned=clean(shown_text(pair.tuned)),
    )


def _share(pair: Pair, parts: int, seed: int) -> int:
    return int(keyed(seed, "share", *map(str, pair.base.item.key))[:8], 16) % parts
