"""How long ``harness --help`` and what `compare` imports take, beside ``python -c pass``.

Processor time of new processes, with one thread for numpy's BLAS, whose threads spin at import.

::

    python tests/bench/startup.py
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys

REPEATS = 25


def seconds(command: list[str]) -> float:
    """Return the processor time of one run of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=alone)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Time both in turn and print the medians and their ratio."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import typer": [sys.executable, "-c", "import typer"],
        "harness --help": [shutil.which("harness") or "harness", "--help"],
        "what compare imports": [
            sys.executable, "-c", "import harness.pipeline.finished.compare_scores",
        ],
    }  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(found) for name, found in times.items()}
    ratio = medians["harness --help"] / medians["python -c pass"]
    print(json.dumps({"seconds": medians, "times_python": round(ratio, 1), "reach": 12}, indent=2))


if __name__ == "__main__":
    main()
