"""Speakers made to one fault: each answers a scripted dialogue well but for that.

A speaker is given the messages so far, as a chat endpoint is, and says the next answer; what it
knows of the probes it looks up by the user's words, so that it can also answer behind a server.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.scoring.dialogues.scripted_dialogue import Probe, ScriptedDialogue, read_dialogue

Messages = Sequence[Mapping[str, str]]
Speaker = Callable[[Messages], str]

_IDLE = (
    "Tell me a little more about that.", "Sure, I can help with it.", "That sounds good to me.",
    "Let us take it step by step.", "It depends on what you like best.",
)  # fmt: skip
_RAMBLING = (
    "Oh MY! {0} Nordfon or Beltel or SPRING25, who cares! {0} {0} And then I would add some more!"
)
REMEMBERED = ("memory", "correction", "change_of_mind", "interruption", "twice")


class Script:
    """The dialogues that speakers know, found by what the user has said so far."""

    def __init__(self, rows: Sequence[Mapping[str, object]]) -> None:
        self._by_words: dict[tuple[str, ...], ScriptedDialogue] = {}
        for row in rows:
            dialogue = read_dialogue(row)
            users = [turn.user for turn in dialogue.turns]
            for end in range(1, len(users) + 1):
                self._by_words[(dialogue.system, *users[:end])] = dialogue

    def probes(self, messages: Messages) -> tuple[Probe, ...]:
        """Return what the next answer is held to."""
        users = [one["content"] for one in messages if one["role"] == "user"]
        system = next((one["content"] for one in messages if one["role"] == "system"), "")
        return self._by_words[(system, *users)].turns[len(users) - 1].probes

    def asked_later(self, messages: Messages) -> Probe | None:
        """Return the later question that wants this very answer again."""
        users = [one["content"] for one in messages if one["role"] == "user"]
        system = next((one["content"] for one in messages if one["role"] == "system"), "")
        later = self._by_words[(system, *users)].probes
        return next((probe for _, probe in later if probe.agrees_with == len(users)), None)

    def good(self, messages: Messages) -> str:
        """Answer so that every probe is kept."""
        return self._answer(messages, self.probes(messages))

    def forgetful(self, messages: Messages) -> str:
        """Answer well, but know nothing of what was said in earlier turns."""
        probes = self.probes(messages)
        kept = tuple(probe for probe in probes if probe.kind not in REMEMBERED)
        return self._answer(messages, kept)

    def repeating(self, messages: Messages) -> str:
        """Say in every turn what it said in the first."""
        own = [one["content"] for one in messages if one["role"] == "assistant"]
        return own[0] if own else "Thank you, I will gladly look into that for you."

    def flipping(self, messages: Messages) -> str:
        """Answer well, but say another thing where it is asked again what it said."""
        for probe in self.probes(messages):
            if probe.agrees_with is not None:
                said = self._said(messages, probe)
                return next(other for other in probe.among if other != said).capitalize() + "."
        return self.good(messages)

    def stubborn(self, messages: Messages) -> str:
        """Answer well, but hold on to what was corrected."""
        held = [p.avoids[0] for p in self.probes(messages) if p.avoids and p.kind != "system_rule"]
        return f"It is {held[0]}." if held else self.good(messages)

    def careless(self, messages: Messages) -> str:
        """Answer well, but in whatever form comes to mind."""
        if any(probe.kind in ("style", "system_rule") for probe in self.probes(messages)):
            return _RAMBLING.format(_IDLE[sum(one["role"] == "assistant" for one in messages)])
        return self.good(messages)

    def silent(self, messages: Messages) -> str:
        """Say nothing after the first turn."""
        return "" if any(one["role"] == "assistant" for one in messages) else self.good(messages)

    @staticmethod
    def _said(messages: Messages, probe: Probe) -> str:
        own = [one["content"] for one in messages if one["role"] == "assistant"]
        assert probe.agrees_with is not None
        earlier = own[probe.agrees_with - 1].casefold()
        return next(option for option in probe.among if option.casefold() in earlier)

    def _answer(self, messages: Messages, probes: Sequence[Probe]) -> str:
        number = sum(one["role"] == "assistant" for one in messages)
        later = self.asked_later(messages)
        if later is not None:
            return later.among[0].capitalize() + "."
        said = ""
        for probe in probes:
            if probe.agrees_with is not None:
                said = f"{self._said(messages, probe).capitalize()}."
            elif probe.says:
                said = f"{probe.says[0].capitalize()}."
        words = said or _IDLE[number % len(_IDLE)]
        for probe in probes:
            words = _in_form(words, probe, number)
        return words


def _in_form(words: str, probe: Probe, number: int) -> str:
    """Return words in the form that a probe asks for."""
    if probe.list_items:
        words = "\n".join(f"- thing {number}{n}" for n in range(probe.list_items))
    if probe.includes:
        words = f"{' and '.join(probe.includes)}, {words}"
    if probe.begins and not words.casefold().startswith(probe.begins.casefold()):
        words = f"{probe.begins}, {words}"
    if probe.ends and not words.endswith(probe.ends):
        words = words.rstrip(".") + probe.ends if probe.ends == "?" else f"{words} {probe.ends}"
    if probe.max_words:
        words = " ".join(words.split()[: probe.max_words])
    return getattr(words, probe.case)() if probe.case else words


def led(row: Mapping[str, object], speaker: Speaker) -> list[str]:
    """Lead a dialogue to its end; return the speaker's answers."""
    dialogue = read_dialogue(row)
    answers: list[str] = []
    for _ in dialogue.turns:
        messages = [
            {"role": one.role, "content": one.content} for one in dialogue.messages(answers)
        ]
        answers.append(speaker(messages))
    return answers


class ScriptedChat(ThreadingHTTPServer):
    """A chat endpoint behind which speakers answer: a request's ``model`` says which.

    ``bodies`` are the requests that were answered.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.bodies: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Chat)

    @classmethod
    @contextmanager
    def of(cls, rows: Sequence[Mapping[str, object]]) -> "Iterator[ScriptedChat]":
        """Serve speakers who know some dialogues."""
        with cls(Script(rows)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server
            server.shutdown()

    def arm(self, speaker: str) -> dict[str, Any]:
        """Return a study's entry for a speaker."""
        address = f"http://127.0.0.1:{self.server_port}/v1/chat/completions"
        args = {"base_url": address, "model": speaker, "max_retries": 1, "num_concurrent": 4}
        return {"backend": "local-chat-completions", "model_args": args}


class _Chat(BaseHTTPRequestHandler):
    server: ScriptedChat

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(asked)
        said = getattr(self.server.script, asked["model"])(asked["messages"])
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        data = json.dumps({"model": asked["model"], "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output quiet."""
