"""A server's replies, checked before lm-eval reads them.

lm-eval takes a prompt's log-likelihoods out of a reply by position, and any text for an answer. So
a server that ignores ``echo``, cuts a prompt short, puts a token before it or answers as another
model gives numbers, and wrong ones.
"""

import logging
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from harness.errors import ModelError

if TYPE_CHECKING:
    from lm_eval.models.api_models import TemplateAPI

_ABOVE_ZERO = 1e-3
"""How far a log-likelihood may be above 0 by rounding."""


class ReplyLogprobs(TypedDict, total=False):
    """Log-likelihoods in an OpenAI-shaped reply; the prompt's first token has none."""

    token_logprobs: list[float | None]


class ReplyChoice(TypedDict, total=False):
    """One answer in a reply."""

    index: int
    finish_reason: str | None
    logprobs: ReplyLogprobs | None


class ReplyUsage(TypedDict, total=False):
    """What a reply says of its tokens."""

    prompt_tokens: int


class ReplyBody(TypedDict, total=False):
    """One OpenAI-shaped reply: as much of it as is read here."""

    model: str
    choices: list[ReplyChoice]
    usage: ReplyUsage | None


class ServedText(str):
    """A generated text, with why it ended and how many tokens of the prompt the server read."""

    finish: str | None = None
    prompt_tokens: int | None = None


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

        def logprobs(
            outputs: ReplyBody | list[ReplyBody], tokens: Sequence[Sequence[int]], **more: object
        ) -> list[tuple[float, bool]]:
            reader.check_logprobs(_bodies(outputs), tokens)
            return list(parse_logprobs(outputs=outputs, tokens=tokens, **more))

        def generations(outputs: ReplyBody | list[ReplyBody], **more: object) -> list[ServedText]:
            bodies = _bodies(outputs)
            for body in bodies:
                reader.check_model(body)
            return reader.texts(bodies, parse_generations(outputs=outputs, **more))

        lm_eval.parse_logprobs = logprobs
        lm_eval.parse_generations = generations

    def check_model(self, body: ReplyBody) -> None:
        """Refuse a reply that says it is of the model of another arm.

        Raises:
            ModelError: If it does. A dated name of the same model is fine.
        """
        said = body.get("model")
        if said in self.others:
            raise ModelError(
                f"a server must answer as the model that is asked: {self.arm!r} asks for "
                f"{self.model!r}, and the reply is of {said!r}, which is another arm's; serve it "
                "under a name of its own"
            )

    def check_logprobs(self, bodies: Sequence[ReplyBody], tokens: Sequence[Sequence[int]]) -> None:
        """Refuse log-likelihoods that are not those of each token of each prompt and of one more.

        Args:
            bodies: Replies, each with as many choices as it was sent prompts.
            tokens: The prompts' token ids as lm-eval counts them.

        Raises:
            ModelError: Saying what came back.
        """
        choices = []
        for body in bodies:
            self.check_model(body)
            choices += _choices(body)
        if len(choices) != len(tokens):
            raise ModelError(
                f"{self.arm!r} must answer each prompt once: {len(choices)} answers to "
                f"{len(tokens)} prompts; set batch_size: 1 in its model_args"
            )
        for choice, ids in zip(choices, tokens, strict=True):
            given = (choice.get("logprobs") or ReplyLogprobs()).get("token_logprobs")
            if not given:
                raise ModelError(
                    f"{self.arm!r} must return the log-likelihoods of the prompt's tokens ('echo' "
                    "with 'logprobs'), and its server returns none; leave the suite out or serve "
                    "the model with one that does"
                )
            if len(given) != len(ids) + 1:
                raise ModelError(
                    f"{self.arm!r} must return one log-likelihood for each of a prompt's "
                    f"{len(ids)} tokens and one for the token after them; its server returns "
                    f"{len(given)}: {_why(len(given), len(ids))}"
                )
            if not all(_is_logprob(value) for value in given[1:-1]):
                raise ModelError(
                    f"the log-likelihoods of {self.arm!r} must be numbers of at most 0; its server "
                    "returns others: it does not give those of the prompt"
                )

    def texts(self, bodies: Sequence[ReplyBody], texts: Sequence[str | None]) -> list[ServedText]:
        """Return generated texts with what the replies say of them.

        A reply without text (a model that thought until its limit) is an empty one: lm-eval would
        put a placeholder there, which would be judged as an answer.
        """
        read: list[ServedText] = []
        for body in bodies:
            choices = _choices(body) or [ReplyChoice()]
            usage = body.get("usage") or ReplyUsage()
            for choice in choices:
                text = ServedText(texts[len(read)] or "")
                text.finish = choice.get("finish_reason")
                text.prompt_tokens = usage.get("prompt_tokens") if len(choices) == 1 else None
                read.append(text)
        return read


def _choices(body: ReplyBody) -> list[ReplyChoice]:
    return sorted(body.get("choices") or [], key=lambda choice: choice.get("index", 0))


def _bodies(outputs: ReplyBody | list[ReplyBody]) -> list[ReplyBody]:
    return outputs if isinstance(outputs, list) else [outputs]


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


class SaidByServer(logging.Filter):
    """Keeps the last error text that lm-eval logs and leaves out of what it raises."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what follows 'Response text:'; let nothing through below an error."""
        _, found, text = record.getMessage().partition("Response text: ")
        if found:
            self.text = text.removesuffix(". Retrying...")
        return record.levelno >= logging.ERROR

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to lm-eval's requests."""
        log = logging.getLogger("lm_eval.models.api_models")
        before = log.level
        log.setLevel(logging.WARNING)
        log.addFilter(self)
        self.text = ""
        try:
            yield
        finally:
            log.removeFilter(self)
            log.setLevel(before)
