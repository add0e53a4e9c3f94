"""Kill every step of a run at random moments, let it go on, and compare with one never killed.

One command, JSON out; it needs no data beside the package::

    python tests/bench/kills.py --kills 20
    python tests/bench/kills.py --kills 20 --steps train report

The study trains a LoRA of the built-in base and scores it on three suites. A kill is a ``SIGKILL``
some milliseconds after a random one of the changes that a step makes to its folder: a file opened
for writing, moved or removed, a transaction of the stored answers. In the end texts, verdicts and
weights must be those of a run that was never killed, log-likelihoods within 1e-4, and whatever no
model makes must be equal byte for byte. The nightly tests call it, too.
"""

import argparse
import csv
import io
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.command import harness, python

from harness.quickstart.row_sets import training_rows
from harness.records import Sample
from harness.store import read_samples

SUITES = ("arc_mini", "domain_qa", "sql")
CLOSE = 1e-4
PAUSE = 0.05
"""Largest number of seconds between a change and the kill."""

STEPS = {
    "train": ("train", "study.yaml", "--out", "run"),
    "answer": ("score", "study.yaml", "--out", "run"),
    "judge": ("score", "study.yaml", "--out", "run"),
    "report": ("report", "run"),
    "baseline": ("gate", "run", "--write-baseline", "baseline.jsonl"),
    "draw": ("review", "draw", "run", "--raters", "3"),
    "collect": ("review", "collect", "run", "back"),
    "again": ("run", "study.yaml", "--out", "run"),
    "report again": ("report", "run"),
    "rate": ("rate", "qa", "answers.jsonl", "-o", "verdicts.jsonl"),
}
"""The steps of a run, in order, with the command that does each.

``judge`` has all answers; with ``again`` and ``report again`` there are sheets, a key and ratings.
"""
BY_A_MODEL = ("answers.db", "hashes.json", "adapters", "samples", "study.lock.json", ".in_use")
"""What may differ in bytes where texts and verdicts do not, by a part of its path."""

HOOKED = """
import os, signal, sys, threading, time
root, at, pause = os.path.realpath(sys.argv.pop(1)), int(sys.argv.pop(1)), float(sys.argv.pop(1))
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "sqlite3.connect"}
seen = 0

def is_change(event, args):
    if event == "open":
        writes = any(c in (args[1] or "") for c in "wax+") or (args[2] or 0) & 3
        return writes and isinstance(args[0], (str, bytes, os.PathLike))
    return event in CHANGES

def die():
    time.sleep(pause)
    os.kill(os.getpid(), signal.SIGKILL)

def hook(event, args):
    global seen
    if is_change(event, args) and os.path.abspath(os.fsdecode(args[0])).startswith(root):
        seen += 1
        if seen == at:
            threading.Thread(target=die).start()

sys.addaudithook(hook)
from harness.cli import main
try:
    main()
finally:
    print("changes:", seen, file=sys.stderr)
"""


def write_study(folder: Path, items: int) -> None:
    """Write a study that trains a LoRA of the built-in base, and answers to rate."""
    rows = training_rows("sql_only")[:32]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suites = "".join(f"  - {{name: {name}, limit: {items}}}\n" for name in SUITES)
    (folder / "study.yaml").write_text(
        "name: kills\nbase: builtin:tiny\ncandidates:\n  - name: tuned\n    train: rows.jsonl\n"
        "    settings: {r: 4}\n    training: {max_steps: 6, per_device_train_batch_size: 8}\n"
        f"suites:\n{suites}review: {{items_per_suite: 4}}\n"
    )
    asked = [
        {"id": n, "question": "?", "answers": [f"x {n}"], "response": f"x {n - n % 3}"}
        for n in range(20 * items)
    ]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))


def fill_sheets(folder: Path) -> None:
    """Put a rated sheet of every set, rater and draw into one archive."""
    sheets = sorted(folder.glob("run/review/*/for_raters/rater-*/**/*.csv"))
    if not sheets:
        raise SystemExit(f"no sheets were drawn in {folder}")
    with ZipFile(folder / "back", "w") as archive:
        for path in sheets:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.reader(file))
            place = rows[0].index("Preference")
            for row in rows[1:]:
                row[place] = "A slightly better"
            text = io.StringIO()
            csv.writer(text).writerows(rows)
            archive.writestr(ZipInfo(str(path.relative_to(folder))), text.getvalue())


def changes(folder: Path, step: str) -> int:
    """Do a step undisturbed; return how many changes it makes."""
    done = python("-c", HOOKED, folder, "0", "0", *STEPS[step], folder=folder)
    if done.returncode not in (0, 1, 4) or "changes:" not in done.stderr:
        raise SystemExit(f"{step} failed: {done.stderr[-2000:]}")
    return int(done.stderr.rpartition("changes:")[2])


def killed(folder: Path, step: str, at: int, pause: float) -> bool:
    """Kill a step some seconds after its change of that number; False where it ended before."""
    done = python("-c", HOOKED, folder, str(at), str(pause), *STEPS[step], folder=folder)
    return done.returncode == -signal.SIGKILL


