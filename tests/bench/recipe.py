"""Try other training arguments for the quickstart's candidates, on validation items only.

Run it: ``python tests/bench/recipe.py OUT --candidate mixed --seed 1 max_steps=540``. The rows of
``--seed 0`` are the quickstart's, those of another seed another draw of them. Nothing of the test
splits is read. Needs no network; one candidate takes a minute or two on idle cores.
"""

import argparse
import json
from pathlib import Path

import yaml

from harness import study
from harness.files import write_text
from harness.pipeline.run import run_study
from harness.quickstart.row_sets import training_rows
from harness.quickstart.start import STUDY

ROWS_SEED = 5
"""Seed of the quickstart's own rows."""


def write_study(out: Path, candidate: str, seed: int, changes: dict[str, object]) -> Path:
    """Write the quickstart's study with one candidate, changed, and suites' validation splits."""
    told = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    [chosen] = [one for one in told["candidates"] if one["name"] == candidate]
    chosen["training"] |= changes
    rows = training_rows(Path(chosen["train"]).stem, seed=ROWS_SEED + seed)
    write_text(out / chosen["train"], "".join(json.dumps(row) + "\n" for row in rows))
    told |= {
        "seed": seed,
        "suites": [{"name": suite, "split": "validation"} for suite in told["suites"]],
        "candidates": [chosen],
    }
    path = out / "study.yaml"
    write_text(path, yaml.safe_dump(told, sort_keys=False))
    return path


def main() -> None:
    """Train and score one candidate; print the base's validation scores and its own, in percent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--candidate", default="mixed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("changes", nargs="*", help="training arguments, such as max_steps=540")
    asked = parser.parse_intermixed_args()
    changes = {name: yaml.safe_load(value) for name, value in (c.split("=") for c in asked.changes)}
    path = write_study(asked.out, asked.candidate, asked.seed, changes)
    result = run_study(study.load(path), out=asked.out / "run")
    for found in result.comparisons:
        base, tuned = (f"{100 * (score or 0):.1f}" for score in (found.base, found.tuned))
        print(f"{found.suite.name:<10} {base:>5} {tuned:>5}")


if __name__ == "__main__":
    main()
