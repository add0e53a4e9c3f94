"""Which pairs raters see: some that flipped, some of the rest, at known probabilities.

Flips alone would say nothing about the whole suite, and a plain random draw would hold few of
them. Two strata with known sizes give both: raters see the flips, and weights bring the sample
back to the population.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis import answer_text
from harness.display_text import visible
from harness.records import PREFERENCE, Comparison, Pair

Stratum = Literal["flips", "others"]

_TEMPLATE_TOKENS = re.compile(r"(?:\s*(?:<\|[\w ]+\|>|</s>|<eos>|<end_of_turn>))+\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One pair for raters; ``probability`` is the chance that the draw had to take it."""

    pair: Pair
    stratum: Stratum
    probability: float
    base: str
    tuned: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What was drawn from one comparison, and what was not shown because it needs no rater.

    ``sizes`` has how many items each stratum holds; ``identical`` pairs count as ties.
    """

    drawn: tuple[Drawn, ...]
    sizes: dict[Stratum, int]
    identical: int
    unscored: int


def draw(comparison: Comparison, *, items: int, seed: int, part: int = 0, parts: int = 1) -> Draw:
    """Draw at most ``items`` pairs, half of them flips where there are enough.

    Args:
        comparison: Base against one candidate on one suite.
        items: Pairs that raters shall see.
        seed: Of the draw; the same seed draws the same pairs.
        part: Which share of the suite's items may be drawn, from 0.
        parts: Into how many shares the items are dealt. With a share a candidate no question is
            seen twice; else the answer that recurs would give the base away.

    Returns:
        The drawn pairs; their probabilities are those among all of the stratum's items.
    """
    strata: dict[Stratum, list[Pair]] = {"flips": [], "others": []}
    identical = unscored = 0
    for pair in comparison.pairs:
        if pair.transition == "unscored" and comparison.suite.metric != PREFERENCE:
            unscored += 1
        elif clean(answer_text(pair.base)) == clean(answer_text(pair.tuned)):
            identical += 1
        else:
            strata["flips" if pair.transition in ("gained", "lost") else "others"].append(pair)
    sizes = {stratum: len(found) for stratum, found in strata.items()}
    dealt = {
        stratum: [pair for pair in found if _share(pair, parts, seed) == part]
        for stratum, found in strata.items()
    }
    flips, others = len(dealt["flips"]), len(dealt["others"])
    wanted_flips = min(flips, max(-(-items // 2), items - others))
    wanted: dict[Stratum, int] = {
        "flips": wanted_flips,
        "others": min(others, items - wanted_flips),
    }
    drawn = [
        _drawn(pair, stratum, count / sizes[stratum])
        for stratum, count in wanted.items()
        for pair in _shuffled(dealt[stratum], comparison, seed)[:count]
    ]
    return Draw(
        drawn=tuple(drawn),
        sizes=sizes,
        identical=identical,
        unscored=unscored,
    )


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


def _drawn(pair: Pair, stratum: Stratum, probability: float) -> Drawn:
    return Drawn(
        pair=pair,
        stratum=stratum,
        probability=probability,
        base=clean(answer_text(pair.base)),
        tuned=clean(answer_text(pair.tuned)),
    )


def _share(pair: Pair, parts: int, seed: int) -> int:
    return int(keyed(seed, "share", *map(str, pair.base.item.key))[:8], 16) % parts


def _shuffled(pairs: Sequence[Pair], comparison: Comparison, seed: int) -> list[Pair]:
    def order(pair: Pair) -> str:
        key = pair.base.item.key
        return keyed(seed, "draw", comparison.candidate, *map(str, key))

    return sorted(pairs, key=order)
