"""How often the gate errs: seeded simulations of what `harness.stats` promises.

``python tests/bench/gate_simulation.py`` prints a table and writes JSON; about five minutes on one
core. The fast version runs in the tests (tests/stats/test_error_rates.py) with fewer replicates.

Model: each item is lost with probability (D - d) / 2 and gained with (D + d) / 2, where D is the
disagreement of the two arms and d the true difference. All error rates are nominally 5 %.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from harness.analysis.decisions import compare_scores, settle
from harness.analysis.several_candidates import run_verdict
from harness.records import Comparison, Gate, Suite
from harness.stats import decide, decide_sequentially, holm, look_sizes, plan
from harness.stats.boundary import wang_tsiatis
from harness.stats.paired import p_drop, p_not_worse

SIZES = (100, 200, 500, 1000, 2000)
DISAGREEMENTS = (0.02, 0.05, 0.10, 0.15, 0.20, 0.30)
MARGINS = (0.02, 0.03, 0.05, 0.10)
LEVEL = 0.05


class Rates(NamedTuple):
    """Shares of replicates; ``ever_*`` go on after the other bound was crossed."""

    fail: float
    accept: float
    ever_fail: float
    ever_accept: float
    items: float


class Row(NamedTuple):
    """One line of the table: what was promised and what was measured, in per cent."""

    what: str
    reach: str
    measured: float
    met: bool
    where: str


def counts_at(
    rng: np.random.Generator, sizes: tuple[int, ...], disagreement: float, d: float, runs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gains after each number of items, two arrays of shape (runs, sizes)."""
    rates = [(disagreement - d) / 2, (disagreement + d) / 2]
    rates = [max(rate, 0.0) for rate in rates]
    steps = np.diff((0, *sizes))
    drawn = np.stack([rng.multinomial(n, [*rates, 1 - sum(rates)], size=runs) for n in steps], 1)
    summed = drawn.cumsum(axis=1)
    return summed[..., 0], summed[..., 1]


def fixed(
    rng: np.random.Generator, n: int, disagreement: float, d: float, m: float, runs: int
) -> Rates:
    """One look at all n items."""
    losses, gains = counts_at(rng, (n,), disagreement, d, runs)
    drop = p_drop(losses, gains, n)[:, 0] <= LEVEL
    accept = p_not_worse(losses, gains, n, m)[:, 0] <= LEVEL
    return Rates((drop & ~accept).mean(), accept.mean(), drop.mean(), accept.mean(), 1.0)


def sequential(
    rng: np.random.Generator, n: int, disagreement: float, d: float, m: float, runs: int
) -> Rates:
    """Up to twenty looks at n planned items, by the rule of `decide_sequentially`."""
    sizes = look_sizes(n)
    losses, gains = counts_at(rng, sizes, disagreement, d, runs)
    drop, accept = crossings(losses, gains, sizes, m)
    stop = drop | accept
    first = np.where(stop.any(axis=1), stop.argmax(axis=1), len(sizes) - 1)
    at = (np.arange(runs), first)
    return Rates(
        fail=(drop & ~accept)[at].mean(),
        accept=accept[at].mean(),
        ever_fail=drop.any(axis=1).mean(),
        ever_accept=accept.any(axis=1).mean(),
        items=(np.array(sizes)[first] / n).mean(),
    )


