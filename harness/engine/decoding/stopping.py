"""When one row of a generation ends, whatever the other rows of its batch do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.engine.decoding.sampling import SamplingParams
from harness.engine.decoding.thinking_row import ThinkingRow, shown

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

    Inside a thought no stop string counts, and the limit is that of thoughts where there is one.
    """

    tokenizer: "PreTrainedTokenizerBase"
    eos_token_ids: frozenset[int]
    params: SamplingParams
    ids: list[int] = field(default_factory=list)
    finish: str | None = None
    gap: float = math.inf
    row: ThinkingRow = field(init=False)

    def __post_init__(self) -> None:
        self.row = ThinkingRow(form=self.params.opened)

    def push(self, token: int, gap: float = math.inf) -> None:
        """Append one token."""
        self.gap = min(self.gap, gap)
        if token in self.eos_token_ids:
            self.finish = "stop"
            return
        self.ids.append(token)
        decided = self.row.answer_from is not None
        self.row.push(self.ids, self._decode)
        if self.params.stop and self._shows_stop_string(everything=not decided):
            self.finish = "stop"
        elif self._is_full():
            self.finish = "length"

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False))

    def _shows_stop_string(self, *, everything: bool) -> bool:
        """Tell whether a stop string stands in the answer: all of it, or its last few tokens."""
        first = self.row.answer_from
        if first is None:
            return False
        # every token but a special one stands for at least one byte
        longest = max(len(stop.encode()) for stop in self.params.stop)
        begin = first if everything else max(first, len(self.ids) - longest - _EXTRA_TOKENS)
        text = self._decode(self.ids[begin:])
        if begin == first and self.row.thought_tokens:
            text = text.lstrip()  # blanks after a thought are no part of the answer
        return any(stop in text for stop in self.params.stop)

    def _is_full(self) -> bool:
        """Tell whether the thought or the answer has reached its limit."""
        limits, row, count = self.params, self.row, len(self.ids)
        if count >= limits.most_tokens:
            return True
        if row.form is not None:
            return limits.thinking_tokens > 0 and count >= limits.thinking_tokens
        answered = count - (row.thought_tokens if limits.thinking_tokens else 0)
        return answered >= limits.max_new_tokens and not row.undecided

    @property
    def text(self) -> str:
        """The thought as it was written, and the answer cut before its first stop string.

        Without special tokens, those that mark a thought excepted.
        """
        text, start = shown(self.tokenizer, self.ids, self.params.opened)
        answer = text[start:]
        for stop in self.params.stop:
            answer = answer.split(stop)[0]
        return text[:start] + answer
