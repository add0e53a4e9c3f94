"""When one row of a generation ends, whatever the other rows of its batch do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MARGIN = 4


@dataclass(slots=True)
class Text:
    """What one request has generated so far.

    ``push`` appends a token and sets ``finish``: ``stop`` at an end-of-text token or once a stop
    string shows in the decoded tail, ``length`` at the limit. Stop strings are looked for in text
    with special tokens shown, so that ``<|end|>`` works whether it is a token or not. ``gap`` is
    the smallest given distance between a chosen token's logit and the second best.
    """

    tokenizer: Any
    ends: frozenset[int]
    until: tuple[str, ...]
    limit: int
    ids: list[int] = field(default_factory=list)
    finish: str | None = None
    gap: float = math.inf

    def push(self, token: int, gap: float = math.inf) -> None:
        """Append one token."""
        self.gap = min(self.gap, gap)
        if token in self.ends:
            self.finish = "stop"
            return
        self.ids.append(token)
        if self.until and self._stopped():
            self.finish = "stop"
        elif len(self.ids) >= self.limit:
            self.finish = "length"

    def _stopped(self) -> bool:
        # every token but a special one stands for at least one byte
        tail = self.ids[-(max(len(stop.encode()) for stop in self.until) + _MARGIN) :]
        shown = self.tokenizer.decode(tail, skip_special_tokens=False)
        return any(stop in shown for stop in self.until)

    @property
    def text(self) -> str:
        """The generated text, cut before the first stop string, special tokens left out."""
        text = self.tokenizer.decode(self.ids, skip_special_tokens=True)
        for stop in self.until:
            text = text.split(stop)[0]
        return str(text)


def begin(tokenizer: Any, ends: frozenset[int], settings: Mapping[str, Any]) -> Text:
    """Start an empty generation under a request's settings."""
    until: Sequence[str] = settings.get("until") or ()
    return Text(
        tokenizer=tokenizer,
        ends=ends,
        until=tuple(stop for stop in until if stop),
        limit=int(settings["max_new_tokens"]),
    )
