"""How long a draw of many pairs takes in all forms, and its ratings back.

One command, JSON out; it needs no data beside the package::

    python tests/bench/review_forms.py --pairs 1000 --raters 3

The pairs are made up, with questions and answers of about eighty words. Seconds are those of the
processor.
"""

import argparse
import csv
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.example_result import moved

from harness.records import Comparison, Response
from harness.review import collect, draw_sets, keep, write_sheets

WORDS = ("the", "of", "a", "boat", "keeper", "lamp", "night", "rope", "when", "north", "was")


def made_up(pairs: int) -> Comparison:
    """Return a comparison of so many pairs with long texts."""
    rng = random.Random(0)

    def text() -> str:
        return " ".join(rng.choice(WORDS) for _ in range(80))

    found = moved(["lost", "gained", "both_wrong", "both_right"] * (-(-pairs // 4)))
    return replace(
        found,
        pairs=tuple(
            replace(
                pair,
                base=replace(
                    pair.base,
                    item=replace(pair.base.item, prompt=text()),
                    responses=(Response(text=text()),),
                ),
                tuned=replace(pair.tuned, responses=(Response(text=text()),)),
            )
            for pair in found.pairs[:pairs]
        ),
    )


def filled(path: Path) -> bytes:
    """Return a CSV sheet with every row rated."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    place = rows[0].index("Preference")
    for row in rows[1:]:
        row[place] = "A much better"
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def measure(folder: Path, *, pairs: int, raters: int) -> dict[str, float]:
    """Draw, write, rate and collect; return processor seconds of each and what came of it."""
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.process_time()
        found = work()
        seconds[name] = round(time.process_time() - started, 2)
        return found

    comparison = made_up(pairs)
    sets = timed("draw", lambda: draw_sets([comparison], items=pairs, seed=0))
    files = timed("write", lambda: write_sheets(sets, folder, seed=0, raters=raters))
    sheets = [path for name, path in files.items() if name.endswith(".csv")]
    for path in sheets:
        path.write_bytes(filled(path))
    found = timed("collect", lambda: collect(folder, sheets))
    timed("keep", lambda: keep(found))
    return {
        **seconds,
        "megabytes": round(sum(path.stat().st_size for path in files.values()) / 1e6, 1),
        "ratings": sum(file.new for file in found.files),
    }


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--raters", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forms") as name:
        found = measure(Path(name), pairs=options.pairs, raters=options.raters)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
