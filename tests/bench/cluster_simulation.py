"""How often the gate errs where items depend on each other, or are few.

``python tests/bench/cluster_simulation.py`` prints, for every cell, the share of false passes (the
true drop equals the margin), of false alarms and of false gains (no difference), each nominally
5 %; then the exact error rates of few independent 0/1 items by enumeration, and the power that the
rule for clusters costs. A cell takes ``--runs`` runs, fewer where the upper 99.9 % bound of its
rate is already below 5.5 %. The whole takes hours of processor time; ``--runs 400 --every 7`` gives
a first look, ``--only exact`` one part.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.stats import beta as beta_law
from scipy.stats import multinomial

from harness.stats import decide_sequentially
from harness.stats.decide import label_of, weigh
from harness.stats.exact_pairs import FEW_ITEMS, exact_p
from harness.stats.paired import p_drop, p_not_worse
from harness.stats.scores import paired_scores

LEVEL = 0.05
REACH = 5.5
BATCH = 500
"""Runs between two looks at whether a cell is clearly below the level."""

Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray, list[int]]]


class Cell(NamedTuple):
    """A world: how scores are drawn, the margin, and which claim would be wrong in it."""

    name: str
    margin: float
    draw: Draw
    error: str = "false pass"
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


def rates(rng: np.random.Generator, groups: int, share: float, rho: float) -> np.ndarray:
    """Rates of clusters with mean ``share`` and correlation ``rho`` (beta; 1: all or nothing)."""
    if share <= 0.0:
        return np.zeros(groups)
    if rho <= 0.0:
        return np.full(groups, share)
    if rho >= 1.0:
        return (rng.random(groups) < share).astype(float)
    scale = (1.0 - rho) / rho
    return rng.beta(share * scale, (1.0 - share) * scale, groups)


def world(
    rng: np.random.Generator,
    *,
    groups: int,
    kind: str,
    loss: float,
    gain: float,
    rho: float,
    base: float,
    rho_gain: float | None = None,
    lost_clusters: float = 0.0,
    graded: bool = False,
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Draw scores of both arms, and the cluster of each item.

    ``loss`` and ``gain`` are shares of all items, ``rho`` and ``rho_gain`` their correlation within
    a cluster, ``base`` the base's accuracy, ``lost_clusters`` a further share of all items that is
    lost in whole clusters. ``graded``: a right item scores .8 to 1, a wrong one 0 to .2.
    """
    sizes = sizes_of(rng, groups, kind)
    cluster = np.repeat(np.arange(groups), sizes)
    right = rng.random(len(cluster)) < base
    whole = lost_clusters / base
    losing = rates(rng, groups, loss / base / (1.0 - whole), rho)
    losing = np.maximum(losing, rng.random(groups) < whole)
    lost = right & (rng.random(len(cluster)) < losing[cluster])
    winning = rates(rng, groups, gain / (1.0 - base), rho if rho_gain is None else rho_gain)
    gained = ~right & (rng.random(len(cluster)) < winning[cluster])
    after = (right & ~lost) | gained
    if graded:
        spread = rng.uniform(0.0, 0.2, (2, len(cluster)))
        spread[1] = np.where(after == right, spread[0], spread[1])  # the same answer, mostly
        return abs(right - spread[0]), abs(after - spread[1]), cluster.tolist()
    return right.astype(float), after.astype(float), cluster.tolist()


WORLDS = ((0.03, 0.9, 0.0), (0.05, 0.7, 0.0), (0.1, 0.7, 0.05))
"""Margin, the base's accuracy, share of items gained."""


def grid() -> Iterator[Cell]:
    """Yield number and sizes of clusters x correlation x world, binary, fixed and early ends."""
    for groups in (2, 5, 10, 20, 30, 60, 100):
        for kind in ("equal", "unequal", "giant"):
            for rho in (0.1, 0.3, 0.5, 0.9, 1.0):
                where = f"G {groups} {kind}, rho {rho:g}"
                drawn = partial(world, groups=groups, kind=kind, rho=rho)
                early = groups >= 30 and kind == "equal" and rho in (0.3, 1.0)
                for margin, base, gain in WORLDS:
                    draw = partial(drawn, loss=margin + gain, gain=gain, base=base)
                    name = f"{where}, m {margin:g}, b {base:g}, gains {gain:g}"
                    yield Cell(name, margin, draw)
                    if early and margin >= 0.05:
                        yield Cell(name, margin, draw, early=True)
                draw = partial(drawn, loss=0.05, gain=0.05, base=0.7)
                name = f"{where}, b 0.7, no difference, disagreement .1"
                for error in ("false alarm", "false gain"):
                    yield Cell(name, 0.05, draw, error)
                if early and rho < 1.0:
                    yield Cell(name, 0.05, draw, "false alarm", early=True)


