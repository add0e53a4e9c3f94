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
from typing import TYPE_CHECKING, Any

import pytest
from support.command import PYTHON, SAFETY_NET, started

from harness import content

if TYPE_CHECKING:
    import torch


class PromptLogprobs(ThreadingHTTPServer):
    """A completions server with ``echo`` and ``logprobs``, which `transformers serve` lacks.

    ``begin`` is put before every prompt that comes as text, as a server with a beginning-of-text
    token does; prompts of more than ``context`` tokens are refused; a request to ``/locked`` is
    refused with the key that it bore; once ``patience`` requests were answered, all others fail.
    ``bodies`` are the requests that were answered. It generates greedily where ``echo`` is not
    asked for. What it does wrong is in ``fault``: ``no echo``, ``no logprobs``, ``truncates``
    (prompts to ``context`` tokens), ``one model`` (says so, and is another arm's), ``null text``,
    ``fails at times`` (a 500 for every tenth request), ``varies`` (another model each time).
    ``moved`` lets it answer with other weights from then on, as ``tuned`` lets the model of that
    name do all along.
    """

    def __init__(
        self,
        *,
        begin: list[int] | None = None,
        context: int = 2048,
        patience: int = 10**9,
        fault: str = "",
        tuned: str = "",
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.begin, self.context, self.patience = begin or [], context, patience
        self.fault, self.tuned, self.moved, self.asked = fault, tuned, False, 0
        self.bodies: list[dict[str, Any]] = []
        self.model = AutoModelForCausalLM.from_pretrained(_TINY, dtype="float32").eval()
        self.tokenizer = AutoTokenizer.from_pretrained(_TINY)
        super().__init__(("127.0.0.1", 0), _Completions)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}/v1/completions"

    def completion(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """Return the prompt's log-likelihoods and those of one more token, or a generated text.

        None if the prompt is too long.
        """
        prompts = asked["prompt"]
        if isinstance(prompts, str):
            ids = self.begin + self.tokenizer.encode(prompts, add_special_tokens=False)
        else:
            (ids,) = prompts
        if self.fault == "truncates":
            ids = ids[-self.context :]
        if len(ids) > self.context:
            return None
        said = self.tuned if self.fault == "one model" else asked["model"]
        other = (asked["model"] == self.tuned) != self.moved
        other = other or (self.fault == "varies" and self.asked // 3 % 2 == 1)
        choice = self._prompt_logprobs(ids, other) if asked.get("echo") else None
        choice = choice or self._generated(ids, other, asked)
        usage = {"prompt_tokens": len(ids)}
        return {"model": said, "usage": usage, "choices": [{"index": 0, **choice}]}

    def _logprobs(self, ids: list[int], other: bool) -> "torch.Tensor":
        import torch

        with torch.no_grad():
            logits = self.model(torch.tensor([ids])).logits[0].float()
        if other:  # the vocabulary's second half becomes unlikely
            logits[:, logits.shape[1] // 2 :] -= 8
        return logits.log_softmax(-1)

    def _prompt_logprobs(self, ids: list[int], other: bool) -> dict[str, Any]:
        if self.fault == "no logprobs":
            return {"text": "", "logprobs": None}
        logprobs = self._logprobs(ids, other)
        best = logprobs.max(-1)
        ids = [*ids, int(best.indices[-1])]
        chosen = [float(row[token]) for row, token in zip(logprobs, ids[1:], strict=True)]
        top = [{"best": float(value)} for value in best.values]
        found = {"token_logprobs": [None, *chosen], "top_logprobs": [None, *top]}
        if self.fault == "no echo":
            found = {name: values[-1:] for name, values in found.items()}
        return {"text": self.tokenizer.decode(ids[-1:]), "logprobs": found}

    def _generated(self, ids: list[int], other: bool, asked: dict[str, Any]) -> dict[str, Any]:
        if self.fault == "null text":
            return {"text": None, "finish_reason": "length"}
        written = list(ids)
        for _ in range(asked["max_tokens"]):
            written.append(int(self._logprobs(written, other)[-1].argmax()))
            if written[-1] == self.tokenizer.eos_token_id:
                return {
                    "text": self.tokenizer.decode(written[len(ids) : -1]),
                    "finish_reason": "stop",
                }
        return {"text": self.tokenizer.decode(written[len(ids) :]), "finish_reason": "length"}


class _Completions(BaseHTTPRequestHandler):
    server: PromptLogprobs

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/locked"):
            return self._reply(401, {"error": f"wrong key: {self.headers['Authorization']}"})
        if len(self.server.bodies) >= self.server.patience:
            return self._reply(503, {"error": "overloaded"})
        self.server.asked += 1
        if self.server.fault == "fails at times" and self.server.asked % 10 == 0:
            return self._reply(500, {"error": "an internal fault"})
        self.server.bodies.append(asked)
        found = self.server.completion(asked)
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
