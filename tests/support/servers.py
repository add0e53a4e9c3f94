"""Servers for tests: `transformers serve`, and one that returns a prompt's log-likelihoods."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.command import PYTHON, SAFETY_NET, started

from harness import content


class PromptLogprobs(ThreadingHTTPServer):
    """A completions server with ``echo`` and ``logprobs``, which `transformers serve` lacks.

    ``begin`` is put before every prompt that comes as text, as a server with a beginning-of-text
    token does; prompts of more than ``context`` tokens are refused; a request to ``/locked`` is
    refused with the key that it bore; once ``patience`` requests were answered, all others fail.
    ``bodies`` are the requests that were answered.
    """

    def __init__(
        self, *, begin: list[int] | None = None, context: int = 2048, patience: int = 10**9
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.begin, self.context, self.patience = begin or [], context, patience
        self.bodies: list[dict[str, Any]] = []
        self.model = AutoModelForCausalLM.from_pretrained(_TINY, dtype="float32").eval()
        self.tokenizer = AutoTokenizer.from_pretrained(_TINY)
        super().__init__(("127.0.0.1", 0), _Completions)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}/v1/completions"

    def completion(self, prompt: Any) -> dict[str, Any] | None:
        """Return the prompt's log-likelihoods and those of one more token, or None if too long."""
        import torch

        if isinstance(prompt, str):
            ids = self.begin + self.tokenizer.encode(prompt, add_special_tokens=False)
        else:
            (ids,) = prompt
        if len(ids) > self.context:
            return None
        with torch.no_grad():
            logprobs = self.model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        best = logprobs.max(-1)
        ids = [*ids, int(best.indices[-1])]
        chosen = [float(row[token]) for row, token in zip(logprobs, ids[1:], strict=True)]
        top = [{"best": float(value)} for value in best.values]
        found = {"token_logprobs": [None, *chosen], "top_logprobs": [None, *top]}
        text = self.tokenizer.decode(ids[-1:])
        return {"choices": [{"index": 0, "text": text, "logprobs": found}]}


class _Completions(BaseHTTPRequestHandler):
    server: PromptLogprobs

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/locked"):
            return self._reply(401, {"error": f"wrong key: {self.headers['Authorization']}"})
        if len(self.server.bodies) >= self.server.patience:
            return self._reply(503, {"error": "overloaded"})
        self.server.bodies.append(asked)
        found = self.server.completion(asked["prompt"])
        return self._reply(200, found) if found else self._reply(400, {"error": "too long"})

    def _reply(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output quiet."""


_TINY = str(content.BUILTIN_MODELS["tiny"])


@contextmanager
def transformers_serve(model: str, log: Path) -> Iterator[str]:
    """Run `transformers serve` on a free port; yield the beginning of its addresses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (
        *PYTHON, "-c", "from transformers.cli.transformers import main; main()",
        "serve", model, "--host", "127.0.0.1", "--port", str(port),
        "--device", "cpu", "--dtype", "float32",
    )  # fmt: skip
    with log.open("w") as out, started(*command, out=out) as process:
        _wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"


def _wait_for(url: str, process: "subprocess.Popen[str]", log: Path) -> None:
    end = time.monotonic() + SAFETY_NET
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=SAFETY_NET):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")
