"""A server's replies, checked before lm-eval reads them.

lm-eval takes a prompt's log-likelihoods out of a reply by position, and any text for an answer. So
a server that ignores ``echo``, cuts a prompt short, puts a token before it or answers as another
model gives numbers, and wrong ones.
"""

import json
import math
import re
from collections.abc import Collection, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, cast

from harness.errors import EndpointError, redact

if TYPE_CHECKING:
    from lm_eval.models.api_models import TemplateAPI

_ABOVE_ZERO = 1e-3
"""How far a log-likelihood may be above 0 by rounding."""

_SHOWN, _TOLD = 40, 200
"""Characters of a text, and of a whole reply, that an error shows."""

_SPECIAL = re.compile(r"<[^<>\s]*>")
"""What looks like a special token."""


class ReplyLogprobs(TypedDict, total=False):
    """Log-likelihoods in an OpenAI-shaped reply; the prompt's first token has none."""

    tokens: list[str] | None
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None


class ReplyChoice(TypedDict, total=False):
    """One answer in a reply; a chat endpoint has its text in ``message``."""

    index: int
    text: str | None
    message: "ReplyMessage"
    finish_reason: str | None
    logprobs: ReplyLogprobs | None


class ReplyMessage(TypedDict, total=False):
    """A chat endpoint's message; some servers take the thought before the answer apart."""

    content: str | None
    reasoning_content: str | None
    reasoning: str | None


class ReplyUsage(TypedDict, total=False):
    """What a reply says of its tokens."""

    prompt_tokens: int
    completion_tokens: int


class ReplyBody(TypedDict, total=False):
    """One OpenAI-shaped reply: as much of it as is read here."""

    model: str
    choices: list[ReplyChoice]
    usage: ReplyUsage | None


class ServedText(str):
    """A generated text, with why it ended and what the server says of its tokens.

    ``sent`` is how many token ids it was sent, None where it was sent text; ``thought`` what it has
    taken apart of the text, None where it takes nothing apart.
    """

    finish: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    sent: int | None = None
    thought: str | None = None


_sent: ContextVar[Sequence[object]] = ContextVar("_sent", default=())
"""The prompts of the request whose reply is read: lm-eval reads several at once."""


