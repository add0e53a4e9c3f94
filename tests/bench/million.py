"""What a verdict and a report of very many answers take, as whole commands.

    python tests/bench/million.py [--items 25000 250000] [--candidates 3] [--keep FOLDER]
        [--only gate compare report]
    python tests/bench/million.py --only attach [--adapters 100]

One suite, a base and the candidates: a million answers are 4 arms x 250,000 items. The run folder
holds prompts of 90 words and answers of 60, as in `report_size.py`, and the hashes of its samples,
which every command checks. Per command: processor time (user and system) and peak of resident
memory of a process of its own. ``compare`` sets the base beside the first candidate. With --keep
the folder stays and is used again. ``attach`` puts LoRA adapters on one small base, one by one, and
sets the last five beside the five around the tenth.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.report_size import SUITE, Writer, made_item, made_sample
from support.finished_runs import written_run

from harness.records import BASE, Sample

COMMANDS = ("gate", "compare", "report")
VERDICTS = (0, 1, 3, 4)


def written(path: Path, items: int, candidates: int) -> None:
    """Write a run of so many items and candidates, one answer in memory at a time."""

    def answered(arm: str, seed: int) -> Iterator[Sample]:
        asking, answering = Writer(0), Writer(seed)
        for number in range(items):
            item = made_item(number, asking.text(90), asking.text(4))
            yield made_sample(item, arm, answering)

    arms = [BASE, *(f"candidate-{n}" for n in range(candidates))]
    samples = {(arm, SUITE.name): answered(arm, 1 + n) for n, arm in enumerate(arms)}
    written_run(path, [SUITE], samples, study="large", sealed=True)


def measured(command: list[str]) -> dict[str, float]:
    """Run a command of ours; return its processor time and its peak of memory."""
    whole = [sys.executable, "-m", "harness", *command]
    process = subprocess.Popen(whole, stdout=subprocess.DEVNULL, env=dict(os.environ))
    _, status, used = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code not in VERDICTS:
        raise RuntimeError(f"{' '.join(command)} ended with {code}")
    return {
        "processor_s": round(used.ru_utime + used.ru_stime, 1),
        "memory_mib": used.ru_maxrss // 1024,
    }


def of_size(folder: Path, items: int, candidates: int, only: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what every command takes on a run of a size."""
    run = folder / f"{items}x{candidates + 1}"
    if not (run / "study.lock.json").exists():
        written(run, items, candidates)
        time.sleep(2.1)  # what was written a moment ago is hashed again each time
    sides = [str(run / "samples" / arm) for arm in (BASE, "candidate-0")]
    arguments = {"gate": [str(run)], "compare": sides, "report": [str(run)]}
    for name in only:
        found = {"answers": items * (candidates + 1), "command": name}
        found |= measured([name, *arguments[name]])
        if name == "report":
            found["megabytes"] = round((run / "report.html").stat().st_size / 1e6, 1)
        yield found


def attached(folder: Path, adapters: int) -> dict[str, Any]:
    """Return what it takes to attach the last of many adapters, and the tenth."""
    from support.tiny_models import llama, lora

    from harness.engine import Engine

    base = llama(folder / "base")
    path = lora(base, folder / "lora")
    engine = Engine.load(str(base), device="cpu")
    taken = []
    for number in range(adapters):
        begun = time.process_time()
        engine.attach(f"arm{number}", path)
        taken.append(time.process_time() - begun)
    tenth, last = median(taken[7:12]), median(taken[-5:])
    return {
        "command": "attach",
        "adapters": adapters,
        "tenth_s": round(tenth, 3),
        "last_s": round(last, 3),
        "ratio": round(last / tenth, 2),
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Print a line for each command and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[25_000, 250_000])
    parser.add_argument("--candidates", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="where the run folders stay")
    parser.add_argument("--only", nargs="+", choices=[*COMMANDS, "attach"], default=list(COMMANDS))
    parser.add_argument("--adapters", type=int, default=100)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if "attach" in chosen.only:
            print(json.dumps(attached(Path(name), chosen.adapters)), flush=True)
        commands = [command for command in COMMANDS if command in chosen.only]
        for items in chosen.items if commands else []:
            folder = chosen.keep or Path(name)
            for line in of_size(folder, items, chosen.candidates, commands):
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
