"""A run that a server starts and does not wait for; it ends with the server and can be resumed."""

import subprocess
import sys
import tempfile
from pathlib import Path

from harness.display_text import one_line
from harness.errors import InfrastructureError, redact
from harness.mcp.lookups import Told


class BackgroundRun:
    """At most one ``harness run`` at a time, in a process of its own."""

    def __init__(self) -> None:
        self._out = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._logs = tempfile.TemporaryDirectory(prefix="harness-")

    def start(self, study: Path, out: Path, folder: Path) -> None:
        """Start a run.

        Raises:
            InfrastructureError: If one is at work.
        """
        if self._process is not None and self._process.poll() is None:
            raise InfrastructureError(
                f"one run at a time: {self._out.name} is at work; ask for its status until it ends"
            )
        command = [sys.executable, "-P", "-m", "harness", "run", str(study), "--out", str(out)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._out = out

    def told(self, out: Path) -> Told:
        """Say how a run that was started here stands; empty for any other."""
        if self._process is None or out != self._out:
            return {}
        code = self._process.poll()
        return {"running": code is None, "exit_code": code, "said_last": self._last_line()}

    def stop(self) -> None:
        """End the run; what it finished is kept, and the same run goes on from there."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._logs.cleanup()

    @property
    def _log(self) -> Path:
        return Path(self._logs.name, "said.txt")

    def _last_line(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return one_line(redact(lines[-1])) if lines else ""
