"""Servers for tests: `transformers serve`, and one that returns a prompt's log-likelihoods."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command import PYTHON, SAFETY_NET, started

from harness import content

if TYPE_CHECKING:
    import torch


FAULTS = {
    "no echo": "ignores 'echo'",
    "no logprobs": "returns none of a prompt's log-likelihoods",
    "truncates": "cuts prompts to `context` tokens",
    "one model": "answers as `tuned`, and says so",
    "null text": "has thought until its limit",
    "fails at times": "a 500 for every tenth request",
    "varies": "is another model every few requests",
    "swaps": "mixes up the answers to the prompts of one request",
    "one place": "says of every choice that it is the first",
    "no choices": "answers with an empty list",
    "no text": "answers a text request with a message",
    "an error": "says 200 and sends an error",
    "other words": "has a tokenizer in which token ids are other words",
    "adds a token": "puts a token before every prompt, token ids or not",
    "caps": "stops after two tokens, whatever is asked for",
    "writes on": "writes more than it is asked for",
    "a stream": "sends events, and no JSON",
    "cut short": "closes the connection in the middle of a reply",
    "a cache": "answers a prompt that another model answered as that one did",
    "busy": "asks every fifth request to come back in a second",
    "always busy": "asks all to come back in an hour",
    "no numbers": "sends log-likelihoods that are above 0",
    "no best": "sends no best token",
}
"""What `PromptLogprobs` may do wrong."""


class PromptLogprobs(ThreadingHTTPServer):
    """A completions server with ``echo`` and ``logprobs``, which `transformers serve` lacks.

    ``begin`` is put before every prompt that comes as text, as a server with a beginning-of-text
    token does; prompts of more than ``context`` tokens are refused; a request to ``/locked`` is
    refused with the key that it bore; once ``patience`` requests were answered, all others fail.
    ``bodies`` are the requests that were answered. It generates greedily; ``echo`` repeats the
    prompt. What it does wrong is in ``fault``, one of `FAULTS`. ``moved`` lets it answer with other
    weights from then on, as ``tuned`` lets the model of that name do all along.
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
        assert not fault or fault in FAULTS
        self.begin, self.context, self.patience = begin or [], context, patience
        self.fault, self.tuned, self.moved, self.asked = fault, tuned, False, 0
        self.bodies: list[dict[str, Any]] = []
        self.cache: dict[str, dict[str, Any]] = {}
        self.model, self.tokenizer = _tiny()
        super().__init__(("127.0.0.1", 0), _Completions)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}/v1/completions"

    def reply(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """Return a whole reply, None if a prompt is too long."""
        if self.fault == "an error":
            return {"error": {"message": "the engine is dead"}}
        prompts = asked["prompt"]
        if isinstance(prompts, str) or isinstance(prompts[0], int):
            prompts = [prompts]
        made = [self._completion(prompt, asked) for prompt in prompts]
        choices = [choice for choice, _ in filter(None, made)]
        if len(choices) < len(made):
            return None
        if self.fault == "swaps":
            choices.reverse()
        usage = {name: sum(one[1][name] for one in made if one) for name in ("prompt_tokens",)}
        if self.fault != "null text":
            usage["completion_tokens"] = sum(one[1]["completion_tokens"] for one in made if one)
        places = [0 if self.fault == "one place" else n for n in range(len(choices))]
        found = [{"index": n, **one} for n, one in zip(places, choices, strict=True)]
        said = self.tuned if self.fault == "one model" else asked["model"]
        return {
            "model": said,
            "usage": usage,
            "choices": [] if self.fault == "no choices" else found,
        }

    def _completion(
        self, prompt: str | list[int], asked: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, int]] | None:
        """Return the answer to one prompt with its counts, None if the prompt is too long."""
        if isinstance(prompt, str):
            ids = self.begin + self.tokenizer.encode(prompt, add_special_tokens=False)
        else:
            ids = [1, *prompt] if self.fault == "adds a token" else prompt
        if self.fault == "other words":
            ids = [n + 1 if 600 < n < len(self.tokenizer) - 9 else n for n in ids]
        if self.fault == "truncates":
            ids = ids[-self.context :]
        if len(ids) > self.context:
            return None
        other = (asked["model"] == self.tuned) != self.moved
        other = other or (self.fault == "varies" and self.asked // 3 % 2 == 1)
        scored = asked.get("echo") and "logprobs" in asked
        choice = self._prompt_logprobs(ids, other) if scored else None
        written = 1
        if choice is None:
            choice, written = self._generated(ids, other, asked)
        if self.fault == "no text":
            choice = {"message": [choice["text"]]}
        if self.fault == "a cache":
            choice = self.cache.setdefault(json.dumps([prompt, asked["max_tokens"]]), choice)
        return choice, {"prompt_tokens": len(ids), "completion_tokens": written}

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
        if self.fault == "no numbers":
            chosen = [-value for value in chosen]
        top = (
            None if self.fault == "no best" else [None, *({"best": float(v)} for v in best.values)]
        )
        words = [self.tokenizer.decode([token]) for token in ids]
        found = {"token_logprobs": [None, *chosen], "top_logprobs": top, "tokens": words}
        if self.fault == "no echo":
            found = {name: values[-1:] for name, values in found.items() if values}
        return {"text": words[-1], "logprobs": found}

    def _generated(
        self, ids: list[int], other: bool, asked: dict[str, Any]
    ) -> tuple[dict[str, Any], int]:
        most = asked["max_tokens"]
        if self.fault == "null text":
            return {"text": None, "finish_reason": "length"}, most
        most = {"caps": min(2, most), "writes on": most + 8}.get(self.fault, most)
        written = list(ids)
        finish = "length"
        while finish == "length" and len(written) - len(ids) < most:
            written.append(int(self._logprobs(written, other)[-1].argmax()))
            if written[-1] == self.tokenizer.eos_token_id and self.fault != "writes on":
                finish = "stop"
        shown = written if asked.get("echo") else written[len(ids) :]
        text = self.tokenizer.decode(shown[:-1] if finish == "stop" else shown)
        return {"text": text, "finish_reason": finish}, len(written) - len(ids)


class _Completions(BaseHTTPRequestHandler):
    server: PromptLogprobs

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self.server.fault
        if self.path.startswith("/locked"):
            return self._reply(401, {"error": f"wrong key: {self.headers['Authorization']}"})
        if len(self.server.bodies) >= self.server.patience:
            return self._reply(503, {"error": "overloaded"})
        self.server.asked += 1
        if fault == "fails at times" and self.server.asked % 10 == 0:
            return self._reply(500, {"error": "an internal fault"})
        if fault == "always busy" or (fault == "busy" and self.server.asked % 5 == 0):
            wait = "3600" if fault == "always busy" else "1"
            return self._reply(429, {"error": "too many requests"}, wait)
        self.server.bodies.append(asked)
        found = self.server.reply(asked)
        return self._reply(200, found) if found else self._reply(400, {"error": "too long"})

    def _reply(self, status: int, body: Any, wait: str = "") -> None:
        data = json.dumps(body).encode()
        kind = "application/json"
        if self.server.fault == "a stream":
            data, kind = b"data: " + data + b"\n\ndata: [DONE]\n\n", "text/event-stream"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if wait:
            self.send_header("Retry-After", wait)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if self.server.fault == "cut short" else data)
        if self.server.fault == "cut short":
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output quiet."""


_TINY = str(content.BUILTIN_MODELS["tiny"])


@cache
def _tiny() -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(_TINY, dtype="float32").eval()
    return model, AutoTokenizer.from_pretrained(_TINY)


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
