"""Kill ``harness run`` at random moments while it scores, resume it, and compare with a whole run.

One command, JSON out; it needs no data beside the package::

    python tests/bench/kills.py --kills 20

The study scores the built-in base and a random LoRA of it on three suites. Every kill is a
``SIGKILL`` at a random moment after the run has stored new answers. In the end texts and verdicts
must be those of a run that nobody disturbed, and log-likelihoods within 1e-4.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.killing import kill_while_answering
from support.tiny_models import lora

from harness import content
from harness.records import Sample
from harness.store import AnswerStore, read_samples

SUITES = ("arc_mini", "domain_qa", "sql")
CLOSE = 1e-4


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


def command(study: Path, out: Path) -> list[str]:
    """Return the command that runs, and resumes, a study."""
    start = "import sys; from harness.cli import main; sys.exit(main())"
    return [sys.executable, "-c", start, "run", str(study), "--out", str(out)]


def whole(study: Path, out: Path) -> float:
    """Run a study to its end; return the seconds. What the gate says does not matter here."""
    start = time.perf_counter()
    done = subprocess.run(command(study, out), capture_output=True, text=True, check=False)
    if not (out / "gate.json").exists():
        raise SystemExit(f"the run failed: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def disturbed(study: Path, out: Path, *, kills: int, pauses: random.Random) -> list[int]:
    """Kill a run so many times and let it end; return how many answers each kill left."""
    answers, left = out / "answers.db", []
    for _ in range(kills):
        lines = kill_while_answering(command(study, out), answers, pause=pauses.random() * 0.3)
        if lines is None:
            raise SystemExit(f"the run ended after {len(left)} kills: give it more --items")
        left.append(len(AnswerStore(answers)))
    whole(study, out)
    return left


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


def main() -> None:
    """Run undisturbed and disturbed, compare, and print the result; exit 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--items", type=int, default=400, help="items of each suite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory(prefix="kills") as name:
        folder = Path(name)
        study = write_study(folder, options.items)
        seconds = whole(study, folder / "whole")
        start = time.perf_counter()
        left = disturbed(
            study, folder / "killed", kills=options.kills, pauses=random.Random(options.seed)
        )
        found = {
            "kills": options.kills,
            "answers_after_each_kill": left,
            "answers_lost": sum(max(0, a - b) for a, b in pairwise(left)),
            "seconds_undisturbed": round(seconds, 1),
            "seconds_with_kills": round(time.perf_counter() - start, 1),
            **compare(folder / "whole", folder / "killed"),
        }
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    wrong = found["different_texts"] + found["different_verdicts"] + found["answers_lost"]
    if wrong or found["largest_difference"] > CLOSE or not found["same_gate"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
