"""Where one row of a generation thinks, and from which of its tokens on it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.thoughts import HARMONY, MARKS, ThoughtForm, opening_at, split_thought

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_EXTRA_TOKENS = 4
"""Tokens that are decoded beyond those that could hold the end of a thought."""


@lru_cache(maxsize=8)
def marks_of(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Return the special tokens of a tokenizer that mark thoughts, which decoding would drop."""
    vocab = tokenizer.get_vocab()
    return special_ids(tokenizer) & {vocab[mark] for mark in MARKS if mark in vocab}


@lru_cache(maxsize=8)
def special_ids(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Return every token that decoding without special tokens drops."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {
        token for token, about in added if getattr(about, "special", False)
    }


def shown(
    tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], opened: ThoughtForm | None
) -> tuple[str, int]:
    """Decode tokens without special ones; return the text, and where its answer begins.

    Special tokens that mark a thought stay where there is one: without them it has no border.
    """
    marks = marks_of(tokenizer)
    if marks.intersection(ids):
        dropped = special_ids(tokenizer) - marks
        kept = [token for token in ids if token not in dropped]
        text = str(tokenizer.decode(kept, skip_special_tokens=False))
        split = split_thought(text, opened=opened)
        if split.start or split.thought is not None or text.startswith(HARMONY):
            return text, split.start
    text = str(tokenizer.decode(ids, skip_special_tokens=True))
    return text, split_thought(text, opened=opened).start


@dataclass(slots=True)
class ThinkingRow:
    """Follows one row's tokens by the rule of `harness.thoughts.split_thought`.

    Attributes:
        form: The form of the thought that is open; at first that which the prompt has opened.
        thought_tokens: How many tokens the thought took, its end included.
        answer_from: The first token of the answer that is no blank, None before there is one.
        undecided: Whether what stands there may yet become the opening of a thought.
    """

    form: ThoughtForm | None = None
    thought_tokens: int = 0
    answer_from: int | None = None
    undecided: bool = False

    def push(self, ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> None:
        """Take in the last token of a row.

        Args:
            ids: All that the row has generated.
            decode: To text, special tokens shown.
        """
        if self.answer_from is not None:
            return
        if self.form is None:
            self._begin(ids, decode)
        if self.form is not None:
            self._end(ids, decode, self.form)

    def _begin(self, ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> None:
        text = decode(ids[self.thought_tokens :]).lstrip()
        if not text:
            return
        self.form, self.undecided = opening_at(text)
        if self.form is None and not self.undecided:
            first = self.thought_tokens
            while not decode(ids[first : first + 1]).strip():
                first += 1
                if first >= len(ids):  # a character in several tokens
                    first = self.thought_tokens
                    break
            self.answer_from = first

    def _end(
        self, ids: Sequence[int], decode: Callable[[Sequence[int]], str], form: ThoughtForm
    ) -> None:
        tail = max(self.thought_tokens, len(ids) - form.longest - _EXTRA_TOKENS)
        text = decode(ids[tail:])
        if end := form.end(text):
            self.form, self.thought_tokens = None, len(ids)
            if text[end[1] :].strip() and not form.answers:  # a token with the end and more
                self.answer_from = len(ids) - 1
