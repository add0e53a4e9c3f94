"""An arm that is a GGUF file: llama.cpp reads the study's own token ids, and its words are judged.

Choices are sums of log-likelihoods; texts are generated one token after another, with the stop
strings and limits of every other arm. A text ends where the file says that one ends, as it does
wherever llama.cpp serves it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.engine.decoding.sampling import SamplingParams, sample_token
from harness.engine.decoding.stopping import GeneratedText
from harness.engine.rolling import rolling_windows
from harness.engine.runtimes.gguf_file import GgufFile
from harness.errors import ComparisonError
from harness.models.fingerprint import gguf_fingerprint
from harness.models.protocols import PretrainedTokenizer
from harness.records import AnswerBatch, Request, Response
from harness.study import ArmSection
from harness.suites.tokenize import Encoder, tokens_needed, too_long

_AT_ONCE = 16
"""Answers that are stored together: so many are lost where a process ends."""

_SHOWN = 40


@dataclass(slots=True)
class GgufArm:
    """One arm whose weights are a GGUF file; nothing is loaded before the first request.

    Args:
        name: The arm.
        section: What the study says of it.
        path: The file.
        tokenizer: The base's, which made the token ids.
        longest: The most tokens that a request of the study needs.
    """

    name: str
    section: ArmSection
    path: Path
    tokenizer: PretrainedTokenizer
    longest: int
    _notes: list[str] = field(default_factory=list)
    _file: GgufFile | None = None
    _fingerprint: str = ""

    @property
    def fingerprint(self) -> str:
        """The sha256 of the file, and of the releases of llama.cpp and of this engine."""
        self._fingerprint = self._fingerprint or gguf_fingerprint(self.path)
        return self._fingerprint

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of how the file reads the study's prompts."""
        return self._notes

    @property
    def batches(self) -> bool:
        """Whether requests are answered at once: they are not."""
        return False

    def check(self, requests: Sequence[Request]) -> None:
        """Refuse a file in which the study's token ids stand for other words.

        Where only its own rules cut a prompt otherwise, that is noted: the study's ids are scored.

        Raises:
            MissingExtraError: If llama-cpp-python is not installed.
            ModelError: If llama.cpp cannot load the file.
            ComparisonError: If a token of a prompt is another one in the file, or is not there.
        """
        file = self._loaded
        prompts = {request.context_ids: request for request in requests if request.context_ids}
        cut = 0
        for ids, request in prompts.items():
            whole = (*ids, *request.continuation_ids)
            ours = self.tokenizer.decode(whole)
            theirs = file.text(whole) if max(whole) < file.vocabulary else ""
            if _plain(ours) != _plain(theirs):
                raise ComparisonError(
                    "a GGUF file must have the vocabulary that makes the study's prompts: in "
                    f"{self.path.name} of {self.name!r} the tokens of {_beginning(ours)!r} are "
                    f"{_beginning(theirs)!r}; name the model that it was converted from as "
                    "base.model, or convert it again"
                )
            cut += file.tokens(request.context)[-len(ids) :] != list(ids)
        if cut:
            self._notes.append(
                f"{self.name}: {self.path.name} cuts {cut} of {len(prompts)} prompts into other "
                "tokens than the base's tokenizer, whose tokens were scored; served by llama.cpp "
                "it will read its own"
            )

    def answer(self, requests: Sequence[Request]) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds, yielding batches as they are done.

        What does not fit the file's context comes back unscored.
        """
        ordered = sorted(requests, key=lambda one: (one.kind, one.context_ids))
        for start in range(0, len(ordered), _AT_ONCE):
            yield self.ask_alone(ordered[start : start + _AT_ONCE])

    def ask_alone(self, requests: Sequence[Request]) -> AnswerBatch:
        """Answer requests one after another."""
        return [(request, self._response(request)) for request in requests]

    @property
    def _loaded(self) -> GgufFile:
        if self._file is None:
            self._file = GgufFile(self.path, self.longest)
        return self._file

    def _response(self, request: Request) -> Response:
        if why := too_long(request, self._loaded.context):
            return Response(unscored=why)
        if request.kind == "generate_until":
            return self._generated(request)
        if request.kind == "loglikelihood":
            return self._scored(request.context_ids, request.continuation_ids)
        prefix = Encoder(self.tokenizer).prefix_id
        windows = rolling_windows(request.context_ids, prefix, self._loaded.context)
        parts = [self._scored(before, scored) for before, scored in windows]
        return Response(logprob=sum(part.logprob or 0.0 for part in parts))

    def _scored(self, context: tuple[int, ...], continuation: tuple[int, ...]) -> Response:
        """Return a continuation's log-likelihood, and whether each token is the best."""
        if not continuation:
            return Response(logprob=0.0, is_greedy=True)
        logits = self._loaded.logits((*context, *continuation)[:-1], len(continuation))
        exact = logits.astype(np.float64)  # (C, V)
        best = exact.max(axis=1)
        norm = best + np.log(np.exp(exact - best[:, None]).sum(axis=1))
        chosen = exact[np.arange(len(continuation)), list(continuation)]
        return Response(
            logprob=float((chosen - norm).sum()),
            is_greedy=bool((exact.argmax(axis=1) == np.array(continuation)).all()),
        )

    def _generated(self, request: Request) -> Response:
        import torch

        params = SamplingParams.of(request.settings, request.context)
        own = self.tokenizer.eos_token_id
        ends = self._loaded.ends | (frozenset() if own is None else {own})
        text = GeneratedText(self.tokenizer, ends, params)
        context = request.context_ids
        while text.finish is None:
            logits = self._loaded.logits((*context, *text.ids), 1)[0]  # (V,)
            if params.do_sample:
                token = sample_token(torch.from_numpy(logits), params, context, len(text.ids))
            else:
                token = int(logits.argmax())
            text.push(token)
        return Response(text=text.text, finish=text.finish, tokens=len(text.ids))


def longest_of(requests: Iterable[Request], context: int) -> int:
    """Return the most tokens that a request needs which fits the base's context.

    How long a dialogue grows is not known before it is held.
    """
    needed = [context if one.turn is not None else tokens_needed(one) + 1 for one in requests]
    return min(context, max(needed, default=1))


def _plain(text: str) -> str:
    """Return a text without what tokenizers show in ways of their own: blanks, half letters."""
    return "".join(text.split()).replace("\ufffd", "")


def _beginning(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]
