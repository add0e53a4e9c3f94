"""Do the intervals that are drawn from ratings hold the truth, and how long does a review take?

    python tests/bench/ratings.py [--runs 2000]

Prints JSON. ``win_rate``: the share of 90 % intervals that hold the population's win rate, in the
cells of ``tests/stats/test_win_rate.py``. ``prediction_powered``: the same with scores of all items
that agree with the ratings well, fairly and not at all; ``worth`` is how many ratings one rating
becomes. ``ranking`` and ``length``: the share that hold an arm's true share, and the true rate at
equal length. ``seconds`` is the processor time of summing up 1,000 pairs of three raters, and of
setting them beside the scores.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stats.test_win_rate import NOTED, OTHERS, coverage
from support.example_result import example_result
from support.reviews import rated

from harness.analysis.people import people_beside
from harness.review.summary import review_of
from harness.stats.prediction_powered import ScoredStratum, prediction_powered_win_rate
from harness.stats.preferences import Bout, length_controlled, rank, share

POWERED = [
    ((500,), (0.6,), (60,)),
    ((100, 300), (0.9, 0.5), (30, 30)),
    ((240, 60), (0.95, 0.5), (45, 10)),
    ((200, 200, 600), (0.8, 0.2, 0.5), (20, 20, 20)),
    ((400, 400), (0.7, 0.5), (50, 50)),
    ((1000,), (0.97,), (60,)),
]
NOISE = {"well": 0.3, "fairly": 1.0, "not at all": 1000.0}


def powered(cell: Any, noise: float, runs: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the share of intervals that hold, and the median worth of a rating."""
    worlds = []
    for size, rate in zip(cell[0], cell[1], strict=True):
        latent = rng.normal(size=size) + np.quantile(rng.normal(size=4000), rate)
        rating = np.where(latent > 0.2, 1.0, np.where(latent < -0.2, 0.0, 0.5))
        score = expit(2 * (latent + noise * rng.normal(size=size)))
        worlds.append((rating, score))
    truth = sum(rating.sum() for rating, _ in worlds) / sum(cell[0])
    scores = np.concatenate([score for _, score in worlds])
    held, worth = 0, []
    for _ in range(runs):
        strata = []
        for (rating, score), n in zip(worlds, cell[2], strict=True):
            drawn = rng.permutation(len(rating))[:n]
            strata.append(ScoredStratum(len(rating), [*rating[drawn]], [*score[drawn]]))
        found = prediction_powered_win_rate(strata, scores)
        held += found.low - 1e-9 <= truth <= found.high + 1e-9
        worth.append(found.worth / sum(cell[2]))
    return round(held / runs, 3), round(float(np.median(worth)), 2)


def outcomes(strength: Any, tie: float, rng: np.random.Generator) -> list[float]:
    """Draw judgements from Davidson's model."""
    chances = np.exp(np.stack([strength / 2, -strength / 2, np.full_like(strength, tie)], axis=1))
    chances /= chances.sum(axis=1, keepdims=True)
    return [(1.0, 0.0, 0.5)[rng.choice(3, p=chance)] for chance in chances]


def ranked(strengths: dict[str, float], tie: float, n: int, runs: int) -> dict[str, float]:
    """Return by arm the share of intervals that hold its true share against the base."""
    rng, held = np.random.default_rng(3), dict.fromkeys(strengths, 0)
    for _ in range(runs):
        bouts = [
            Bout(arm, "base", outcome, 1.0, (arm, item), arm)
            for arm, strength in strengths.items()
            for item, outcome in enumerate(outcomes(np.full(n, strength), tie, rng))
        ]
        for found in rank(bouts, reference="base"):
            if found.arm != "base":
                held[found.arm] += found.low <= share(strengths[found.arm], tie) <= found.high
    return {arm: round(count / runs, 3) for arm, count in held.items()}


def controlled(lean: float, by_length: float, n: int, runs: int) -> float:
    """Return the share of intervals that hold the rate at equal length."""
    rng, held = np.random.default_rng(4), 0
    longer = rng.normal(30.0, 100.0, 600)
    strength = lean + by_length * np.tanh(longer / np.sqrt(np.mean(longer**2)))
    for _ in range(runs):
        drawn = rng.permutation(600)[:n]
        bouts = [
            Bout("t", "base", outcome, 1.0, int(item), "all")
            for item, outcome in zip(drawn, outcomes(strength[drawn], -1.0, rng), strict=True)
        ]
        found = length_controlled(bouts, longer[drawn], longer)
        held += found.low <= share(lean, -1.0) <= found.high
    return round(held / runs, 3)


def seconds() -> dict[str, float]:
    """Return the processor time of 1,000 pairs of three raters."""
    comparisons = list(example_result(size=1000).comparisons)[:1]
    rng = np.random.default_rng(5)
    review = rated(comparisons, lambda *_: int(rng.integers(-2, 3)), items=1000, raters=3)
    begun = time.process_time()
    again = review_of(review.draw, review.sets, review.ratings)
    summed = time.process_time()
    people_beside(comparisons, [again])
    return {
        "ratings": len(review.ratings),
        "summed up": round(summed - begun, 2),
        "beside the scores": round(time.process_time() - summed, 2),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="Intervals from ratings.")
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    rng = np.random.default_rng(1)
    figures = {
        "win_rate": {
            str(cell): [coverage(cell, ties=ties, runs=runs) for ties in (0.0, 0.3)]
            for cell in [*NOTED, *OTHERS]
        },
        "prediction_powered": {
            how: {str(cell): powered(cell, noise, runs, rng) for cell in POWERED}
            for how, noise in NOISE.items()
        },
        "ranking": {
            f"{strengths}, ties {tie}, {n} each": ranked(strengths, tie, n, runs // 4)
            for strengths, tie, n in (
                ({"a": 0.0, "b": 0.0, "c": 1.5}, -0.5, 30),
                ({"a": 2.5, "b": 0.0, "c": -0.5}, -1.0, 30),
                ({"a": 1.0, "b": 1.0, "c": 1.0}, -3.0, 50),
            )
        },
        "length": {
            f"lean {lean}, by length {by_length}, {n} rated": controlled(
                lean, by_length, n, runs // 4
            )
            for lean, by_length, n in ((0, 0, 30), (0, 2, 40), (-1, 3, 60), (2, 0, 40))
        },
        "seconds": seconds(),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
