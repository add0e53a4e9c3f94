"""How well do the judges of answers and of choices agree with people, and how fast are they?

    python tests/bench/agreement.py [--data ../shared/data]

Prints JSON. ``qa``: five systems' answers to TriviaQA questions with human labels (EVOUNA), in all
and in two halves by question, of which only ``developed_on`` was looked at; beside it the rule
"contains an accepted answer", and the systems' ranking against people's. ``choice``: chain-of-
thought answers with the choice that they state. ``golden``: the cases of ``tests/golden/answers``.
"""

import argparse
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from scipy.stats import spearmanr

from harness.scoring import normalize, qa, read_choice

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
GOLDEN = ROOT / "tests" / "golden" / "answers"
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def half(question: str) -> str:
    """Return which half a question belongs to, by its hash."""
    odd = int(hashlib.sha256(question.encode()).hexdigest(), 16) % 2
    return "held_out" if odd else "developed_on"


def contained(row: Mapping[str, Any]) -> bool:
    """Say whether a response contains an accepted answer, both normalised as in SQuAD."""
    said = f" {normalize(row['response'])} "
    return any(f" {normalize(answer)} " in said for answer in row["answers"])


def agreement(items: Sequence[tuple[bool, bool]]) -> dict[str, float]:
    """Return agreement, Cohen's kappa and the share of right answers called wrong."""
    share = mean(judged == human for judged, human in items)
    ours, theirs = mean(judged for judged, _ in items), mean(human for _, human in items)
    chance = ours * theirs + (1 - ours) * (1 - theirs)
    return {
        "n": len(items),
        "agreement": round(share, 4),
        "kappa": round((share - chance) / (1 - chance), 3),
        "right_called_wrong": round(mean(not judged for judged, human in items if human), 4),
    }


def free_text(path: Path) -> dict[str, Any]:
    """Return the agreement on free-text answers."""
    given = rows(path)
    begun = time.process_time()
    found = [qa(row["question"], row["answers"], row["response"]).score == 1.0 for row in given]
    seconds = time.process_time() - begun
    halves: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    systems: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row, right in zip(given, found, strict=True):
        for name in ("all", half(row["question"])):
            halves[name].append((right, row["human"]))
        systems[row["system"]].append((right, row["human"]))
    ranks = [(mean(a for a, _ in items), mean(b for _, b in items)) for items in systems.values()]
    return {
        **{name: agreement(items) for name, items in halves.items()},
        "containment": agreement([(contained(row), row["human"]) for row in given]),
        "systems": {
            name: [round(share, 3) for share in pair]
            for name, pair in zip(systems, ranks, strict=True)
        },
        "spearman_of_systems": round(float(spearmanr(*zip(*ranks, strict=True)).statistic), 3),
        "processor_seconds_per_10000": round(seconds / len(given) * 10_000, 1),
    }


def choices(path: Path) -> dict[str, Any]:
    """Return how many stated choices are read as such."""
    given = rows(path)
    begun = time.process_time()
    found = [read_choice(r["choices"], LABELS[: len(r["choices"])], r["response"]) for r in given]
    seconds = time.process_time() - begun
    right = [index == row["stated"] for (index, _), row in zip(found, given, strict=True)]
    return {
        "n": len(given),
        "read_as_stated": round(mean(right), 4),
        "processor_seconds_per_10000": round(seconds / len(given) * 10_000, 1),
    }


def golden(folder: Path) -> dict[str, str]:
    """Return how many of our own cases are judged as written."""
    told = {}
    for path in sorted(folder.glob("*.jsonl")):
        cases = rows(path)
        told[path.stem] = f"{sum(map(_as_written, cases))} of {len(cases)}"
    return told


def _as_written(case: Mapping[str, Any]) -> bool:
    if "choices" in case:
        labels = LABELS[: len(case["choices"])]
        return bool(read_choice(case["choices"], labels, case["response"])[0] == case["chosen"])
    found = qa(case["question"], case["answers"], case["response"])
    same = (found.score == 1.0) == case["right"]
    return same and case.get("abstained", "abstained" in found.labels) == (
        "abstained" in found.labels
    )


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="Judges of answers against people.")
    parser.add_argument("--data", type=Path, default=DATA)
    data = parser.parse_args().data
    figures: dict[str, Any] = {"golden": golden(GOLDEN)}
    for name, path, measure in (
        ("qa", data / "qa_ratings" / "triviaqa_systems.jsonl", free_text),
        ("choice", data / "choice_answers" / "chain_of_thought.jsonl", choices),
    ):
        figures[name] = measure(path) if path.is_file() else f"needs {path}"
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
