"""Train adapters that break one thing each of a suite, and see whether gate and causes say so.

    python tests/bench/planted_regressions.py [--suites tools refusal ...] [--causes no_call ...]

For each suite the built-in base learns the right answers by heart, and one adapter for each way to
break it learns the same items with that one thing wrong. Caught is one whose comparison is
``regressed``, with exit code 1, and whose cause stands on top. Prints a table in Markdown, then the
count. Needs no network; one to three minutes a suite on idle cores.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

from support.broken_adapters import planted
from support.skills_to_break import SKILLS


def main() -> None:
    """Print what came of every planted regression."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suites", nargs="+", default=list(SKILLS), choices=list(SKILLS))
    parser.add_argument("--causes", nargs="+", default=[], help="only these ways to break it")
    chosen = parser.parse_args()
    caught = total = 0
    print("| suite | planted | base → broken | verdict | first cause | caught |")
    print("| --- | --- | --- | --- | --- | --- |")
    for suite in chosen.suites:
        with tempfile.TemporaryDirectory() as folder:
            for one in planted(SKILLS[suite], Path(folder), only=chosen.causes):
                caught, total = caught + one.caught, total + 1
                row = (
                    suite, f"`{one.label}`", f"{one.base:.1%} → {one.tuned:.1%}",
                    f"`{one.decided}`", ", ".join(one.causes[:1]) or "none",
                    "yes" if one.caught else "**no**",
                )  # fmt: skip
                print(f"| {' | '.join(row)} |", flush=True)
    print(f"{caught} of {total} planted regressions are caught with their cause on top")


if __name__ == "__main__":
    main()
