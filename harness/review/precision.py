"""What a draw can tell before anybody has rated it: how wide the win rate's interval will be."""

from collections.abc import Mapping
from typing import NamedTuple

from harness.stats.win_rate import Stratum, population_win_rate

LEVEL = 0.90
_CLEAR = 0.9
"""How often raters side with the metric about an item that changed, in the hopeful case."""


class Precision(NamedTuple):
    """Half the width of the interval, as a share of the suite.

    ``worst`` is where the winner of every item is as good as drawn by lot, ``hopeful`` where nine
    of ten changed items are won by the arm that the metric says, and every other item is a tie or
    falls to either side, a third each.
    """

    worst: float
    hopeful: float


def precision(drawn: Mapping[str, int], sizes: Mapping[str, int], identical: int) -> Precision:
    """Foretell the precision of a set's win rate; further raters of the same items add little.

    Args:
        drawn: Pairs of each stratum that raters see.
        sizes: Items of each stratum, of which at least one pair is drawn.
        identical: Items with identical answers, which count as ties.
    """

    def half_width(scores: Mapping[str, list[float]]) -> float:
        strata = [Stratum(sizes[name], scores[name]) for name in sizes]
        _, low, high = population_win_rate(strata, ties=identical, level=LEVEL)
        return (high - low) / 2

    return Precision(
        worst=half_width({name: _split(count, 0.5, 0.5) for name, count in drawn.items()}),
        hopeful=half_width({name: _hopeful(name, count) for name, count in drawn.items()}),
    )


def _hopeful(stratum: str, count: int) -> list[float]:
    moves = stratum.partition(":")[0]
    if moves == "lost":
        return _split(count, 1 - _CLEAR, _CLEAR)
    if moves == "gained":
        return _split(count, _CLEAR, 1 - _CLEAR)
    return _split(count, 1 / 3, 1 / 3)


def _split(count: int, wins: float, losses: float) -> list[float]:
    won = round(count * wins)
    lost = min(count - won, round(count * losses))
    return [1.0] * won + [0.0] * lost + [0.5] * (count - won - lost)