def noted_cells() -> Iterator[Cell]:
    """Yield worlds in which a steady small change and rare lost clusters balance or add up."""

    def cell(name: str, margin: float, error: str = "false pass", **how: object) -> Cell:
        draw = partial(world, **{"kind": "equal", "gain": 0.0, **how})  # type: ignore[arg-type]
        return Cell(name, margin, draw, error)

    for early in (False, True):
        found = [
            cell(
                f"G {g}, gains .03 at rho 0, the rest lost in clusters, m .1, b .7",
                0.1,
                groups=g,
                loss=0.0,
                gain=0.03,
                rho=0.0,
                base=0.7,
                lost_clusters=0.13,
            )
            for g in (50, 100)
        ]
        found += [
            cell(
                f"G {g}, noise .1 and half the margin lost in clusters, m .03, b .8",
                0.03,
                groups=g,
                loss=0.115,
                gain=0.1,
                rho=0.0,
                base=0.8,
                lost_clusters=0.015,
            )
            for g in (60, 100)
        ]
        found += [
            cell(
                f"G {g} lognormal, both ways at rho .9, m .05, b .7",
                0.05,
                groups=g,
                kind="unequal",
                loss=0.1,
                gain=0.05,
                rho=0.9,
                base=0.7,
            )
            for g in (100, 200)
        ]
        found += [
            cell(
                f"G {g}, losses .05 at rho 0, gains at rho {rho:g}, no difference",
                0.05,
                "false alarm",
                groups=g,
                loss=0.05,
                gain=0.05,
                rho=0.0,
                rho_gain=rho,
                base=0.7,
            )
            for g, rho in ((15, 0.9), (30, 0.9), (100, 0.9), (100, 1.0), (200, 1.0))
        ]
        yield from (one._replace(early=early) for one in found)


def graded_cells() -> Iterator[Cell]:
    """Yield graded scores: clusters, and single items with a small gain and rare large falls."""
    for groups in (10, 30, 100):
        for kind in ("equal", "unequal"):
            for rho in (0.1, 0.5, 1.0):
                for margin, base, gain in WORLDS[1:]:
                    # a changed item moves by .8 on average
                    draw = partial(
                        world,
                        groups=groups,
                        kind=kind,
                        rho=rho,
                        base=base,
                        loss=(margin + gain) / 0.8,
                        gain=gain / 0.8,
                        graded=True,
                    )
                    name = f"graded G {groups} {kind}, rho {rho:g}, m {margin:g}, gains {gain:g}"
                    yield Cell(name, margin, draw)
    for items in (20, 50, 200):
        for margin in (0.03, 0.1):
            yield Cell(
                f"graded n {items}, steady gain and rare falls, m {margin:g}",
                margin,
                partial(rare_falls, items=items, margin=margin),
            )


