"""What llama.cpp makes of a model's own weights, as float32, q8_0 and q4_0 GGUF files.

Each file is an arm beside the folder that it was converted from: how many choices and greedy texts
are others, how far log-likelihoods move, and how many scores flip. Without a folder it is a small
Llama with random weights, in which rounding shows at once.

    python tests/bench/gguf_agreement.py [--items 100] [--model FOLDER --file FILE.gguf ...]
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.gguf_files import QUANTIZED, quantized, small_llama, to_gguf

from harness import study
from harness.pipeline.run import run_study
from harness.records import Sample
from harness.store import read_samples

SUITES = ("arc_mini", "domain_qa")


def made(folder: Path) -> tuple[Path, list[Path]]:
    """Make a small Llama, and its files."""
    whole = to_gguf(small_llama(folder / "llama"), folder / "float32.gguf")
    rounded = [quantized(whole, folder / f"{kind}.gguf", kind=kind) for kind in QUANTIZED]
    return folder / "llama", [whole, *rounded]


def compared(run: Path, arm: str, suite: str) -> str:
    """Return a line on one file and one suite."""
    ours, theirs = (
        read_samples(run / "samples" / name / f"samples_{suite}.jsonl") for name in ("base", arm)
    )
    pairs = list(zip(ours, theirs, strict=True))
    flips = sum(one.verdict.score != other.verdict.score for one, other in pairs)
    answers = sum(_other(one, other) for one, other in pairs)
    moved = [
        abs((a.logprob or 0.0) - (b.logprob or 0.0))
        for one, other in pairs
        for a, b in zip(one.responses, other.responses, strict=True)
    ]
    most = f", log-likelihoods by at most {max(moved):.1e}" if any(moved) else ""
    return f"{arm:<10} {suite:<10} {answers} of {len(pairs)} answers, {flips} scores{most}"


def _other(one: Sample, other: Sample) -> bool:
    """Whether two answers to one item are another choice, or another text."""
    if one.responses[0].logprob is None:
        return [a.text for a in one.responses] != [b.text for b in other.responses]
    return _best(one) != _best(other)


def _best(sample: Sample) -> int:
    likelihoods = [response.logprob or 0.0 for response in sample.responses]
    return likelihoods.index(max(likelihoods))


def main() -> None:
    """Score a model and its files, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--file", type=Path, nargs="*", default=[])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, files = (asked.model, asked.file) if asked.model else made(folder)
        plain: dict[str, Any] = {
            "name": "gguf",
            "base": {"model": str(model.resolve()), "dtype": "float32"},
            "candidates": [{"name": one.stem, "gguf": str(one.resolve())} for one in files],
            "suites": [{"name": suite, "limit": asked.items} for suite in SUITES],
        }
        (folder / "study.yaml").write_text(yaml.safe_dump(plain))
        loaded = study.load(folder / "study.yaml")
        run_study(loaded, out=folder / "run", allow_identical=True)
        for one in files:
            for suite in SUITES:
                print(compared(folder / "run", one.stem, suite))


if __name__ == "__main__":
    main()
