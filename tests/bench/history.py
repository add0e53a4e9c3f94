"""What a history of 200 runs takes: room in the store, and processor time for its page of trends.

    python tests/bench/history.py [--runs 200] [--releases 20]

Runs are like a quickstart's: four suites of 2,047 items in all, three arms, 0/1 scores of which 2
in 100 change from run to run, three of the suites with grouped items; every tenth run is a release.
The same runs are added to an SQLite file and to a PostgreSQL server (Debian's, where it is
installed), whose pages must be equal. Times are processor time of this process; a server's own is
not in it.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.histories import run_with, scores_of
from support.postgres import running_postgres

from harness.history.drift import trends
from harness.history.entries import HistoryRun, SuiteScores
from harness.history.history_store import add, reading
from harness.history.place import HistoryPlace
from harness.history.trend_page import history_page
from harness.sql.execute import postgres

SUITES = {"arc_mini": (1174, 2), "domain_qa": (248, 3), "coherence": (285, 1), "sql": (340, 3)}
"""Items, and how many of them are one group."""


def made_runs(count: int, releases: int) -> Iterator[tuple[HistoryRun, str]]:
    """Yield runs with what each is released as."""
    draw = random.Random(0)
    asked = {
        name: scores_of([float(draw.random() < 0.8) for _ in range(items)], cluster=cluster)
        for name, (items, cluster) in SUITES.items()
    }
    for number in range(count):
        asked = {name: _noisy(kept, draw) for name, kept in asked.items()}
        run = run_with(number, asked)
        others = {
            (arm, name): _noisy(kept, draw) for arm in ("base", "other") for (_, name), kept in
            run.scores.items()
        }  # fmt: skip
        is_release = number % max(count // releases, 1) == 0
        yield replace(run, scores={**run.scores, **others}), f"v{number}" if is_release else ""


def _noisy(kept: SuiteScores, draw: random.Random) -> SuiteScores:
    flipped = [1 - s if draw.random() < 0.02 else s for s in kept.scores if s is not None]
    return replace(kept, scores=tuple(flipped))


def measured(place: HistoryPlace, count: int, releases: int) -> str:
    """Add the runs, print what that and the page took, and return the page without its minutes."""
    begun = time.process_time()
    for run, release in made_runs(count, releases):
        add(place, run, release=release)
    adding = time.process_time() - begun
    begun = time.process_time()
    with reading(place) as reader:
        runs = reader.runs()
        page = history_page(trends(runs, reader.scores))
    took = time.process_time() - begun
    size = f"{place.where.stat().st_size / 1024 / count:6.1f}" if place.where and isinstance(
        place.where, Path
    ) else "     –"  # fmt: skip
    kind = "SQLite" if isinstance(place.where, Path) else "PostgreSQL"
    print(
        f"{kind:10}  add {adding / count * 1e3:6.0f} ms a run   page {took:5.2f} s "
        f"({len(page) / 1024:.0f} KiB)   store {size} KiB a run"
    )
    for run in runs:
        page = page.replace(run.added[:16].replace("T", " "), "then")
    return page


def main() -> None:
    """Measure both stores."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--releases", type=int, default=20)
    asked = parser.parse_args()
    has_server = postgres._programs() is not None
    with tempfile.TemporaryDirectory() as folder, (
        running_postgres() if has_server else nullcontext()
    ) as server:  # fmt: skip
        pages = [measured(HistoryPlace(Path(folder, "history.db")), asked.runs, asked.releases)]
        if server is not None:
            pages.append(measured(HistoryPlace.of(server.url("owner")), asked.runs, asked.releases))
            print(f"pages equal: {pages[0] == pages[1]}")


if __name__ == "__main__":
    main()
