"""Full disks, read-only folders, few open files, little memory: what is lost, and what is said.

One command, JSON out; it needs no data beside the package, and the right to mount a small disk in
memory (as root, or by itself in a name space of its own)::

    python tests/bench/full_disk.py --sizes 20
    unshare --user --map-root-user --mount python tests/bench/full_disk.py --sizes 20

Every command that writes works in a folder on a disk with so much room left, from none to what it
needs. Whatever it makes of that, it ends with a documented exit code and one sentence, every file
that was there is there as it was or whole, a review key has its sheets, and with room again the
same command ends as on a disk that was never full.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.kills import fill_sheets, half_written, visible, write_study
from support.command import HARNESS, harness_here, run

COMMANDS = {
    "rate": ("rate", "qa", "answers.jsonl", "-o", "verdicts.jsonl"),
    "compare": ("compare", "run/samples/base", "run/samples/tuned", "--json", "compared.json"),
    "report": ("report", "run"),
    "baseline": ("gate", "run", "--write-baseline", "baseline.jsonl"),
    "against": ("gate", "run", "--baseline", "first.jsonl"),
    "draw": ("review", "draw", "run", "--raters", "3"),
    "collect": ("review", "collect", "run", "back"),
    "export": ("export", "run", "tuned", "--out", "exported"),
    "init": ("init", "new.yaml"),
    "run": ("run", "study.yaml", "--out", "run"),
    "train": ("train", "study.yaml", "--out", "other"),
}
"""What is done on a finished run; ``run`` scores it anew, ``train`` trains in a new folder."""
WORDS = ("harness: ",)
CODES = {0, 1, 2, 3, 4}
FILES = (16, 24, 32, 48, 64)
MEMORY = (150, 300, 600, 1200)
"""Numbers of open files, and MiB of address space, that a command may have."""
MIB = 1 << 20


@contextmanager
def disk(place: Path) -> Iterator[Path]:
    """Mount a disk in memory, of 256 MiB until `leave_room` says otherwise."""
    place.mkdir()
    _mount("-t", "tmpfs", "-o", "size=256m", "tmpfs", place)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def may_mount() -> bool:
    """Say whether this process may mount a disk in memory."""
    with (
        tempfile.TemporaryDirectory() as name,
        suppress(SystemExit, OSError),
        disk(Path(name, "d")),
    ):
        return True
    return False


def _mount(*arguments: str | Path) -> None:
    done = run("mount", *arguments)
    if done.returncode:
        raise SystemExit(f"a disk in memory is needed: {done.stderr.strip()}; see --help")


def leave_room(place: Path, size: int | None) -> None:
    """Leave so many bytes on a disk; None makes it large again."""
    used = os.statvfs(place)
    taken = (used.f_blocks - used.f_bfree) * used.f_frsize
    total = 256 * MIB if size is None else max(taken + size, used.f_frsize)
    _mount("-o", f"remount,size={total}", place)


def finished(folder: Path, items: int) -> None:
    """Do a whole run in a folder, with what the commands read beside it."""
    folder.mkdir()
    write_study(folder, items)
    for command in (COMMANDS["run"], (*COMMANDS["baseline"][:3], "first.jsonl")):
        done = harness_here(*command, folder=folder)
        if done.returncode not in (0, 1, 4):
            raise SystemExit(f"the run failed: {done.stderr[-2000:]}")
    fill_sheets(folder)


def faults_of(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """Say what is wrong with the end of a command: a traceback, no sentence, another exit code."""
    lines = [line for line in done.stderr.splitlines() if line.startswith(WORDS)]
    found = [] if done.returncode in CODES else [f"exit code {done.returncode}"]
    if "Traceback" in done.stderr or "an error that is ours" in done.stderr:
        found.append("traceback: " + done.stderr.strip().splitlines()[-1][:200])
    if done.returncode in (2, 3) and len(lines) != 1:
        found.append(f"{len(lines)} sentences: {done.stderr[-200:]}")
    return found


def losses(before: dict[str, bytes], after: Path, whole: Path) -> list[str]:
    """Return the files that are gone, cut, or neither as before nor as in the end."""
    now, ends = visible(after), visible(whole)
    lost = [name for name in before if name not in now]
    made = ("report.", "gate.json", "junit.xml", "baseline.jsonl", "verdicts.jsonl", "review/")
    for name in (n for n in before.keys() & now if any(part in n for part in made)):
        known = {before[name], *([ends[name].read_bytes()] if name in ends else [])}
        if now[name].read_bytes() not in known:
            lost.append(name)
    return [*lost, *half_written(after)]


def on_a_full_disk(folder: Path, name: str, sizes: int) -> dict[str, Any]:
    """Do a command with ever more room; return what went wrong, by the room in bytes."""
    whole = shutil.copytree(folder / "finished", folder / f"whole {name}")
    expected = harness_here(*COMMANDS[name], folder=whole).returncode
    grown = sum(p.stat().st_size for p in visible(whole).values())
    grown -= sum(p.stat().st_size for p in visible(folder / "finished").values())
    most = max(grown, 256 * 1024) + MIB
    wrong: dict[str, list[str]] = {}
    codes = []
    for number in range(sizes):
        room = int(most * (number / sizes) ** 2)  # most of them small
        with disk(folder / "disk") as place:
            work = shutil.copytree(folder / "finished", place / "work")
            before = {path: file.read_bytes() for path, file in visible(work).items()}
            leave_room(place, room)
            done = harness_here(*COMMANDS[name], folder=work)
            found = faults_of(done) + [f"lost {path}" for path in losses(before, work, whole)]
            leave_room(place, None)
            if done.returncode != expected:  # what has ended may refuse to be done twice
                again = harness_here(*COMMANDS[name], folder=work)
                if again.returncode != expected:
                    found.append(f"then exit code {again.returncode}: {again.stderr[-300:]}")
            found += [f"then lost {path}" for path in losses(before, work, whole)]
            codes.append(done.returncode)
        (folder / "disk").rmdir()
        if found:
            wrong[str(room)] = found
    shutil.rmtree(whole)
    return {"exit_codes": codes, "wrong": wrong}


def read_only(folder: Path, name: str) -> dict[str, Any]:
    """Do a command on a disk that may only be read."""
    with disk(folder / "disk") as place:
        work = shutil.copytree(folder / "finished", place / "work")
        _mount("-o", "remount,ro", place)
        done = harness_here(*COMMANDS[name], folder=work)
        found = faults_of(done)
    (folder / "disk").rmdir()
    return {"exit_codes": [done.returncode], "wrong": {"read-only": found} if found else {}}


def limited(
    folder: Path, name: str, limit: int, values: Sequence[int], unit: int
) -> dict[str, Any]:
    """Do a command in a process that may have so much of something."""
    codes, wrong = [], {}
    for value in values:
        work = shutil.copytree(folder / "finished", folder / "limited")
        before = {path: file.read_bytes() for path, file in visible(work).items()}
        done = subprocess.run(
            [*HARNESS, *COMMANDS[name]], cwd=work, capture_output=True, text=True, check=False,
            preexec_fn=lambda value=value: resource.setrlimit(limit, (value * unit, value * unit)),
        )  # fmt: skip
        codes.append(done.returncode)
        found = faults_of(done) + [f"lost {path}" for path in losses(before, work, work)]
        if found:
            wrong[str(value)] = found
        shutil.rmtree(work)
    return {"exit_codes": codes, "wrong": wrong}


def measure(folder: Path, *, sizes: int, items: int, names: Sequence[str]) -> dict[str, Any]:
    """Do every command under every want; return exit codes and what went wrong."""
    finished(folder / "finished", items)
    found: dict[str, Any] = {}
    for name in names:
        found[name] = {
            "full_disk": on_a_full_disk(folder, name, sizes),
            "read_only": read_only(folder, name),
            "few_files": limited(folder, name, resource.RLIMIT_NOFILE, FILES, 1),
            "little_memory": limited(folder, name, resource.RLIMIT_AS, MEMORY, MIB),
        }
        print(name, json.dumps(found[name]), file=sys.stderr)
    return found


def is_right(found: dict[str, Any]) -> bool:
    """Say whether nothing was lost, and everything said in one sentence."""
    return not any(kind["wrong"] for command in found.values() for kind in command.values())


def main() -> None:
    """Do every command on a full disk and in want of more; exit 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, default=20)
    parser.add_argument("--items", type=int, default=12, help="of each suite")
    parser.add_argument("--commands", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="disk") as name:
        found = measure(
            Path(name), sizes=options.sizes, items=options.items, names=options.commands
        )
    print(json.dumps(found, indent=1))
    if not is_right(found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