def visible(folder: Path) -> dict[str, Path]:
    """Return every file that is not hidden, by its path below a folder."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path
        for name, path in files.items()
        if not any(part.startswith(".") for part in Path(name).parts) and "-wal" not in name
        if "-shm" not in name
    }


def half_written(folder: Path) -> list[str]:
    """Return the visible files that are cut short, and draws whose sheets or key are not whole."""
    broken = []
    for name, path in visible(folder).items():
        try:
            match path.suffix:
                case ".json":
                    json.loads(path.read_text(encoding="utf-8"))
                case ".jsonl":
                    text = path.read_text(encoding="utf-8")
                    assert text.endswith("\n")
                    [json.loads(line) for line in text.split("\n")[:-1]]
        except (ValueError, AssertionError):
            broken.append(name)
    for draw in folder.glob("run/review/[!.]*"):
        key = json.loads((draw / "key.json").read_text()) if (draw / "key.json").exists() else None
        if key is None or not all((draw / "for_raters" / sheet).exists() for sheet in key["files"]):
            broken.append(str(draw.relative_to(folder)))
    return broken


def samples(run: Path) -> Iterator[Sample]:
    """Yield every scored item of a run, in one order."""
    for file in sorted(run.glob("samples/*/samples_*.jsonl")):
        yield from read_samples(file)


def differences(one: Path, other: Path) -> dict[str, Any]:
    """Count what differs between two folders, beside when and how long something took."""
    pairs = list(zip(samples(one / "run"), samples(other / "run"), strict=True))
    both = [two for a, b in pairs for two in zip(a.responses, b.responses, strict=True)]
    far = [abs(a.logprob - b.logprob) for a, b in both if a.logprob is not None]
    verdicts = ("outcome", "score", "labels", "answer")
    mine, its = visible(one), visible(other)
    plain = [name for name in mine.keys() & its if not set(BY_A_MODEL) & set(Path(name).parts)]
    weights = [name for name in mine if name.endswith(".safetensors")]
    return {
        "texts": sum(a.text != b.text for a, b in both),
        "verdicts": sum(
            any(getattr(a.verdict, name) != getattr(b.verdict, name) for name in verdicts)
            for a, b in pairs
        ),
        "log_likelihood": max(far, default=0.0),
        "files": sorted(mine.keys() ^ its.keys())
        + [n for n in (*plain, *weights) if mine[n].read_bytes() != its[n].read_bytes()],
    }


def measure(
    folder: Path, *, kills: int, items: int, seed: int, steps: Sequence[str] = tuple(STEPS)
) -> dict[str, Any]:
    """Do the steps undisturbed, and each killed so many times; return what differs by step."""
    rng, found = random.Random(seed), {}
    whole = folder / "whole"
    whole.mkdir(parents=True)
    write_study(whole, items)
    order = list(STEPS)
    for step in order[: 1 + max(map(order.index, steps))]:
        if step == "judge" and step not in steps:
            continue
        before = shutil.copytree(whole, folder / f"before {step}")
        if step == "judge":  # the answers are there, the samples are not
            shutil.rmtree(before / "run")
            shutil.copytree(whole / "run", before / "run")
            shutil.rmtree(before / "run" / "samples")
        if step == "collect":
            for folder_of in (before, whole):
                fill_sheets(folder_of)
        total = changes(whole if step != "judge" else shutil.copytree(before, folder / "j"), step)
        if step in steps:
            found[step] = _killed_often(folder, whole, before, step, total, kills, rng)
        shutil.rmtree(before)
    return found


def _killed_often(
    folder: Path, whole: Path, before: Path, step: str, total: int, kills: int, rng: random.Random
) -> dict[str, Any]:
    """Kill a step again and again in one folder, which begins anew whenever it has ended."""
    work, done, broken = folder / "work", 0, set[str]()
    started, tries = time.perf_counter(), 0
    shutil.copytree(before, work)
    while done < kills and tries < 10 * kills:
        tries += 1
        if killed(work, step, rng.randint(1, total), rng.random() * PAUSE):
            done += 1
            broken |= set(half_written(work))
        else:
            shutil.rmtree(work)
            shutil.copytree(before, work)
    last = harness(*STEPS[step], folder=work)
    result = {
        "kills": done,
        "changes": total,
        "half_written": sorted(broken),
        "exit_code": last.returncode,
        **differences(whole, work),
        "seconds": round(time.perf_counter() - started, 1),
    }
    shutil.rmtree(work)
    return result


def is_same(found: dict[str, Any]) -> bool:
    """Say whether kills changed nothing."""
    return all(
        not (step["texts"] or step["verdicts"] or step["files"] or step["half_written"])
        and step["log_likelihood"] <= CLOSE
        and step["exit_code"] in (0, 1, 4)
        for step in found.values()
    )


def main() -> None:
    """Do the steps undisturbed and killed, and print what differs; exit 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="of each step")
    parser.add_argument("--items", type=int, default=60, help="of each suite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills") as name:
        found = measure(
            Path(name), kills=options.kills, items=options.items, seed=options.seed,
            steps=options.steps,
        )  # fmt: skip
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if not is_same(found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
