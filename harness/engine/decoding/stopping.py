"""When one row of a generation ends, whatever the other rows of its batch do."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.engine.decoding.sampling import SamplingParams

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_EXTRA_TOKENS = 4
"""Tokens that are decoded beyond those that could hold a stop string."""


@dataclass(slots=True)
class GeneratedText:
    """What one request has generated so far.

    `push` appends a token and sets ``finish``: ``stop`` at an end-of-sequence token or once a stop
    string shows in the decoded tail, ``length`` at the limit. Stop strings are looked for in text
    with special tokens shown, so that ``<|end|>`` works whether it is a token or not. ``gap`` is
    the smallest given distance between a chosen token's logit and the second best.
    """

    tokenizer: "PreTrainedTokenizerBase"
    eos_token_ids: frozenset[int]
    params: SamplingParams
    ids: list[int] = field(default_factory=list)
    finish: str | None = None
    gap: float = math.inf

    def push(self, token: int, gap: float = math.inf) -> None:
        """Append one token."""
        self.gap = min(self.gap, gap)
        if token in self.eos_token_ids:
            self.finish = "stop"
            return
        self.ids.append(token)
        if self.params.stop and self._shows_stop_string():
            self.finish = "stop"
        elif len(self.ids) >= self.params.max_new_tokens:
            self.finish = "length"

    def _shows_stop_string(self) -> bool:
        # every token but a special one stands for at least one byte
        longest = max(len(stop.encode()) for stop in self.params.stop)
        tail = self.ids[-(longest + _EXTRA_TOKENS) :]
        shown = self.tokenizer.decode(tail, skip_special_tokens=False)
        return any(stop in shown for stop in self.params.stop)

    @property
    def text(self) -> str:
        """The generated text, cut before the first stop string, special tokens left out."""
        text = self.tokenizer.decode(self.ids, skip_special_tokens=True)
        for stop in self.params.stop:
            text = text.split(stop)[0]
        return str(text)
