"""Kill -9 a process while it stores answers: for the test and for the benchmark of twenty kills."""

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from support.tiny_models import prompt, random_tree

from harness.records import Request
from harness.store import AnswerStore


def kill_while_answering(
    command: Sequence[str], answers: Path, *, pause: float, cwd: Path | None = None
) -> list[str] | None:
    """Run a command until it has stored new answers, and a moment longer; then kill it.

    Args:
        command: What to run.
        answers: Its store of answers.
        pause: How long it may go on after its first new answers, in seconds.
        cwd: Where to run it.

    Returns:
        The lines that it printed; None if it ended before it could be killed.
    """
    before = _count(answers)
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=cwd)
    while worker.poll() is None and _count(answers) == before:
        time.sleep(0.005)
    time.sleep(pause)
    worker.kill()
    lines = worker.communicate()[0].splitlines()
    return lines if worker.returncode == -signal.SIGKILL else None


def _count(answers: Path) -> int:
    return len(AnswerStore(answers)) if answers.exists() else 0


def requests() -> list[Request]:
    """Return questions and generations, enough for dozens of batches."""
    made = random_tree(8, stems=8)
    return made + [prompt(1000 + n, (1, 30 + n, 40), max_new_tokens=20) for n in range(40)]
