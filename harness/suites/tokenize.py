"""Text to token ids exactly as lm-eval's ``hf`` model does it, so that prompts are the same.

The rules are those of ``lm_eval.models.huggingface.HFLM.tok_encode`` and
``lm_eval.api.model.TemplateLM``: special tokens as the tokenizer likes them unless the text already
begins with the beginning-of-text token, and trailing spaces of a context go to the continuation.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from harness.errors import ModelError, StudyError
from harness.models.protocols import ChatMessages, ChatTemplate, Tokenizer
from harness.records import Request

DEFAULT_NEW_TOKENS = 256
"""lm-eval's default length of a generation."""

_LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


class Encoder:
    """Encodes prompts with one tokenizer and caches the contexts that choices share."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._bos_text = tokenizer.decode(self.prefix_id)
        self._cache: dict[str, list[int]] = {}

    @property
    def prefix_id(self) -> int:
        """The token that precedes an otherwise empty context.

        Raises:
            ModelError: If the tokenizer has neither a beginning-of-text nor an end-of-text token.
        """
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise ModelError("a tokenizer needs a beginning-of-text or end-of-text token: found none")

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text that begins a sequence."""
        if text not in self._cache:
            special = not (self._bos_text and text.startswith(self._bos_text))
            kwargs = {} if special else {"add_special_tokens": False}
            self._cache[text] = self.tokenizer.encode(text, **kwargs)
        return self._cache[text]

    def pair(self, context: str, continuation: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the ids of a context and of the continuation that is scored.

        >>> # Encoder(t).pair("Question: 1+1? Answer:", " 2")  -> ids of the two halves
        """
        if not context:
            ids = self.tokenizer.encode(continuation, add_special_tokens=False)
            if ids and ids[0] == self.prefix_id:
                return tuple(ids[:1]), tuple(ids[1:])
            return (self.prefix_id,), tuple(ids)
        stripped = context.rstrip()
        continuation = context[len(stripped) :] + continuation
        head = self.encode(stripped)
        special = not (self._bos_text and stripped.startswith(self._bos_text))
        kwargs = {} if special else {"add_special_tokens": False}
        whole = self.tokenizer.encode(stripped + continuation, **kwargs)
        return tuple(head), tuple(whole[len(head) :])


def render(
    tokenizer: ChatTemplate,
    history: ChatMessages,
    *,
    generate: bool,
    tools: Sequence[Mapping[str, object]] | None = None,
) -> str:
    """Return a conversation as text through the tokenizer's chat template.

    ``generate`` appends the opening of an assistant's turn; otherwise the last turn is continued.
    ``tools`` are JSON schemas, in the OpenAI shape.
    A template that refuses system turns gets the conversation without them, as in lm-eval.
    """
    from jinja2.exceptions import TemplateError

    def rendered(turns: ChatMessages) -> str:
        return tokenizer.apply_chat_template(
            list(turns),
            tools=None if tools is None else list(tools),
            tokenize=False,
            add_generation_prompt=generate,
            continue_final_message=not generate,
        )

    try:
        return rendered(history)
    except TemplateError:
        return rendered([turn for turn in history if turn["role"] != "system"])


def generation_settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Convert lm-eval's ``generation_kwargs`` to the settings of a `Request`, all explicit.

    Greedy unless ``do_sample`` is set together with a temperature above 0.

    Raises:
        StudyError: If a setting would be silently ignored.
    """
    remaining = dict(raw)
    until = remaining.pop("until", None) or []
    lengths = [remaining.pop(name, None) for name in _LENGTH_NAMES]
    settings: dict[str, Any] = {
        "until": [until] if isinstance(until, str) else list(until),
        "max_new_tokens": int(next((n for n in lengths if n is not None), DEFAULT_NEW_TOKENS)),
    }
    temperature = float(remaining.pop("temperature", None) or 0.0)
    sample = remaining.pop("do_sample", None)
    if sample and temperature == 0.0:
        temperature = 1.0
    if sample or (sample is None and temperature > 0):
        settings |= {"do_sample": True, "temperature": temperature}
        for name in ("top_k", "top_p", "seed"):
            if remaining.get(name) is not None:
                settings[name] = remaining[name]
    for name in ("top_k", "top_p", "seed", "use_cache"):
        remaining.pop(name, None)
    if remaining:
        names = ", ".join(sorted(remaining))
        raise StudyError(f"generation settings must be ones the engine obeys: found {names}")
    return settings


def distinct_tokens(sequences: Sequence[tuple[int, ...]]) -> int:
    """Count the tokens that remain when every shared prefix is prefilled once.

    >>> distinct_tokens([(1, 2, 3), (1, 2, 4), (5,)])
    5
    """
    found, before = 0, tuple[int, ...]()
    for ids in sorted(sequences):
        pairs = zip(ids, before, strict=False)
        found += len(ids) - sum(1 for _ in takewhile(lambda both: both[0] == both[1], pairs))
        before = ids
    return found


def most_new_tokens(settings: Mapping[str, object]) -> int:
    """Return how many tokens a generation takes at most: a thought's and the answer's.

    >>> most_new_tokens({"max_new_tokens": 64, "thinking_tokens": 1000})
    1064
    """
    return sum(int(str(settings.get(name) or 0)) for name in ("max_new_tokens", "thinking_tokens"))


def tokens_needed(request: Request) -> int:
    """Return how many positions a request takes in the context, its answer included.

    Of a turn of a dialogue, what the whole of it takes: all of its turns fit, or none.
    """
    if request.turn is not None:
        open_room = 0 if request.turn.is_open else int(request.settings["max_new_tokens"])
        return max(request.turn.room, len(request.context_ids) + open_room)
    if request.kind == "generate_until":
        return len(request.context_ids) + most_new_tokens(request.settings)
    # the last token is predicted, never an input
    return len(request.context_ids) + max(0, len(request.continuation_ids) - 1)


def too_long(request: Request, max_length: int | None) -> str | None:
    """Return why a request is not answered that does not fit the context, None where it does.

    Args:
        request: A rolling one is cut into windows and always fits.
        max_length: How many tokens fit; None where that is not known.
    """
    if request.kind == "loglikelihood_rolling" or max_length is None:
        return None
    tokens = tokens_needed(request)
    if tokens <= max_length:
        return None
    return f"too long: {tokens} tokens where {max_length} fit the context"


def cut_left(
    requests: Sequence[Request], max_tokens: int, tokenizer: Tokenizer
) -> tuple[list[Request], int]:
    """Cut the contexts of one item's requests at their start until the longest fits.

    All contexts lose the same number of tokens, so that choices stay comparable. Only a context
    that is empty as a text (an unconditional likelihood) stays whole. As in lm-eval's ``hf``, a
    beginning-of-text token is cut like any other.

    Args:
        requests: All requests of the item.
        max_tokens: How many tokens fit the context of every arm.
        tokenizer: Decodes what remains of a context.

    Returns:
        The requests, and how many tokens they lost: 0 where all fit, and where a context would
        have no token left, so that the item comes back unscored.
    """
    whole = [not r.context or r.kind == "loglikelihood_rolling" for r in requests]
    long = [request for request, stays in zip(requests, whole, strict=True) if not stays]
    cut = max((tokens_needed(request) - max_tokens for request in long), default=0)
    if cut <= 0 or any(len(request.context_ids) <= cut for request in long):
        return list(requests), 0
    shorter = [
        replace(r, context_ids=(ids := r.context_ids[cut:]), context=tokenizer.decode(ids))
        for r in long
    ]
    cut_ones = iter(shorter)
    return [r if stays else next(cut_ones) for r, stays in zip(requests, whole, strict=True)], cut


def ids_hash(parts: Sequence[Sequence[int]]) -> str:
    """Return the sha256 of several sequences of token ids, their borders included."""
    return hashlib.sha256(json.dumps([list(part) for part in parts]).encode()).hexdigest()
