"""Kill ``harness run`` at random moments while it scores, resume it, and compare with a whole run.

One command, JSON out; it needs no data beside the package::

    python tests/bench/kills.py --kills 20

The study scores the built-in base and a random LoRA of it on three suites. Every kill is a
``SIGKILL`` at a random moment after the run has stored new answers. In the end texts and verdicts
must be those of a run that was never killed, and log-likelihoods within 1e-4. The nightly tests
call it, too.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.command import HARNESS, harness, started
from support.tiny_models import lora

from harness import content
from harness.records import Sample
from harness.store import AnswerStore, read_samples

SUITES = ("arc_mini", "domain_qa", "sql")
CLOSE = 1e-4
PAUSE = 0.02
"""Largest pause between a run's first new answers and its end, as a share of a whole run's time."""


def write_study(folder: Path, items: int) -> Path:
    """Write a study whose candidate is a random adapter of the built-in base."""
    lora(content.BUILTIN_MODELS["tiny"], folder / "tuned")
    suites = "".join(f"  - {{name: {name}, limit: {items}}}\n" for name in SUITES)
    study = folder / "study.yaml"
    study.write_text(
        "name: kills\nbase: builtin:tiny\ncandidates:\n  - {name: tuned, adapter: tuned}\n"
        f"suites:\n{suites}review: {{items_per_suite: 0}}\n"
    )
    return study


def whole(study: Path, out: Path) -> float:
    """Run a study to its end; return the seconds. What the gate says does not matter here."""
    start = time.perf_counter()
    done = harness("run", study, "--out", out)
    if not (out / "gate.json").exists():
        raise SystemExit(f"the run failed: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def killed(study: Path, out: Path, *, pause: float) -> int:
    """Run a study until it has stored new answers, and a moment longer; kill it.

    Returns:
        How many answers are stored then.
    """
    before = _count(out / "answers.db")
    with (
        (study.parent / "log.txt").open("a") as log,
        started(*HARNESS, "run", study, "--out", out, out=log) as worker,
    ):
        while worker.poll() is None and _count(out / "answers.db") == before:
            time.sleep(0.005)
        time.sleep(pause)
        worker.kill()
        if worker.wait() != -signal.SIGKILL:
            raise SystemExit("a run ended before it could be killed: give it more --items")
    return _count(out / "answers.db")


def _count(answers: Path) -> int:
    return len(AnswerStore(answers)) if answers.exists() else 0


def samples(run: Path) -> list[Sample]:
    """Return every scored item of a run, in one order."""
    files = sorted(run.glob("samples/*/samples_*.jsonl"))
    return [sample for file in files for sample in read_samples(file)]


def compare(one: Path, other: Path) -> dict[str, Any]:
    """Count what differs between two runs."""
    pairs = list(zip(samples(one), samples(other), strict=True))
    responses = [
        both for a, b in pairs for both in zip(a.responses, b.responses, strict=True)
    ]  # fmt: skip
    far = [abs(a.logprob - b.logprob) for a, b in responses if a.logprob is not None]
    verdicts = ("outcome", "score", "labels", "answer")
    return {
        "items": len(pairs),
        "answers": len(responses),
        "different_texts": sum(a.text != b.text for a, b in responses),
        "different_verdicts": sum(
            any(getattr(a.verdict, name) != getattr(b.verdict, name) for name in verdicts)
            for a, b in pairs
        ),
        "largest_difference": max(far),
        "same_gate": _gate(one) == _gate(other),
    }


def _gate(run: Path) -> Any:
    gate = json.loads((run / "gate.json").read_text())
    return [
        (c["candidate"], c["suite"], c["verdict"], c["base"], c["tuned"]) for c in gate["checks"]
    ]


def measure(folder: Path, *, kills: int, items: int, seed: int) -> dict[str, Any]:
    """Run a study undisturbed, and killed so many times; return what differs."""
    study = write_study(folder, items)
    seconds = whole(study, folder / "whole")
    pauses, start = random.Random(seed), time.perf_counter()
    left = [
        killed(study, folder / "killed", pause=pauses.random() * PAUSE * seconds)
        for _ in range(kills)
    ]
    whole(study, folder / "killed")
    return {
        "kills": kills,
        "answers_after_each_kill": left,
        "answers_lost": sum(max(0, a - b) for a, b in pairwise(left)),
        "seconds_undisturbed": round(seconds, 1),
        "seconds_with_kills": round(time.perf_counter() - start, 1),
        **compare(folder / "whole", folder / "killed"),
    }


def is_same(found: dict[str, Any]) -> bool:
    """Say whether kills changed nothing."""
    changed = found["different_texts"] + found["different_verdicts"] + found["answers_lost"]
    return not changed and found["largest_difference"] <= CLOSE and found["same_gate"]


def main() -> None:
    """Run undisturbed and killed, compare, and print the result; exit 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--items", type=int, default=400, help="items of each suite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills") as name:
        found = measure(Path(name), kills=options.kills, items=options.items, seed=options.seed)
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if not is_same(found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
