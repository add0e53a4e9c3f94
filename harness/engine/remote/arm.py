"""Remote arms: lm-eval's own model classes send our requests to an endpoint."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from harness.engine.remote.served_errors import (
    REFUSED,
    SaidByServer,
    explain,
    is_not_orphaned,
    reason_of,
    status_of,
    waits,
)
from harness.engine.remote.served_reply import ReplyReader, ServedText, other_words
from harness.engine.remote.served_thought import with_limits
from harness.errors import EndpointError, HarnessError, ModelError
from harness.models.fingerprint import endpoint_fingerprint
from harness.models.protocols import Tokenizer
from harness.records import AnswerBatch, Request, RequestKey, Response
from harness.study import ArmSection
from harness.suites.lm_eval_task import quiet
from harness.suites.tokenize import most_new_tokens

if TYPE_CHECKING:
    from lm_eval.api.model import LM

UNPROVEN = (
    "an endpoint's weights cannot be hashed; it is known by its answers to a few requests, so a "
    "small change behind the same name may go unnoticed; "
    "token ids were not compared, but all arms were sent the same texts (to a chat endpoint: the "
    "same messages, which the server lays out by its own chat template)"
)

Conversations = Mapping[RequestKey, str]
"""The messages of each request as JSON."""

_COMPLETIONS = "local-completions"
_OPENAI = ("local-", "openai-")
_SEED = 1234
_WINDOWS = "loglikelihood_rolling"
"""The kind of request whose texts are read in windows of ``max_length`` tokens."""
_TOLERANCE = 0.5
_PROBED = 300
_LAYOUT = 64
"""Tokens by which a server's chat template may be shorter than ours."""
_WHOLE = 0.9
"""The least share of our count of a prompt's tokens that a server reads which reads all of it."""
_RECOUNTED = 0.75
"""The least share of a text's tokens that is counted when it is tokenized again."""
_WINDOW = 2048
_NEVER_CUT = 2**31
"""A ``max_length`` for lm-eval, which else cuts prompts at `_WINDOW` tokens without a word."""


