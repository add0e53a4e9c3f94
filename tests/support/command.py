"""Commands, each in a process of its own: ours as a user types them, and Python programs."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import IO

import pytest
from support.paths import TESTS

from harness.cli import main

PYTHON = (sys.executable, "-P")
"""Python that does not take modules from the current folder: the installed package is run."""
HARNESS = (*PYTHON, "-m", "harness")
SAFETY_NET = 900
"""Seconds after which a process that hangs is ended. No test may depend on it."""
SUPPORT = {
    "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
}
"""Environment in which a program may import `support`."""


def harness(
    *arguments: str | Path,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a command of ours; see `run`."""
    return run(*HARNESS, *arguments, folder=folder, env=env, text=text)


def harness_here(
    *arguments: str | Path, folder: Path | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command of ours in this process, which has loaded the model libraries already."""
    typed = ["harness", *map(str, arguments)]
    out, errors, code = StringIO(), StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        chdir(folder or Path.cwd()),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        patch.setattr(sys, "argv", typed)
        patch.setattr(sys, "stdin", StringIO(text))
        patch.setenv("COLUMNS", "100")
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return subprocess.CompletedProcess(typed, code, out.getvalue(), errors.getvalue())


def python(
    *arguments: str | Path,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run Python, such as ``python("-c", CODE)``; see `run`."""
    return run(*PYTHON, *arguments, folder=folder, env=env, text=text)


def run(
    *command: str | Path,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code.

    Args:
        command: Program and arguments.
        folder: Working folder.
        env: Variables beside those of the tests.
        text: What is typed into it.
    """
    return subprocess.run(
        [str(part) for part in command],
        input=text,
        capture_output=True,
        text=True,
        cwd=folder,
        env=_environment(env),
        timeout=SAFETY_NET,
        check=False,
    )


@contextmanager
def started(
    *command: str | Path,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    out: IO[str] | None = None,
) -> Iterator["subprocess.Popen[str]"]:
    """Start a command that is written to and read from; it is killed at the end.

    Args:
        command: Program and arguments.
        folder: Working folder.
        env: Variables beside those of the tests.
        out: A file for what it prints, errors too, where nobody reads while it runs.
    """
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=out or subprocess.PIPE,
        stderr=out,
        text=True,
        cwd=folder,
        env=_environment(env),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    fixed = {"HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    return {**os.environ, **fixed, **(more or {})}
