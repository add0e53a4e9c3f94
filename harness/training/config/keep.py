"""Which checkpoint is kept: the best on one suite among those that forget no more than a limit."""

from collections.abc import Mapping
from dataclasses import dataclass

_ROUNDING = 1e-9
"""By how much a computed fall may exceed its limit: means of a few items are no exact decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepRule:
    """How a training's checkpoints are told apart by suites' mean scores, which are in [0, 1].

    ``best`` is the suite whose best checkpoint is kept, ``limit`` the most that others may fall
    from their score before training, ``lower`` the suites of which a lower score is better.
    ``items`` is a sha256 of the items that choose.
    """

    best: str
    limit: Mapping[str, float]
    lower: frozenset[str] = frozenset()
    items: str = ""

    def value(self, scores: Mapping[str, float]) -> float:
        """Return what is to be as high as possible."""
        return self._oriented(self.best, scores[self.best])

    def broken(self, before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
        """Return the falls that exceed their limit, by suite."""
        falls = {
            suite: self._oriented(suite, before[suite]) - self._oriented(suite, now[suite])
            for suite in self.limit
        }
        return {s: fall for s, fall in falls.items() if fall > self.limit[s] + _ROUNDING}

    def _oriented(self, suite: str, score: float) -> float:
        return 1.0 - score if suite in self.lower else score
