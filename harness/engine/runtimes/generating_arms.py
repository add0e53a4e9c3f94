"""Arms whose texts another engine generates, and whose log-likelihoods are our own engine's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from harness.engine.decoding.sampling import SamplingParams
from harness.engine.decoding.stopping import GeneratedText
from harness.engine.open import LocalEngine
from harness.engine.runtimes.proofs import Proven, RoundingBounds, RuntimeProof, probes_of
from harness.engine.runtimes.token_engine import TokenEngine, TokenRequest
from harness.errors import ModelError
from harness.models.hardware import is_out_of_memory, release_memory
from harness.models.protocols import PretrainedTokenizer
from harness.records import (
    BASE,
    AnswerBatch,
    Answers,
    ArmAnswerBatch,
    Drafts,
    Request,
    Response,
    answers_of_one,
)
from harness.suites.tokenize import too_long

OpenOwn = Callable[[Mapping[str, Path]], LocalEngine]
"""Loads our own engine with these candidates attached."""

OpenOther = Callable[[Mapping[str, Path]], TokenEngine]
"""Starts the other engine with the adapters of these candidates."""


class PendingText(NamedTuple):
    """A text that is asked for, and as much of it as there is."""

    arm: str
    request: Request
    text: GeneratedText


@dataclass(slots=True, kw_only=True)
class GeneratingArms:
    """The base and LoRA adapters on it, answered by two engines on the same weights.

    Our own engine answers first: log-likelihoods, and what the other one is proven by. Then it
    gives its memory back, and the other one is started and proven before its first text counts.

    Attributes:
        fingerprints: By arm, from `harness.engine.arm_fingerprints`.
        marked: Turns a fingerprint of our own engine into one of both.
        tokenizer: The base's.
        ends: The tokens that end an answer.
        max_length: How many tokens fit the context.
        dtype: What the other engine computes in.
        planned: All that will be asked, from which its probes are chosen.
        open_own: See `OpenOwn`.
        open_other: See `OpenOther`.
    """

    fingerprints: Mapping[str, str]
    marked: Callable[[str], str]
    tokenizer: PretrainedTokenizer
    ends: frozenset[int]
    max_length: int
    dtype: str
    planned: Sequence[Request]
    open_own: OpenOwn
    open_other: OpenOther
    notes: list[str] = field(default_factory=list)
    identical: frozenset[str] = frozenset()
    _folders: dict[str, Path] = field(default_factory=dict)
    _own: LocalEngine | None = None
    _other: tuple[TokenEngine, Proven] | None = None

    def fingerprint(self, arm: str) -> str:
        """Return the sha256 of everything that can change an answer of this arm."""
        return self.marked(self._own.fingerprint(arm)) if self._own else self.fingerprints[arm]

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Attach an adapter to our own engine; the other one gets it when it is started.

        Raises:
            ModelError: If it does not fit the base, or changes nothing and may not.
        """
        own = self._load_own()
        weights = own.attach(name, path, allow_identical=allow_identical) if own else ""
        self._folders[name] = path
        if own:
            self.identical = own.identical
            self._keep_notes(own.notes)
        return weights

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds for one arm; see `answer_arms`."""
        return answers_of_one(self, arm, requests, drafts)

    def answer_arms(
        self,
        asked: Mapping[str, Sequence[Request]],
        *,
        drafts: Mapping[str, Drafts] | None = None,
    ) -> Iterator[ArmAnswerBatch]:
        """Answer what each arm is asked: log-likelihoods here first, then texts by the other."""
        long: ArmAnswerBatch = []
        texts: list[tuple[str, Request]] = []
        numbers: dict[str, list[Request]] = {}
        for arm, request in ((arm, one) for arm, requests in asked.items() for one in requests):
            if request.kind != "generate_until":
                numbers.setdefault(arm, []).append(request)
            elif reason := too_long(request, self.max_length):
                long.append((arm, request, Response(unscored=reason)))
            else:
                texts.append((arm, request))
        if long:
            yield long
        if numbers:
            yield from self._required_own().answer_arms(numbers, drafts=drafts)
        if texts:
            yield from self._generate(texts)

    def _generate(self, texts: Sequence[tuple[str, Request]]) -> Iterator[ArmAnswerBatch]:
        """Let the other engine generate: all arms in one batch, or one after another."""
        engine, proven = self._proven()
        groups: dict[str, list[PendingText]] = {}
        for arm, request in texts:
            wanted = PendingText(arm, request, self._begun(request))
            groups.setdefault(arm if proven.apart else "", []).append(wanted)
        for group in groups.values():
            # equal beginnings follow each other, so that what was read of them is found
            group.sort(key=lambda one: (one.arm, one.request.context_ids))
            yield from _finish(engine, group)

    def _begun(self, request: Request) -> GeneratedText:
        return GeneratedText(
            self.tokenizer, self.ends, SamplingParams.of(request.settings, request.context)
        )

    def _proven(self) -> tuple[TokenEngine, Proven]:
        """Start and prove the other engine, once."""
        if self._other is None:
            probes = probes_of(self.planned, self.max_length)
            arms = [BASE, *self._folders]
            ours = self._said_here(arms, probes)
            engine = self.open_other(self._folders)
            proof = RuntimeProof(engine, arms, probes, self._text_of, RoundingBounds.of(self.dtype))
            self._other = engine, proof.prove(ours, self.identical)
            self._keep_notes(self._other[1].notes)
        return self._other

    def _text_of(self, request: Request, ids: Sequence[int]) -> str:
        text = self._begun(request)
        for token in ids:
            text.push(token)
        return text.text

    def _said_here(
        self, arms: Sequence[str], probes: Sequence[Request]
    ) -> dict[str, Answers] | None:
        """Return what our own engine says to the probes, and make room where it had a GPU."""
        own = self._load_own()
        if own is None:
            return None
        said: dict[str, Answers] = {arm: {} for arm in arms}
        for batch in own.answer_arms(dict.fromkeys(arms, probes)):
            for arm, request, response in batch:
                said[arm][request.key] = response
        if own.identity.device != "cpu":
            self._own = own = None
            release_memory()
        return said

    def _load_own(self) -> LocalEngine | None:
        """Load our own engine with what is attached; None where the weights have no room."""
        if self._own is None:
            try:
                self._own = self.open_own(self._folders)
                self._keep_notes(self._own.notes)
            except Exception as error:
                if not is_out_of_memory(error.__cause__ or error):
                    raise
                release_memory()
        return self._own

    def _keep_notes(self, notes: Sequence[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    def _required_own(self) -> LocalEngine:
        own = self._load_own()
        if own is None:
            raise ModelError(
                "log-likelihoods are our own engine's, and the weights have no room beside what "
                "is loaded: leave the suites out that need them, or give vLLM less by "
                "gpu_memory_utilization in the base's model_args"
            )
        return own


def _finish(engine: TokenEngine, wanted: Sequence[PendingText]) -> Iterator[ArmAnswerBatch]:
    """Generate texts to their ends, by our own decoder.

    An engine that saw a stop string where our decoder sees none is asked to go on.
    """
    left = list(wanted)
    while left:
        asked = [_request_of(one) for one in left]
        unfinished: list[PendingText] = []
        for batch in engine.stream(asked):
            done: ArmAnswerBatch = []
            for index, reply in batch:
                one = left[index]
                for token in reply.ids:
                    if one.text.finish is None:
                        one.text.push(token)
                if one.text.finish is not None:
                    done.append((one.arm, one.request, _response(one.text)))
                elif reply.ids:
                    unfinished.append(one)
                else:
                    raise ModelError(
                        f"{engine.title} ended an answer of {one.arm!r} without an end: leave "
                        "'backend: vllm' out"
                    )
            if done:
                yield done
        left = unfinished


def _request_of(one: PendingText) -> TokenRequest:
    known = tuple(one.text.ids)
    params = one.text.params
    rest = replace(params, max_new_tokens=params.most_tokens - len(known), thinking_tokens=0)
    adapter = None if one.arm == BASE else one.arm
    return TokenRequest(adapter, (*one.request.context_ids, *known), rest)


def _response(text: GeneratedText) -> Response:
    return Response(text=text.text, finish=text.finish, tokens=len(text.ids))