def crossings(
    losses: np.ndarray, gains: np.ndarray, sizes: tuple[int, ...], m: float, *, family: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Which looks cross the bound of "fail" and of "pass", two arrays of shape (runs, looks)."""
    times = tuple(size / sizes[-1] for size in sizes)
    fail, accept = (ndtr(-np.array(wang_tsiatis(times, a))) for a in (LEVEL / family, LEVEL))
    n = np.array(sizes)
    return p_drop(losses, gains, n) <= fail, p_not_worse(losses, gains, n, m) <= accept


def clustered(
    rng: np.random.Generator, groups: int, size: int, correlation: float, equal: bool
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Base and tuned 0/1 scores without a difference whose changes correlate in clusters."""
    sizes = np.full(groups, size) if equal else rng.geometric(1 / size, groups)
    cluster = np.repeat(np.arange(groups), sizes)
    copied = rng.random(len(cluster)) < sqrt(correlation)  # shares the change of its cluster
    change = np.where(
        copied,
        rng.choice([-1, 0, 1], groups, p=[0.075, 0.85, 0.075])[cluster],
        rng.choice([-1, 0, 1], len(cluster), p=[0.075, 0.85, 0.075]),
    )
    base = np.where(change == 0, rng.integers(0, 2, len(cluster)), change < 0)
    return base.astype(float), base + change.astype(float), cluster.tolist()


def graded_clusters(
    rng: np.random.Generator, groups: int, size: int, correlation: float, equal: bool
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The same for graded scores with normal changes."""
    sizes = np.full(groups, size) if equal else rng.geometric(1 / size, groups)
    cluster = np.repeat(np.arange(groups), sizes)
    change = sqrt(correlation) * rng.normal(size=groups)[cluster]
    change += sqrt(1 - correlation) * rng.normal(size=len(cluster))
    return np.full(len(cluster), 0.5), np.clip(0.5 + 0.1 * change, 0, 1), cluster.tolist()


def family_alarms(rng: np.random.Generator, suites: int, runs: int, n: int = 500) -> float:
    """Share of runs of unchanged suites in which Holm lets any of them fail."""
    losses, gains = counts_at(rng, (n,), 0.15, 0.0, runs * suites)
    pvalues = p_drop(losses, gains, n).reshape(runs, suites)
    return float(np.mean([min(holm(row.tolist())) <= LEVEL for row in pvalues]))


def early_family_alarms(rng: np.random.Generator, suites: int, runs: int, n: int = 500) -> float:
    """The same where each suite may end early, at its share of the level."""
    sizes = look_sizes(n)
    losses, gains = counts_at(rng, sizes, 0.15, 0.0, runs * suites)
    drop, _ = crossings(losses, gains, sizes, 0.05, family=suites)
    return float(drop.any(axis=1).reshape(runs, suites).any(axis=1).mean())


def candidate_alarms(rng: np.random.Generator, candidates: int, runs: int, n: int = 200) -> float:
    """Share of runs of unchanged candidates, one suite of 0/1 items each, that exit with 1."""
    suite, gate = Suite(name="suite", metric="acc", kind="binary", margin=0.05), Gate()

    @cache
    def compared(lost: int, gained: int) -> Comparison:
        changes = [-1] * lost + [1] * gained + [0] * (n - lost - gained)
        rows = [(float(x < 0), float(x > 0), str(place)) for place, x in enumerate(changes)]
        return settle([compare_scores("", suite, rows, gate)], gate)[0]

    losses, gains = counts_at(rng, (n,), 0.15, 0.0, runs * candidates)
    found = [compared(*counts) for counts in zip(losses[:, 0], gains[:, 0], strict=True)]
    alarms = 0
    for start in range(0, len(found), candidates):
        run = [
            replace(c, candidate=str(k)) for k, c in enumerate(found[start : start + candidates])
        ]
        alarms += run_verdict(run)[0] == "fail"
    return alarms / runs


def error_rows(rng: np.random.Generator, runs: int) -> Iterator[Row]:
    """False alarms and false passes over the whole grid, the worst cell of each."""
    for name, rule in (("fixed", fixed), ("sequential", sequential)):
        alarms, passes = [], []
        for n in SIZES:
            for disagreement in DISAGREEMENTS:
                alarm = rule(rng, n, disagreement, 0.0, 0.05, runs).ever_fail
                alarms.append((100 * alarm, f"N={n}, D={disagreement:g}"))
                for m in (m for m in MARGINS if m <= disagreement):
                    missed = rule(rng, n, disagreement, -m, m, runs).ever_accept
                    passes.append((100 * missed, f"N={n}, D={disagreement:g}, m={m:g}"))
        worst, where = max(alarms)
        yield Row(f"false alarm, {name}", "<= 5.5 %", worst, worst <= 5.5, where)
        worst, where = max(passes)
        yield Row(f"false pass at the margin, {name}", "<= 5.6 %", worst, worst <= 5.6, where)


def power_rows(rng: np.random.Generator, runs: int) -> Iterator[Row]:
    """Power and items at one, two and four times the planned number of items."""
    loss, once, twice = [], [], []
    shares: dict[int, list[tuple[float, str]]] = {1: [], 2: [], 4: []}
    for disagreement, m in ((0.15, 0.05), (0.10, 0.05), (0.20, 0.05), (0.15, 0.03), (0.10, 0.03)):
        for times in (1, 2, 4):
            n = times * plan(margin=m, disagreement=disagreement).items
            where = f"N={n}, D={disagreement:g}, m={m:g}"
            all_items = fixed(rng, n, disagreement, -m, m, runs)
            dropped = sequential(rng, n, disagreement, -m, m, runs)
            same = sequential(rng, n, disagreement, 0.0, m, runs)
            loss.append((100 * (all_items.ever_fail - dropped.ever_fail), where))
            if times <= 2:
                (once if times == 1 else twice).append((100 * dropped.fail, where))
            shares[times] += [(100 * dropped.items, where), (100 * same.items, where)]
    worst, where = max(loss)
    yield Row("power lost against all items", "<= 6 points", worst, worst <= 6.0, where)
    for label, least, found in (("planned", 85.0, once), ("twice", 94.0, twice)):
        worst, where = min(found)
        yield Row(f"power at n {label}", f">= {least:g} %", worst, worst >= least, where)
    for times, most in ((1, 65.0), (2, 45.0), (4, 30.0)):
        worst, where = max(shares[times])
        yield Row(f"mean items at {times} x n", f"<= {most:g} %", worst, worst <= most, where)


def cluster_rows(rng: np.random.Generator, runs: int) -> Iterator[Row]:
    """False alarms with correlated items, 10 per cluster on average."""
    together, apart = [], []
    for draw in (clustered, graded_clusters):
        for groups, equal in ((12, True), (20, True), (50, True), (50, False), (100, False)):
            kind = "0/1" if draw is clustered else "graded"
            where = f"{kind}, G={groups}, {'equal' if equal else 'unequal'} sizes"
            alarms = naive = 0
            for _ in range(runs):
                base, tuned, cluster = draw(rng, groups, 10, 0.3, equal)
                alarms += decide(base, tuned, margin=0.05, clusters=cluster).p_regression <= LEVEL
                difference = tuned - base
                z = difference.mean() / max(difference.std() / sqrt(len(difference)), 1e-12)
                naive += z < -1.645
            together.append((100 * alarms / runs, where))
            apart.append((100 * naive / runs, where))
    worst, where = max(together)
    yield Row("false alarm, clusters, correlation 0.3", "<= 6.5 %", worst, worst <= 6.5, where)
    worst, where = max(apart)
    yield Row("  the same data without clusters", "(for comparison)", worst, True, where)


def sequential_cluster_rows(rng: np.random.Generator, runs: int) -> Iterator[Row]:
    """False alarms when looking early at correlated items."""
    found = []
    for groups in (50, 100):
        alarms = 0
        for _ in range(runs):
            base, tuned, cluster = clustered(rng, groups, 10, 0.3, True)
            pairs = zip(base, tuned, strict=True)
            made = decide_sequentially(pairs, planned=len(base), margin=0.05, clusters=cluster)
            alarms += made.label.startswith("regressed")
        found.append((100 * alarms / runs, f"0/1, G={groups}"))
    worst, where = max(found)
    yield Row("false alarm, clusters, sequential", "<= 6.5 %", worst, worst <= 6.5, where)


def speed_row(rng: np.random.Generator) -> Row:
    """The slowest kind of decision about 100,000 items."""
    base = rng.random(100_000)
    tuned = np.clip(base + rng.normal(0, 0.1, 100_000), 0, 1)
    start = time.process_time()
    decide(base, tuned, margin=0.01, tails="heavy")
    seconds = time.process_time() - start
    return Row(
        "decide on 100,000 items, CPU seconds", "<= 3 s", seconds, seconds <= 3.0, "heavy tails"
    )


def measure(*, runs: int, seed: int) -> list[Row]:
    """Every row of the table; ``runs`` replicates per cell, a tenth for clusters."""
    rng = np.random.default_rng(seed)
    alarm = 100 * family_alarms(rng, 10, runs)
    early = 100 * early_family_alarms(rng, 10, runs)
    several = 100 * candidate_alarms(rng, 10, max(runs // 5, 1000))
    return [
        *error_rows(rng, runs),
        *power_rows(rng, runs),
        *cluster_rows(rng, max(runs // 10, 100)),
        *sequential_cluster_rows(rng, max(runs // 20, 100)),
        Row("ten unchanged suites, any failure", "<= 5 %", alarm, alarm <= 5.0, "n=500, D=0.15"),
        Row("the same, ending early", "<= 5 %", early, early <= 5.0, "N=500, D=0.15"),
        Row("ten unchanged candidates, exit code 1", "<= 5 %", several, several <= 5.0, "n=200"),
        speed_row(rng),
    ]


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50_000, help="replicates per cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the rows here")
    chosen = parser.parse_args()
    rows = measure(runs=chosen.runs, seed=chosen.seed)
    for row in rows:
        mark = "met" if row.met else "MISSED"
        print(f"{row.what:42} {row.reach:18} {row.measured:7.2f}  {mark:7} {row.where}")
    document = json.dumps([row._asdict() for row in rows], indent=2, default=float)
    print(document)
    if chosen.json:
        chosen.json.write_text(document + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