@dataclass(frozen=True, slots=True)
class ReplyReader:
    """Reads the replies to one arm in lm-eval's place.

    Args:
        arm: What errors call it.
        model: The name of the model that is asked.
        others: The models that the study's other arms ask.
        lm_eval: Its model class, which reads what has been checked.
    """

    arm: str
    model: str
    others: Collection[str]
    lm_eval: "TemplateAPI"

    @classmethod
    def install(cls, lm_eval: "TemplateAPI", *, arm: str, others: Collection[str]) -> None:
        """Let every reply be checked before lm-eval reads it."""
        reader = cls(arm, str(lm_eval.model), frozenset(others) - {str(lm_eval.model)}, lm_eval)
        parse_logprobs, parse_generations = lm_eval.parse_logprobs, lm_eval.parse_generations
        ask, ask_async = lm_eval.model_call, lm_eval.amodel_call

        def model_call(messages: Sequence[object], **more: object) -> object:
            _sent.set(messages)
            return ask(messages, **more)

        async def amodel_call(*, messages: Sequence[object], **more: object) -> object:
            _sent.set(messages)  # a task has a context of its own
            return await ask_async(messages=messages, **more)

        def logprobs(
            outputs: ReplyBody | list[ReplyBody], tokens: Sequence[Sequence[int]], **more: object
        ) -> list[tuple[float, bool]]:
            reader.check_logprobs(outputs, tokens)
            return list(parse_logprobs(outputs=outputs, tokens=tokens, **more))

        def generations(outputs: ReplyBody | list[ReplyBody], **more: object) -> list[ServedText]:
            choices = reader.choices(outputs, len(_sent.get()))
            for choice in choices:
                reader.check_text(choice)
            return reader.texts(outputs, choices, parse_generations(outputs=outputs, **more))

        lm_eval.model_call, lm_eval.amodel_call = model_call, amodel_call
        lm_eval.parse_logprobs, lm_eval.parse_generations = logprobs, generations

    def check_model(self, body: ReplyBody) -> None:
        """Refuse a reply that says it is of the model of another arm.

        Raises:
            EndpointError: If it does. A dated name of the same model is fine.
        """
        said = body.get("model")
        if said in self.others:
            raise EndpointError(
                f"a server must answer as the model that is asked: {self.arm!r} asks for "
                f"{self.model!r}, and the reply is of {said!r}, which is another arm's; serve it "
                "under a name of its own"
            )

    def choices(self, outputs: object, prompts: int) -> list[ReplyChoice]:
        """Return the answers to so many prompts, in their order.

        Args:
            outputs: The reply to one request, as lm-eval hands it over: alone, or in a list.
            prompts: How many were sent.

        Raises:
            EndpointError: If it is of another arm's model, or does not answer each prompt once.
        """
        body = outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs
        found = body.get("choices") if isinstance(body, dict) else None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            found = []
        if not found:
            raise EndpointError(
                f"a server must answer with 'choices': {self.arm!r} gets none, but "
                f"{_short(outputs)}; look into the server's log"
            )
        self.check_model(cast("ReplyBody", body))
        places = [one.get("index", 0 if len(found) == 1 else None) for one in found]
        if sorted(places, key=str) != sorted(range(prompts), key=str):
            raise EndpointError(
                f"{self.arm!r} must answer each prompt once and say which: to {prompts} prompts "
                f"come {len(found)} choices with the indexes {_short(places)}; set batch_size: 1 "
                "in its model_args"
            )
        return sorted(found, key=lambda choice: choice.get("index", 0))

    def check_text(self, choice: ReplyChoice) -> None:
        """Refuse an answer without a place for a text, which lm-eval takes for an empty one.

        Raises:
            EndpointError: Showing what came back.
        """
        holds = choice.get("message") if "message" in choice else choice
        name = "content" if "message" in choice else "text"
        text = holds.get(name) if isinstance(holds, dict) else 0
        if choice.get("finish_reason") == "content_filter":
            return
        has_place = isinstance(holds, dict) and (name in holds or name == "content")
        if not has_place or not isinstance(text, str | None):
            raise EndpointError(
                f"a server must answer with a text: {self.arm!r} gets {_short(choice)}; look into "
                "the server's log"
            )

    def check_logprobs(self, outputs: object, tokens: Sequence[Sequence[int]]) -> None:
        """Refuse log-likelihoods that are not those of each token of each prompt and of one more.

        Args:
            outputs: The reply, with as many choices as it was sent prompts.
            tokens: The prompts' token ids as lm-eval counts them.

        Raises:
            EndpointError: Saying what came back.
        """
        choices = self.choices(outputs, len(tokens))
        returned = [len((one.get("logprobs") or {}).get("token_logprobs") or []) for one in choices]
        wanted = [len(ids) + 1 for ids in tokens]
        if returned != wanted and sorted(returned) == sorted(wanted):
            raise self._mixed_up()
        for choice, ids in zip(choices, tokens, strict=True):
            logprobs = choice.get("logprobs") or ReplyLogprobs()
            given = logprobs.get("token_logprobs")
            if not given:
                raise EndpointError(
                    f"{self.arm!r} must return the log-likelihoods of the prompt's tokens ('echo' "
                    "with 'logprobs'), and its server returns none; leave the suite out or serve "
                    "the model with one that does"
                )
            if len(given) != len(ids) + 1:
                raise EndpointError(
                    f"{self.arm!r} must return one log-likelihood for each of a prompt's "
                    f"{len(ids)} tokens and one for the token after them; its server returns "
                    f"{len(given)}: {_why(len(given), len(ids))}"
                )
            if not all(_is_logprob(value) for value in given[1:-1]):
                raise EndpointError(
                    f"the log-likelihoods of {self.arm!r} must be numbers of at most 0; its server "
                    "returns others: it does not give those of the prompt"
                )
            best = logprobs.get("top_logprobs") or []
            if len(best) != len(given) or not all(
                isinstance(one, dict) and one for one in best[1:]
            ):
                raise EndpointError(
                    f"{self.arm!r} must return the best token beside each of the prompt's "
                    "('top_logprobs'), and its server does not; leave the suite out or serve the "
                    "model with one that does"
                )
            self._check_words(choice, ids, tokens)

    def _mixed_up(self) -> EndpointError:
        return EndpointError(
            f"a server must say which prompt each answer is to: that of {self.arm!r} mixes up the "
            "prompts of one request; set batch_size: 1 in its model_args"
        )

    def _check_words(
        self, choice: ReplyChoice, ids: Sequence[int], among: Sequence[Sequence[int]]
    ) -> None:
        """Refuse a server for which the token ids that it was sent are other words.

        Raises:
            EndpointError: Showing both.
        """
        tokens = (choice.get("logprobs") or ReplyLogprobs()).get("tokens") or []
        read = "".join(map(str, tokens[: len(ids)])) or choice.get("text") or ""
        sent = self.lm_eval.decode_batch([list(one) for one in (ids, *among)])
        if other := other_words(sent[0], read):
            if any(other_words(one, read) is None for one in sent[1:]):
                raise self._mixed_up()
            raise EndpointError(
                f"a server must read the words that it is sent: {self.arm!r} was sent "
                f"{other[0]!r} and its server read {other[1]!r}; it has another tokenizer than the "
                "study's base: name its own as 'tokenizer' in model_args, or serve the right model"
            )

    def texts(
        self, outputs: object, choices: Sequence[ReplyChoice], texts: Sequence[str | None]
    ) -> list[ServedText]:
        """Return generated texts with what the reply says of them.

        A reply without text (a model that thought until its limit) is an empty one: lm-eval would
        put a placeholder there, which would be judged as an answer.
        """
        body = outputs[0] if isinstance(outputs, list) else outputs
        usage = (body.get("usage") if isinstance(body, dict) else None) or ReplyUsage()
        read: list[ServedText] = []
        for choice, found, prompt in zip(choices, texts, _sent.get(), strict=True):
            text = ServedText(found or "")
            text.finish = choice.get("finish_reason")
            text.thought = _thought(choice.get("message") or {})
            text.sent = len(prompt) if isinstance(prompt, list) else None
            if len(choices) == 1:
                text.prompt_tokens = usage.get("prompt_tokens")
                text.completion_tokens = usage.get("completion_tokens")
            read.append(text)
        return read


