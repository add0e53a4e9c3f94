"""All five examples end to end, on tiny random models of the architectures that they name.

    python tests/bench/examples.py [STEPS]

The base is replaced, steps are cut (to 20 by default) and ``arc_mini`` to 100 items; all candidates
learn from all rows and answer all of the example's own questions. Prints one line an example. Needs
no network; scores of random models mean nothing.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

from support.example_studies import BASES, small

from harness import study
from harness.pipeline.run import run_study


def bench(name: str, folder: Path, steps: int) -> str:
    """Run one example; return its line."""
    loaded = study.load(small(name, folder, steps=steps, limit=100))
    begun = time.monotonic()
    result = run_study(loaded, out=folder / "run", allow_identical=True)
    seconds = time.monotonic() - begun
    trained = {
        arm.name: f"{arm.loss[0].loss:.2f} to {arm.loss[-1].loss:.2f}"
        for arm in result.arms
        if arm.loss
    }
    items = sum(score.n for score in result.scores)
    unscored = sum(score.unscored for score in result.scores)
    losses = ", ".join(f"{arm} {loss}" for arm, loss in trained.items())
    family = BASES[name].family
    return f"{name:14} {family:7} {seconds:6.1f} s {items:5} answers {unscored} unscored  {losses}"


def main() -> None:
    """Run every example."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for name in BASES:
        with tempfile.TemporaryDirectory() as folder:
            print(bench(name, Path(folder), steps), flush=True)


if __name__ == "__main__":
    main()
