"""One killable worker process: a request as a JSON line, answers as JSON lines, and a kill."""

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path

from harness.errors import InfrastructureError
from harness.sql.execute.messages import ResultKind, WorkerAnswer, WorkerRequest

_JAIL = Path(__file__).parent / "jail"


class WorkerEndedError(Exception):
    """The worker gives no answer; ``kind`` says why, ``alive`` whether it can go on.

    ``doubtful`` where the machine may be at fault: killed from outside, or starved of processor
    time (a statement that uses its time meets the kernel's limit before the wall clock's).
    """

    def __init__(
        self, kind: ResultKind, error: str, *, alive: bool = False, doubtful: bool = False
    ) -> None:
        super().__init__(error)
        self.kind: ResultKind = kind
        self.alive = alive
        self.doubtful = doubtful


class WorkerProcess:
    """A running ``jail/``; ``known`` are the keys of the databases that it has open.

    ``shared`` tells whether it ever held more than one: if not, what it cannot do for lack of
    memory is the database's own doing.
    """

    def __init__(self) -> None:
        if sys.platform == "win32":
            raise InfrastructureError(
                "SQL is judged in processes that the system limits, and Windows has no such "
                "limits: judge it on Linux, on macOS or in WSL"
            )
        environment = {
            k: v for k, v in os.environ.items() if k in {"SYSTEMROOT", "LD_LIBRARY_PATH"}
        }
        environment["MALLOC_ARENA_MAX"] = "1"  # each further one takes 64 MB of address space
        self.process = subprocess.Popen(
            [sys.executable, "-E", "-s", "-B", str(_JAIL)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=_JAIL.anchor,
            start_new_session=True,
        )
        self._buffer = bytearray()
        self.known: set[str] = set()
        self._first = ""
        self.shared = False
        self._readable = selectors.DefaultSelector()
        assert self.process.stdout is not None
        self._readable.register(self.process.stdout, selectors.EVENT_READ)

    def opens(self, key: str) -> bool:
        """Note that it has to open a database, and return ``shared``."""
        self._first = self._first or key
        self.shared = self.shared or self._first != key
        return self.shared

    def send(self, request: WorkerRequest) -> None:
        """Write one request.

        Raises:
            WorkerEndedError: If the process is gone.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request, default=_encode).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise WorkerEndedError("crash", "the worker is gone", doubtful=True) from error

    def receive(self, seconds: float) -> WorkerAnswer:
        """Wait for one line.

        Raises:
            WorkerEndedError: If none comes in time, or the process has ended.
        """
        deadline = time.monotonic() + seconds
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            left = deadline - time.monotonic()
            if left <= 0 or not self._readable.select(left):
                text = f"no answer within {seconds:.1f} s of wall time"
                raise WorkerEndedError("timeout", text, doubtful=True)
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                raise self._ended()
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        answer: WorkerAnswer = json.loads(line, object_hook=_decode)
        return answer

    def _ended(self) -> WorkerEndedError:
        code = self.process.wait()
        if code == -24:  # SIGXCPU
            return WorkerEndedError("timeout", "stopped by the limit on processor time")
        if code == -9:
            return WorkerEndedError("memory", "ended by the operating system", doubtful=True)
        return WorkerEndedError("crash", f"the worker ended with code {code}", doubtful=True)

    def kill(self) -> None:
        """End the process at once, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        self._readable.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


def _encode(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"a cell must be a number, text, blob or NULL: {type(value).__name__}")


def _decode(value: dict[str, str]) -> object:
    if value.keys() == {"hex"}:
        return bytes.fromhex(value["hex"])
    return value["text"] if value.keys() == {"text"} else value
