"""Kill -9 a process at its work; how far it has come is counted in steps, not in seconds."""

import signal
import subprocess
from pathlib import Path

from support.command import python
from support.tiny_models import prompt, random_tree

from harness.records import Request

DYING = """
import os, signal, sys
from harness.cli import main
from harness.store import AnswerStore
from harness.store.shard_file import ShardFile

left = int(sys.argv.pop(1))

def dying(put):
    def put_and_die(store, *batch):
        global left
        stored = put(store, *batch)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return stored
    return put_and_die

AnswerStore.put, ShardFile.put = dying(AnswerStore.put), dying(ShardFile.put)
main()
"""


def harness_killed(*arguments: str | Path, batches: int, folder: Path) -> None:
    """Run a command of ours that is killed as soon as it has stored so many batches of answers."""
    done = python("-c", DYING, str(batches), *arguments, folder=folder)
    assert done.returncode == -signal.SIGKILL, done.stderr


def go_on(worker: "subprocess.Popen[str]", steps: int) -> list[str]:
    """Let a worker that waits for a line at each step do so many; return what it printed."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    printed = []
    for _ in range(steps):
        worker.stdin.write("\n")
        worker.stdin.flush()
        printed.append(worker.stdout.readline())
    return printed


def kill_within_a_step(worker: "subprocess.Popen[str]") -> list[str]:
    """Let a worker begin another step and kill it at once; return what it still printed."""
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()
    worker.kill()
    return worker.communicate()[0].splitlines()


def requests() -> list[Request]:
    """Return questions and generations, enough for dozens of batches."""
    made = random_tree(8, stems=8)
    return made + [prompt(1000 + n, (1, 30 + n, 40), max_new_tokens=20) for n in range(40)]
