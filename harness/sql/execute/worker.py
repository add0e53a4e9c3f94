"""One killable child process: JSON lines out, JSON lines in, and a kill."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

_JAIL = Path(__file__).parent / "jail"

ResultKind = Literal["ok", "error", "denied", "timeout", "rows", "memory", "crash", "database"]
"""How a statement may end."""


class EndedError(Exception):
    """No answer will come; ``kind`` says why, ``alive`` whether the child can go on.

    ``doubtful`` where the fault may be the machine's: killed from outside, or given no processor
    (a statement that does use it is ended by the kernel's limit before the wall clock's).
    """

    def __init__(
        self, kind: ResultKind, error: str, *, alive: bool = False, doubtful: bool = False
    ) -> None:
        super().__init__(error)
        self.kind: ResultKind = kind
        self.alive = alive
        self.doubtful = doubtful


class Child:
    """A running ``jail/``; ``known`` are the keys of the databases that it holds open."""

    def __init__(self) -> None:
        environment = {
            k: v for k, v in os.environ.items() if k in {"SYSTEMROOT", "LD_LIBRARY_PATH"}
        }
        self._child = subprocess.Popen(
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

    def send(self, request: Mapping[str, Any]) -> None:
        """Write one request.

        Raises:
            EndedError: If the child is gone.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(request, default=_encode).encode() + b"\n")
            self._child.stdin.flush()
        except OSError as error:
            raise EndedError("crash", "the worker is gone", doubtful=True) from error

    def receive(self, seconds: float) -> dict[str, Any]:
        """Wait for one line.

        Raises:
            EndedError: If none comes in time, or the child has ended.
        """
        deadline = time.monotonic() + seconds
        assert self._child.stdout is not None
        pipe = self._child.stdout.fileno()
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                text = f"no answer within {seconds:.1f} s of wall time"
                raise EndedError("timeout", text, doubtful=True)
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                raise self._ended()
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        answer: dict[str, Any] = json.loads(line, object_hook=_decode)
        return answer

    def _ended(self) -> EndedError:
        code = self._child.wait()
        if code == -24:  # SIGXCPU
            return EndedError("timeout", "stopped by the limit on processor time")
        if code == -9:
            return EndedError("memory", "ended by the operating system", doubtful=True)
        return EndedError("crash", f"the worker ended with code {code}", doubtful=True)

    def kill(self) -> None:
        """End the child at once, whatever it is doing."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


def _encode(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"a cell must be a number, text, blob or NULL: {type(value).__name__}")


def _decode(value: dict[str, Any]) -> Any:
    if value.keys() == {"hex"}:
        return bytes.fromhex(value["hex"])
    return value["text"] if value.keys() == {"text"} else value