def _thought(message: ReplyMessage) -> str | None:
    """Return the thought beside an answer, empty where the server found none."""
    if not {"reasoning_content", "reasoning"} & message.keys():
        return None
    return message.get("reasoning_content") or message.get("reasoning") or ""


def other_words(sent: str, read: str) -> tuple[str, str] | None:
    """Return the beginnings of what was sent and what was read where these are other words.

    Only ASCII letters and digits count: servers show blanks, special tokens and parts of characters
    in ways of their own. None also where too little was read to tell, as by a server that shows
    none of the prompt.

    >>> other_words("Who wrote it?", "<s>Who▁wrote▁it?") is None
    True
    >>> other_words("Who wrote it?", "mandatory sun")
    ('Who wrote it?', 'mandatory sun')
    """
    ours, theirs = [_plain(part) for part in _SPECIAL.split(sent)], _plain(read)
    untold = "bytes:" in read or 2 * len(theirs) < sum(map(len, ours))  # OpenAI's parts of one
    if untold or all(part in theirs for part in ours):
        return None
    return sent[:_SHOWN], read[:_SHOWN]


def _plain(text: str) -> str:
    return "".join(one for one in text if one.isascii() and one.isalnum())


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return " ".join(redact(text).split())[:_TOLD]


def _is_logprob(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value <= _ABOVE_ZERO


def _why(given: int, tokens: int) -> str:
    if given == 1:
        return "it ignores 'echo'; serve the model with a server that does not"
    if given <= tokens:
        return "it cuts prompts short; raise its context, or leave long items out"
    return (
        "it counts other tokens than lm-eval; set tokenizer, tokenized_requests or add_bos_token "
        "in model_args"
    )
