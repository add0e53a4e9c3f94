"""How often the gate errs where items depend on each other, or are few.

``python tests/bench/cluster_simulation.py`` prints the share of false passes (true drop equal to
the margin) and of false alarms (no difference) of every cell, both nominally 5 %, and the exact
error rates of few independent 0/1 items by enumeration. With 4,000 runs a cell it takes hours;
``--runs 400 --every 7`` gives a first look.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from harness.stats import decide, decide_sequentially
from harness.stats.exact_pairs import FEW_ITEMS, exact_p
from harness.stats.paired import p_drop, p_not_worse

LEVEL = 0.05
REACH = 5.5


class Cell(NamedTuple):
    """A world: how clusters are drawn, and the margin of the gate."""

    name: str
    margin: float
    draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray, list[int]]]
    alarm: bool = False
    early: bool = False


def sizes_of(rng: np.random.Generator, groups: int, kind: str) -> np.ndarray:
    """Ten items a cluster on average: equal, unequal (lognormal), or one with half of all items."""
    if kind == "equal":
        return np.full(groups, 10)
    if kind == "unequal":
        return np.maximum(1, rng.lognormal(2.0, 0.8, groups)).astype(int)
    sizes = np.full(groups, 10)
    sizes[int(rng.integers(groups))] = 10 * (groups - 1)
    return sizes


def world(
    rng: np.random.Generator,
    sizes: np.ndarray,
    *,
    loss: float,
    gain: float,
    rho: float,
    base: float,
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Draw 0/1 scores: a right item is lost at a rate that varies between clusters (beta).

    ``loss`` and ``gain`` are shares of all items, ``rho`` the correlation within a cluster (1:
    whole clusters), ``base`` the base's accuracy.
    """
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    right = rng.random(len(cluster)) < base

    def rates(share: float) -> np.ndarray:
        if share <= 0.0:
            return np.zeros(len(sizes))
        if rho >= 1.0:
            return (rng.random(len(sizes)) < share).astype(float)
        scale = (1.0 - rho) / rho
        return rng.beta(share * scale, (1.0 - share) * scale, len(sizes))

    lost = right & (rng.random(len(cluster)) < rates(loss / base)[cluster])
    other = rates(gain / (1.0 - base)) if base < 1.0 else np.zeros(len(sizes))
    gained = ~right & (rng.random(len(cluster)) < other[cluster])
    scores = right.astype(float)
    return scores, scores - lost + gained, cluster.tolist()


def cells() -> Iterator[Cell]:
    """Yield the grid: false passes at the margin, then false alarms without a difference."""
    for groups in (2, 10, 30, 60, 100):
        for kind in ("equal", "unequal", "giant"):
            for rho in (0.1, 0.3, 0.5, 0.9, 1.0):
                for margin, base, gain in ((0.03, 0.9, 0.0), (0.05, 0.7, 0.0), (0.1, 0.7, 0.05)):
                    where = f"G {groups} {kind}, rho {rho:g}, m {margin:g}, b {base:g}"
                    yield Cell(
                        where,
                        margin,
                        lambda rng, g=groups, k=kind, r=rho, m=margin, b=base, up=gain: world(
                            rng, sizes_of(rng, g, k), loss=m + up, gain=up, rho=r, base=b
                        ),
                        early=groups >= 60 and kind == "equal" and rho in (0.3, 1.0),
                    )
                where = f"G {groups} {kind}, rho {rho:g}, no difference, disagreement .1"
                yield Cell(
                    where,
                    0.05,
                    lambda rng, g=groups, k=kind, r=rho: world(
                        rng, sizes_of(rng, g, k), loss=0.05, gain=0.05, rho=r, base=0.7
                    ),
                    alarm=True,
                )


def graded_cells() -> Iterator[Cell]:
    """Yield independent graded items: a small steady gain with rare large falls."""
    for items in (20, 50, 200):
        for margin in (0.03, 0.1):

            def draw(
                rng: np.random.Generator, n: int = items, m: float = margin
            ) -> tuple[np.ndarray, np.ndarray, list[int]]:
                falls = rng.random(n) < (m + 0.02) / 0.92
                base = np.full(n, 0.95)
                return base, np.where(falls, 0.05, 0.97), list(range(n))

            yield Cell(f"graded n {items}, steady gain and rare falls, m {margin:g}", margin, draw)


def rate(cell: Cell, rng: np.random.Generator, runs: int, *, early: bool) -> float:
    """Return the share of runs in which the gate errs, in per cent."""
    wrong = 0
    for _ in range(runs):
        base, tuned, cluster = cell.draw(rng)
        if early:
            found = decide_sequentially(
                zip(base, tuned, strict=True),
                planned=len(base),
                margin=cell.margin,
                clusters=cluster,
            )
        else:
            found = decide(base, tuned, margin=cell.margin, clusters=cluster)
        wrong += found.label.startswith("regressed") if cell.alarm else found.verdict == "pass"
    return 100.0 * wrong / runs


def enumerated(n: int, margin: float) -> float:
    """Return the exact false-pass rate (margin 0: false-alarm rate) of n independent 0/1 items."""
    losses, gains = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    possible = losses + gains <= n
    losses, gains = losses[possible], gains[possible]
    p = p_not_worse(losses, gains, n, margin) if margin else p_drop(losses, gains, n)
    claims = exact_p(p, n, margin) <= LEVEL
    from scipy.stats import multinomial

    tables = np.stack([losses, gains, n - losses - gains], axis=-1)[claims]
    worst = 0.0
    for gain_rate in np.linspace(0.0, (1.0 - margin) / 2.0, 301):
        rates = [gain_rate + margin, gain_rate, max(0.0, 1.0 - margin - 2.0 * gain_rate)]
        worst = max(worst, float(multinomial.pmf(tables, n, rates).sum())) if len(tables) else 0.0
    return 100.0 * worst


def main() -> None:
    """Print every cell, the worst of each kind, and the exact rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4000, help="replicates a cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take every so many-th cell only")
    chosen = parser.parse_args()
    rows = []
    for number, cell in enumerate((*graded_cells(), *cells())):
        if number % chosen.every:
            continue
        rng = np.random.default_rng([chosen.seed, number])
        for early in (False, True) if cell.early else (False,):
            found = rate(cell, rng, chosen.runs, early=early)
            rows.append({"cell": cell.name, "early": early, "alarm": cell.alarm, "rate": found})
            flag = "" if found <= REACH else "  ABOVE"
            print(
                f"{found:6.2f}  {'alarm' if cell.alarm else 'pass '} {cell.name}{flag}", flush=True
            )
    exact = {
        f"{margin:g}": max(enumerated(n, margin) for n in range(1, min(101, FEW_ITEMS)))
        for margin in (0.0, 0.01, 0.03, 0.05, 0.1, 0.2)
    }
    print(json.dumps({"worst": max(row["rate"] for row in rows), "exact": exact}, indent=2))


if __name__ == "__main__":
    main()