def rare_falls(
    rng: np.random.Generator, *, items: int, margin: float
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Draw items that gain .02 each, but for a few that fall by .9; the mean drop is the margin."""
    falls = rng.random(items) < (margin + 0.02) / 0.92
    return np.full(items, 0.95), np.where(falls, 0.05, 0.97), list(range(items))


def errs(cell: Cell, rng: np.random.Generator) -> bool:
    """Draw one study, decide, and say whether the gate claims what is false."""
    base, tuned, cluster = cell.draw(rng)
    if cell.early:
        label = decide_sequentially(
            zip(base, tuned, strict=True),
            planned=len(base),
            margin=cell.margin,
            clusters=cluster,
        ).label
    else:
        pairs = paired_scores(base, tuned, clusters=cluster)
        evidence = weigh(pairs, margin=cell.margin, alpha=LEVEL, tails="graded", interval=False)
        label = label_of(evidence, alpha=LEVEL, beta=LEVEL)
        if cell.error == "false gain":
            return evidence.p_gain <= LEVEL
    if cell.error == "false pass":
        return label not in ("inconclusive", "regressed")
    return label.startswith("regressed")


def measure(numbered: tuple[int, Cell], *, seed: int, runs: int) -> dict[str, object]:
    """Return the error rate of one cell in per cent, and the runs it took."""
    number, cell = numbered
    rng = np.random.default_rng([seed, number])
    wrong = done = 0
    while done < runs:
        batch = min(BATCH, runs - done)
        wrong += sum(errs(cell, rng) for _ in range(batch))
        done += batch
        if beta_law.ppf(0.999, wrong + 1, done - wrong) < REACH / 100.0:
            break
    return {
        "cell": cell.name,
        "error": cell.error,
        "early": cell.early,
        "rate": round(100.0 * wrong / done, 2),
        "runs": done,
    }


def enumerated(n: int, margin: float) -> float:
    """Return the exact false-pass rate (margin 0: false-alarm rate) of n independent 0/1 items."""
    losses, gains = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    possible = losses + gains <= n
    losses, gains = losses[possible], gains[possible]
    p = p_not_worse(losses, gains, n, margin) if margin else p_drop(losses, gains, n)
    claims = exact_p(p, n, margin) <= LEVEL
    tables = np.stack([losses, gains, n - losses - gains], axis=-1)[claims]
    worst = 0.0
    for gain_rate in np.linspace(0.0, (1.0 - margin) / 2.0, 301):
        chances = [gain_rate + margin, gain_rate, max(0.0, 1.0 - margin - 2.0 * gain_rate)]
        worst = max(worst, float(multinomial.pmf(tables, n, chances).sum())) if len(tables) else 0.0
    return 100.0 * worst


def exact_rates() -> dict[str, float]:
    """Return the worst exact rate over every n up to 100, per margin."""
    return {
        f"{margin:g}": round(max(enumerated(n, margin) for n in range(1, min(101, FEW_ITEMS))), 2)
        for margin in (0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
    }


def power(runs: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield how often an unchanged candidate passes, and a drop is shown: rule of clusters, items.

    ``items`` is what the test of independent items says of the same scores, which is right where
    items are independent inside their clusters.
    """
    for groups, margin, base in (
        (30, 0.1, 0.7),
        (60, 0.05, 0.7),
        (100, 0.03, 0.8),
        (100, 0.05, 0.7),
    ):
        for drop in (0.0, margin * 2.0):
            rng = np.random.default_rng([seed, groups, int(1000 * margin)])
            shown = np.zeros(2)
            for _ in range(runs):
                scores = world(
                    rng,
                    groups=groups,
                    kind="equal",
                    loss=0.06 + drop / 2.0,
                    gain=0.06 - min(drop, 0.12) / 2.0,
                    rho=0.0,
                    base=base,
                )
                for column, clusters in enumerate((scores[2], None)):
                    pairs = paired_scores(*scores[:2], clusters=clusters)
                    found = weigh(pairs, margin=margin, alpha=LEVEL, tails="graded", interval=False)
                    p = found.p_drop if drop else found.p_not_worse
                    shown[column] += p <= LEVEL
            clustered, single = (round(100.0 * share / runs, 1) for share in shown)
            what = "drop shown" if drop else "unchanged passes"
            yield {"G": groups, "m": margin, what: clustered, "items alone": single}


def main() -> None:
    """Print every cell, the worst of each kind, the exact rates and the power."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4000, help="runs a cell, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take every so many-th cell only")
    parser.add_argument("--only", choices=["cells", "exact", "power"], help="one part only")
    chosen = parser.parse_args()
    if chosen.only in (None, "cells"):
        every = (*noted_cells(), *graded_cells(), *grid())
        every = sorted(every, key=lambda cell: cell.early)  # the slow ones last
        cells = list(enumerate(every))[:: chosen.every]
        rows = []
        with ProcessPoolExecutor(2) as pool:
            work = partial(measure, seed=chosen.seed, runs=chosen.runs)
            for row in pool.map(work, cells):
                rows.append(row)
                flag = "" if row["rate"] <= REACH else "  ABOVE"
                print(f"{json.dumps(row)}{flag}", flush=True)
        worst = {
            f"{error}, {'early' if early else 'fixed'}": max(
                (row["rate"] for row in rows if (row["error"], row["early"]) == (error, early)),
                default=None,
            )
            for error in ("false pass", "false alarm", "false gain")
            for early in (False, True)
        }
        print(json.dumps({"cells": len(rows), "worst": worst}, indent=2))
    if chosen.only in (None, "exact"):
        print(json.dumps({"exact": exact_rates()}), flush=True)
    if chosen.only in (None, "power"):
        for row in power(chosen.runs, chosen.seed):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
