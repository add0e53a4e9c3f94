"""Endpoints whose models think: arguments of their template, and a thought beside the answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.thinking_models import says, speaking
from transformers import AutoTokenizer

from harness import study
from harness.engine.remote.arm import RemoteArm
from harness.errors import ModelError, StudyError
from harness.pipeline.plan import plan
from harness.pipeline.run import run_study
from harness.rating.answer_alone import without_thought
from harness.records import ItemKey, Request
from harness.study import ArmSection

pytestmark = pytest.mark.model

ROWS = [{"id": n, "question": f"Which word is it, {n}?", "answers": ["w8 w9"]} for n in range(12)]


class ChatServer(ThreadingHTTPServer):
    """A chat endpoint that says what it is told to; ``bodies`` are the requests."""

    def __init__(self, message: dict[str, Any], finish: str, *, strict: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.message, self.finish, self.strict = message, finish, strict
        self.bodies: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(asked)
        refused = self.server.strict and "chat_template_kwargs" in asked
        body = {"model": asked["model"], "choices": [
            {"index": 0, "message": {"role": "assistant", **self.server.message},
             "finish_reason": self.server.finish}]}  # fmt: skip
        if refused:
            body = {"error": "Unrecognized request argument supplied: chat_template_kwargs"}
        data = json.dumps(body).encode()
        self.send_response(400 if refused else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output quiet."""


@contextmanager
def answering(
    message: dict[str, Any], finish: str = "stop", *, strict: bool = False
) -> Iterator[ChatServer]:
    """Run a chat endpoint that always says one thing."""
    server = ChatServer(message, finish, strict=strict)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the model whose template and tokens count, and rows."""
    folder = tmp_path_factory.mktemp("served")
    speaking(folder / "thinks", says("<pad> w8 w9"), context=2048)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


def written(place: Path, url: str, **changes: Any) -> study.Study:
    """Return a study of one model behind an endpoint, by two names."""

    def served(model: str) -> dict[str, Any]:
        return {
            "backend": "local-chat-completions",
            "model_args": {"base_url": url, "model": model},
        }

    plain = {
        "name": "served",
        "base": {"model": "./thinks", **served("base")},
        "candidates": [{"name": "tuned", **served("tuned")}],
        "suites": [{"name": "domain_qa", "data": "rows.jsonl"}],
        "thinking_tokens": 6,
        "review": {"items_per_suite": 0},
    }
    (place / "study.yaml").write_text(yaml.safe_dump(plain | changes))
    return study.load(place / "study.yaml")


def url_of(server: ChatServer) -> str:
    """Return where a server answers."""
    return f"http://127.0.0.1:{server.server_port}/v1/chat/completions"


CASES: dict[str, tuple[dict[str, Any], str, tuple[str, str | None, str | None, int]]] = {
    "in the text": (
        {"content": "<think> w5 w6 </think> w8 w9"}, "stop", ("w8 w9", "w5 w6", "stop", 4)),
    "taken apart": (
        {"content": "w8 w9", "reasoning_content": "w5 w6"}, "stop", ("w8 w9", "w5 w6", "stop", 4)),
    "by its newer name": (
        {"content": "w8 w9", "reasoning": "w5 w6"}, "stop", ("w8 w9", "w5 w6", "stop", 4)),
    "none, taken apart": (
        {"content": "w8 w9", "reasoning_content": None}, "stop", ("w8 w9", None, "stop", 0)),
    "a stop string in both": (
        {"content": "<think> w7 </think> w8 w7 w9"}, "stop", ("w8 ", "w7", "stop", 3)),
    "no answer": (
        {"content": None, "reasoning_content": "w5 w6"}, "length", ("", "w5 w6", "length", 3)),
    "longer than a thought may be": (
        {"content": "<think> w5 w6 w5 w6 w5 w6 w9 </think> w8 w9"}, "stop",
        ("", "w5 w6 w5 w6 w5 w6 w9", "length", 6)),
    "longer than an answer may be": (
        {"content": "<think> w5 </think> w8 w9 w9 w9 w9"}, "stop",
        ("w8 w9 w9 w9 ", "w5", "length", 3)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_served_thought_is_held_to_the_limits_of_local_ones(place: Path, case: str) -> None:
    """Whether a server leaves the thought in the text or takes it apart, arms are judged alike."""
    message, finish, expected = CASES[case]
    tokenizer = AutoTokenizer.from_pretrained(place / "thinks")
    section = ArmSection(
        backend="local-chat-completions", model_args={"base_url": "http://there", "model": "m"}
    )
    request = Request(
        kind="generate_until", item=ItemKey("s", "none", "1", 0), index=0, context="Which?",
        continuation="", context_ids=(5,),
        settings={"until": ["w7"], "max_new_tokens": 4, "thinking_tokens": 6},
    )  # fmt: skip
    with answering(message, finish) as server:
        args = {"base_url": url_of(server), "model": "m"}
        said = {request.key: json.dumps([{"role": "user", "content": "Which?"}])}
        arm = RemoteArm("there", section, args, said, tokenizer=tokenizer)
        raw = next(iter(arm.answer([request])))[0][1]
        (asked,) = server.bodies
    found = without_thought(
        raw, count=lambda text: len(tokenizer.encode(text, add_special_tokens=False))
    )
    assert (found.text, found.thought, found.finish, found.thought_tokens) == expected
    assert asked["max_tokens"] == 10
    assert not asked.get("stop")


def test_a_server_gets_the_arguments_of_the_template(place: Path) -> None:
    """``chat_template_kwargs`` go into the body, as vLLM, SGLang and llama.cpp take them."""
    with answering({"content": "w8 w9"}) as server:
        off = {"chat_template_kwargs": {"enable_thinking": False}}
        asked = [{"name": "domain_qa", "data": "rows.jsonl", **off}]
        run_study(
            written(place, url_of(server), suites=asked), out=place / "off", allow_identical=True
        )
        assert all(body["chat_template_kwargs"] == off["chat_template_kwargs"]
                   for body in server.bodies)  # fmt: skip


def test_a_server_that_refuses_the_arguments_is_told_of(place: Path) -> None:
    """Without them the endpoint would answer another prompt than the study says."""
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    asked = [{"name": "domain_qa", "data": "rows.jsonl", **off}]
    with answering({"content": "w8 w9"}, strict=True) as server:
        told = written(place, url_of(server), suites=asked)
        with pytest.raises(ModelError, match="chat_template_kwargs"):
            run_study(told, out=place / "strict", allow_identical=True)
    hosted = written(place, "https://api.openai.com/v1/chat/completions", suites=asked)
    with pytest.raises(StudyError, match="does not pass on to a chat template"):
        plan(hosted, out=place / "hosted", allow_identical=True)