@dataclass(slots=True)
class RemoteArm:
    """One arm behind an lm-eval backend; nothing is contacted before the first request.

    ``conversations`` is empty where the endpoint takes text. ``tokenizer``, where there is one,
    only counts tokens. ``others`` are the names by which the study's other arms ask for a model.
    """

    name: str
    section: ArmSection
    model_args: Mapping[str, object]
    conversations: Conversations
    tokenizer: Tokenizer | None = None
    others: frozenset[str] = frozenset()
    model: "LM | None" = None
    _said: SaidByServer = field(default_factory=SaidByServer)

    @property
    def fingerprint(self) -> str:
        """The sha256 of what is known to change an answer; see `endpoint_fingerprint`."""
        return endpoint_fingerprint(self.section)

    def check(self, requests: Sequence[Request]) -> None:
        """Send one short request of each kind, so that errors show before anything is scored.

        Raises:
            ModelError: If model, settings or kind of request are refused.
            InfrastructureError: If the server cannot be reached.
        """
        for kind in sorted({request.kind for request in requests}):
            mine = (request for request in requests if request.kind == kind)
            probe = min(mine, key=lambda r: len(r.context) + len(r.continuation))
            if kind == "generate_until":
                probe = replace(probe, settings={**probe.settings, "max_new_tokens": 1})
            self._ask_or_explain([probe])
            if kind == "loglikelihood":
                self._check_sums(probe)
            if kind == "generate_until":
                self._check_words(probe)

    def answer(self, requests: Sequence[Request]) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds, yielding batches as they are done.

        What the server refuses (a prompt beyond its context) comes back unscored.

        Raises:
            ModelError: If it refuses the model, or its answers cannot be read.
            InfrastructureError: If it cannot be reached, or fails.
        """
        for kind in sorted({request.kind for request in requests}):
            mine, long = list[Request](), list[tuple[Request, Response]]()
            for request in (one for one in requests if one.kind == kind):
                if why := self._too_long(request):
                    long.append((request, Response(unscored=why)))
                else:
                    mine.append(request)
            if long:
                yield long
            for start in range(0, len(mine), self._batch_size):
                part = mine[start : start + self._batch_size]
                try:
                    batch = self._ask(part)
                except Exception as error:
                    if status_of(error) not in REFUSED:
                        raise self._explain(error) from error
                    batch = [self._ask_alone(request) for request in part]
                yield batch

    def _too_long(self, request: Request) -> str | None:
        """Return why lm-eval would cut a prompt short without a word, None where it would not."""
        limit = self.section.model_args.get("max_length")
        new = most_new_tokens(request.settings)
        tokens = len(request.context_ids) + len(request.continuation_ids) + new
        if limit is None or self.tokenizer is None or request.kind == _WINDOWS:
            return None
        if tokens < int(str(limit)):
            return None
        return f"{tokens:,} tokens with its answer are more than max_length {limit}"

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know: that it is no more than a name and an address."""
        return (UNPROVEN,)

    @property
    def batches(self) -> bool:
        """Whether a server gets several requests at once, in one body or beside each other."""
        return "base_url" in self.model_args and any(
            str(self.model_args.get(name, 1)) != "1" for name in ("batch_size", "num_concurrent")
        )

    @property
    def _batch_size(self) -> int:
        """Requests per batch: enough to keep the server busy, few enough to lose in a crash."""
        if "base_url" not in self.model_args:
            return 256  # a library in this process batches by itself
        size, concurrent = (
            int(str(value)) if str(value := self.model_args.get(name, 1)).isdigit() else 1
            for name in ("batch_size", "num_concurrent")
        )
        return max(1, size) * (4 * concurrent if concurrent > 1 else 1)

    def _ask_alone(self, request: Request) -> tuple[Request, Response]:
        try:
            return self._ask([request])[0]
        except Exception as error:
            if status_of(error) not in REFUSED:
                raise self._explain(error) from error
            why = reason_of(error, self._said.text)
            return request, Response(unscored=f"refused by the server: {why}")

    def _ask_or_explain(self, requests: Sequence[Request]) -> AnswerBatch:
        try:
            return self._ask(requests)
        except Exception as error:
            raise self._explain(error) from error

    def _ask(self, requests: Sequence[Request]) -> AnswerBatch:
        """Answer requests of one kind; a server that asks for time is given it."""
        for tries in count():
            try:
                return self._ask_once(requests)
            except Exception as error:
                if not waits(error, tries):
                    raise
        raise AssertionError

    def _ask_once(self, requests: Sequence[Request]) -> AnswerBatch:
        """Answer requests of one kind through lm-eval's model."""
        from lm_eval.api.instance import Instance

        model = self._lm_eval_model()
        if "base_url" in self.model_args:
            window = int(str(self.model_args.get("max_length") or _WINDOW)) - 1
            model.max_length = window if requests[0].kind == _WINDOWS else _NEVER_CUT
        with quiet(), self._said.listening():
            made = [
                Instance(
                    request_type=request.kind, doc={}, arguments=self._arguments(request), idx=n
                )
                for n, request in enumerate(requests)
            ]
            answers = getattr(model, requests[0].kind)(made)
        return [
            (request, self._response(request, answer))
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _lm_eval_model(self) -> "LM":
        if self.model is None:
            from lm_eval.api.registry import get_model
            from lm_eval.models.api_models import TemplateAPI

            assert self.section.backend is not None
            with quiet():
                try:
                    made = get_model(self.section.backend).create_from_arg_obj({**self.model_args})
                except Exception as error:
                    raise ModelError(
                        f"{self.name!r} needs lm-eval's {self.section.backend}, which cannot "
                        f"start: {reason_of(error)}"
                    ) from error
            if isinstance(made, TemplateAPI):
                ReplyReader.install(made, arm=self.name, others=self.others)
            self.model = made
            logging.getLogger("asyncio").addFilter(is_not_orphaned)
        return self.model

    def _arguments(self, request: Request) -> tuple[object, ...]:
        if request.kind == "loglikelihood":
            return request.context, request.continuation
        if request.kind == _WINDOWS:
            return (request.context,)
        settings = self._generation_kwargs(request.settings)
        if not self.conversations:
            return request.context, settings
        messages = json.loads(self.conversations[request.key])
        said = iter(request.turn.said if request.turn else ())
        for message in messages:
            if message["content"] is None:
                message["content"] = next(said)
        return self._lm_eval_model().apply_chat_template(messages), settings

    def _generation_kwargs(self, settings: Mapping[str, Any]) -> dict[str, object]:
        """Return a request's settings by lm-eval's names."""
        kwargs: dict[str, object] = {
            # a server looks for them in a thought as well: what may think is cut here
            "until": [] if settings.get("thinking_tokens") else list(settings["until"]),
            "max_gen_toks": most_new_tokens(settings),
            "do_sample": bool(settings.get("do_sample")),
            "temperature": float(settings.get("temperature", 0.0)),
        }
        if settings.get("echo"):
            kwargs["echo"] = True
        if kwargs["do_sample"]:
            kwargs |= {name: settings[name] for name in ("top_k", "top_p") if name in settings}
        if str(self.section.backend).startswith(_OPENAI):  # what is given here goes into the JSON
            if not kwargs["until"]:
                kwargs["stop"] = None  # transformers' server fails at the empty list lm-eval sends
            if kwargs["do_sample"]:  # each sample of an item needs its own seed
                kwargs["seed"] = int(settings.get("seed", _SEED)) + int(settings.get("repeat", 0))
            if self.conversations and settings.get("chat_template_kwargs"):
                kwargs["chat_template_kwargs"] = settings["chat_template_kwargs"]
        return kwargs

    def ask_alone(self, requests: Sequence[Request]) -> AnswerBatch:
        """Answer requests one after another, so that none shares a batch with another.

        Raises:
            ModelError: As `answer` does.
            InfrastructureError: As `answer` does.
        """
        return [self._ask_alone(request) for request in requests]

    def _response(self, request: Request, answer: tuple[float, bool] | float | str) -> Response:
        if isinstance(answer, tuple):
            return Response(logprob=float(answer[0]), is_greedy=bool(answer[1]))
        if request.kind == _WINDOWS:
            return Response(logprob=float(answer))
        served = answer if isinstance(answer, ServedText) else ServedText(answer)
        if request.settings.get("thinking_tokens") or served.thought is not None:
            why = self._why_unscored(request, served, self._count(str(served)) or 0)
            whole = with_limits(served, request, self._count)
            return Response(unscored=why) if why else whole
        text = str(answer)
        for stop in filter(None, request.settings["until"]):
            text = text.partition(stop)[0]  # some servers leave it in; lm-eval sends only four
        tokens = len(self.tokenizer.encode(text, add_special_tokens=False)) if self.tokenizer else 0
        if why := self._why_unscored(request, served, tokens):
            return Response(unscored=why)
        if self.tokenizer is None and served.finish is None:
            return Response(text=text)
        full = text == answer and (
            served.finish == "length"
            or (served.finish is None and tokens >= request.settings["max_new_tokens"])
        )
        return Response(text=text, finish="length" if full else "stop", tokens=tokens)

    def _count(self, text: str) -> int | None:
        if self.tokenizer is None:
            return None
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def _why_unscored(self, request: Request, served: ServedText, tokens: int) -> str | None:
        """Return why a text is not what the model would answer, None where it is.

        Args:
            request: What was asked.
            served: The text, with what the server says of it.
            tokens: Our count of the text's tokens, 0 where there is no tokenizer.

        Raises:
            EndpointError: If the server puts tokens of its own before those that it is sent.
        """
        if served.finish == "content_filter":
            return "stopped by the server's content filter"
        ours, theirs = served.sent or len(request.context_ids), served.prompt_tokens
        if theirs is not None and served.sent is not None and theirs > ours:
            raise EndpointError(
                f"a server must read the token ids that it is sent and no others: {self.name!r} "
                f"was sent {ours} and its server read {theirs}; look for a beginning-of-text token "
                "that it adds"
            )
        enough = ours if served.sent is not None else _WHOLE * ours - _LAYOUT
        counts = served.sent is not None or self.tokenizer is not None
        if theirs is not None and counts and theirs < enough:
            return f"the server read only {theirs:,} tokens of a prompt of {ours:,}"
        most, written = most_new_tokens(request.settings), served.completion_tokens
        if written is None and self.section.backend == _COMPLETIONS and tokens:
            written = most if tokens >= _RECOUNTED * most else tokens
        if served.finish == "length" and written is not None and written < most:
            return (
                f"the server stopped after {written:,} of {most:,} tokens: its own limit, or a "
                "context that is too small"
            )
        if written is not None and written > most + 1:  # some count the token that ends a text
            return f"the server wrote {written:,} tokens where at most {most:,} were asked for"
        return None

    def _check_words(self, like: Request) -> None:
        """Refuse a server for which the token ids that it is sent are other words.

        It is asked to repeat the prompt ('echo'); what cannot do so stays unchecked.
        """
        if not getattr(self._lm_eval_model(), "tokenized_requests", False):
            return
        probe = replace(like, settings={**like.settings, "until": [], "echo": True})
        try:
            text = self._ask([probe])[0][1].text or ""
        except Exception as error:
            if status_of(error) not in REFUSED:
                raise self._explain(error) from error
            return
        if other := other_words(like.context, text):
            raise EndpointError(
                f"a server must read the words that it is sent: {self.name!r} was sent "
                f"{other[0]!r} and its server read {other[1]!r}; it has another tokenizer than the "
                "study's base: serve the right model, or send text (tokenized_requests: false)"
            )

    def _check_sums(self, like: Request) -> None:
        """Refuse log-likelihoods of the wrong tokens: those of parts must add up to the whole's.

        lm-eval counts the context's tokens here and the server there; one more at the front (a
        beginning-of-text token) shifts every sum without an error.
        """
        text = (like.context + like.continuation)[:_PROBED].rstrip()
        first, *later = self._word_boundaries(text) or [0]

        def logprob_of(begin: int, end: int) -> float:
            # one at a time: in one batch lm-eval's hf takes equal texts for equal requests
            probe = replace(like, context=text[:begin], continuation=text[begin:end])
            return self._ask_or_explain([probe])[0][1].logprob or 0.0

        whole = logprob_of(first, len(text)) if later else 0.0
        for cut in later[-3:]:
            parts = (logprob_of(first, cut), logprob_of(cut, len(text)))
            if not abs(whole - sum(parts)) <= _TOLERANCE:
                raise EndpointError(
                    f"the log-likelihoods of {self.name!r} must add up: those of two parts give "
                    f"{sum(parts):.2f}, the whole {whole:.2f}; the server counts other tokens than "
                    "lm-eval: set tokenizer, tokenized_requests or add_bos_token in model_args"
                )

    def _word_boundaries(self, text: str) -> list[int]:
        """Return where a text can be cut before a word without changing its tokens."""
        encode = getattr(self.model, "tok_encode", None)
        if encode is None:
            return []
        whole = list(encode(text))
        spaces = [i for i in range(1, len(text)) if text[i] == " " and not text[i - 1].isspace()]
        heads = [(cut, list(encode(text[:cut]))) for cut in spaces]
        return [cut for cut, head in heads if whole[: len(head)] == head]

    def _explain(self, error: Exception) -> HarnessError:
        """Return an error of ours that says in one sentence what went wrong."""
        where = self.section.endpoint
        return explain(error, name=self.name, where=where, said=self._said.text)
