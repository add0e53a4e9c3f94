"""The engine: one base in memory, any number of adapters on it, answers in finished batches."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from harness.engine import padded
from harness.engine.adapters.switch import ActiveArm, AdapterSwitch, AttachedArm
from harness.engine.decoding.sampling import SamplingParams
from harness.engine.prefix import loglikelihood
from harness.engine.prefix.generate import Generator, Prompt
from harness.engine.prefix.parity_check import probe_ids, use_packed_attention
from harness.engine.prefix.prefill import Runner
from harness.engine.rolling import rolling_windows, sum_windows
from harness.models.fingerprint import BaseIdentity, base_identity
from harness.models.hardware import free_bytes, is_out_of_memory, release_memory
from harness.models.load_model import (
    base_section,
    context_length,
    load_model_for_scoring,
    load_tokenizer,
    neutral_generation,
    padding_id,
    sliding_window,
)
from harness.models.protocols import CausalLM, PretrainedTokenizer
from harness.records import BASE, AnswerBatch, Drafts, Request, Response
from harness.study import BaseSection
from harness.suites.tokenize import Encoder, tokens_needed

log = logging.getLogger("harness.engine")

CPU_KV_CACHE_BYTES = 512 * 2**20
"""Most that the keys and values of decoded rows take on a CPU: more rows would hardly be faster."""

NO_MEMORY = "out of memory"
"""Why a request is unscored that finds no memory even alone."""


@dataclass(slots=True)
class Engine:
    """Answers requests for the base and for every attached adapter; made by `Engine.load`.

    ``notes`` says what a person should know: a model that runs in padded batches, and why.
    """

    tokenizer: PretrainedTokenizer
    runner: Runner
    switch: AdapterSwitch
    ends: frozenset[int]
    context: int
    identity: BaseIdentity
    window: int | None = None
    notes: list[str] = field(default_factory=list)
    ties: int = 0

    @classmethod
    def load(cls, model: str, **options: str | bool | None) -> "Engine":
        """Load a base model once, by plain arguments.

        Args:
            model: Hub name or folder.
            options: ``revision``, ``dtype`` (of weights and matrix products; the softmax is always
                float32), ``device``, ``quantization`` and ``trust_remote_code``, as in the
                ``base`` section of a study.

        Raises:
            ModelError: If model or tokenizer cannot be loaded.
        """
        return cls.from_base(base_section(model, **options), model)

    @classmethod
    def from_base(cls, base: BaseSection, model: str) -> "Engine":
        """Load a study's base once, in the precision that its weights are trained in.

        Args:
            base: The study's section: revision, precision, device, quantization.
            model: Hub name or folder.

        Raises:
            ModelError: If model or tokenizer cannot be loaded.
        """
        tokenizer = load_tokenizer(model, base)
        identity = base_identity(model, base, tokenizer)
        loaded = load_model_for_scoring(model, base)
        pad = padding_id(tokenizer)
        neutral_generation(loaded, pad=pad)
        runner = _runner(loaded, base.weights_dtype)
        probe = probe_ids(tokenizer, runner.vocab_size)
        reason = use_packed_attention(loaded, runner, probe)
        switch = AdapterSwitch(
            base=loaded,
            runner=runner,
            origin=base.model_copy(update={"model": model}),
            probe=torch.tensor([probe], device=loaded.device),
            packs=reason is None,
            pad=pad,
            arms={BASE: AttachedArm("base", None, identity.fingerprint)},
        )
        return cls(
            tokenizer=tokenizer,
            runner=runner,
            switch=switch,
            ends=frozenset(identity.ends),
            context=context_length(model, base, tokenizer),
            identity=identity,
            window=sliding_window(loaded),
            notes=[f"scored in plain batches: {reason}"] if reason else [],
        )

    @property
    def max_length(self) -> int:
        """How many tokens fit the context of every arm, virtual tokens of adapters counted in."""
        return self.context - self.switch.virtual_tokens

    @property
    def identical(self) -> frozenset[str]:
        """The candidates that are proven to give the base's own logits on any prompt."""
        return frozenset(self.switch.identical)

    def fingerprint(self, arm: str) -> str:
        """Return the sha256 of everything that can change an answer of this arm.

        Raises:
            ModelError: If no such arm is attached.
        """
        return self.switch[arm].fingerprint

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Attach an adapter, or a fully fine-tuned model, under a candidate's name.

        Args:
            name: What the arm is called from now on.
            path: A folder in PEFT's format, or of a whole model.
            allow_identical: Accept a candidate whose logits are the base's.

        Returns:
            The sha256 of its weights.

        Raises:
            ModelError: If it does not fit the base, changes nothing (unless allowed), or does not
                leave the base as it was.
        """
        weights = self.switch.attach(name, path, allow_identical=allow_identical)
        if name in self.switch.padded_arms - {BASE} and self.switch.packs:
            self.notes.append(f"{name} is scored in plain batches: its attention cannot be packed")
            log.warning("%s", self.notes[-1])
        return weights

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds, yielding batches as they are done, in no set order.

        Args:
            arm: ``base`` or the name of an attached candidate.
            requests: What to answer; those that do not fit the context come back unscored.
            drafts: Guesses of generated texts by `Request.key`; they save time and never change an
                answer.
        """
        fits: list[Request] = []
        unscored: AnswerBatch = []
        for request in requests:
            reason = self._too_long(request)
            if reason is None:
                fits.append(request)
            else:
                unscored.append((request, Response(unscored=reason)))
        if unscored:
            yield unscored
        with self.switch.active(arm) as active:
            self.runner.model, base_model = active.model, self.runner.model
            self.runner.virtual_prefix = active.virtual_prefix
            try:
                for part, in_padding in self._by_batching(fits, active):
                    yield from self._in_memory(part, in_padding, drafts or {})
            finally:
                self.runner.model, self.runner.virtual_prefix = base_model, None

    def _in_memory(
        self, requests: list[Request], in_padding: bool, drafts: Drafts
    ) -> Iterator[AnswerBatch]:
        """Answer requests; where memory runs out, go on with those that are left, half at a time.

        What found no memory among others is asked again alone: only if that fails, too, does it
        come back unscored.
        """
        left, lost = requests, list[Request]()
        while left:
            answered: set[int] = set()
            try:
                for batch in self._of_each_kind(left, in_padding, drafts):
                    answered.update(id(request) for request, _ in batch)
                    lost += [request for request, found in batch if found.unscored == NO_MEMORY]
                    if found := [pair for pair in batch if pair[1].unscored != NO_MEMORY]:
                        yield found
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            else:
                break
            release_memory()
            left = [request for request in left if id(request) not in answered]
            if not self.runner.halve(sum(map(tokens_needed, left)), len(left)):
                lost += left
                break
            log.warning("out of memory: going on with %d rows at a time", self.runner.max_rows)
        if lost:
            release_memory()
        for request in lost:
            yield self._alone(request, in_padding, drafts)

    def _alone(self, request: Request, in_padding: bool, drafts: Drafts) -> AnswerBatch:
        try:
            batches = self._of_each_kind([request], in_padding, drafts)
            return [pair for batch in batches for pair in batch]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return [(request, Response(unscored=NO_MEMORY))]

    def _of_each_kind(
        self, requests: list[Request], in_padding: bool, drafts: Drafts
    ) -> Iterator[AnswerBatch]:
        yield from self._loglikelihood(requests, in_padding)
        yield from self._loglikelihood_rolling(requests, in_padding)
        yield from self._generate_until(requests, in_padding, drafts)

    def _by_batching(
        self, requests: list[Request], active: ActiveArm
    ) -> list[tuple[list[Request], bool]]:
        """Split requests into packed and padded ones (True).

        What is longer than a sliding window is padded: packed attention does not reproduce it.
        """
        if active.needs_padding or active.virtual_prefix or self.window is None:
            return [(requests, active.needs_padding)]
        short = [request for request in requests if tokens_needed(request) <= self.window]
        long = [request for request in requests if tokens_needed(request) > self.window]
        if long:
            log.warning(
                "%d requests are longer than the sliding window of %d tokens and are answered in "
                "plain batches, which is slower", len(long), self.window,
            )  # fmt: skip
        return [(short, False), (long, True)]

    def _too_long(self, request: Request) -> str | None:
        if request.kind == "loglikelihood_rolling":
            return None
        tokens = tokens_needed(request)
        if tokens <= self.max_length:
            return None
        return f"too long: {tokens} tokens where {self.max_length} fit the context"

    def _score_pairs(
        self, pairs: Sequence[loglikelihood.TokenPair], in_padding: bool
    ) -> Iterator[list[tuple[int, Response]]]:
        """Yield ``(index of the pair, response)`` batch by batch."""
        if in_padding:
            model, budget = self.runner.model, self.runner.batch_tokens
            return padded.score(model, pairs, budget=budget, pad=self.switch.pad)
        return loglikelihood.score(self.runner, pairs)

    def _loglikelihood(
        self, requests: Sequence[Request], in_padding: bool
    ) -> Iterator[AnswerBatch]:
        mine = [request for request in requests if request.kind == "loglikelihood"]
        empty = [request for request in mine if not request.continuation_ids]
        if empty:
            yield [(request, Response(logprob=0.0, is_greedy=True)) for request in empty]
        mine = [request for request in mine if request.continuation_ids]
        pairs = [(request.context_ids, request.continuation_ids) for request in mine]
        for batch in self._score_pairs(pairs, in_padding):
            yield [(mine[index], response) for index, response in batch]

    def _loglikelihood_rolling(
        self, requests: Sequence[Request], in_padding: bool
    ) -> Iterator[AnswerBatch]:
        mine = [request for request in requests if request.kind == "loglikelihood_rolling"]
        if not mine:
            return
        prefix = Encoder(self.tokenizer).prefix_id
        windows = [
            rolling_windows(request.context_ids, prefix, self.max_length) for request in mine
        ]
        pairs = [pair for of_request in windows for pair in of_request]
        counts = [len(of_request) for of_request in windows]
        yield from sum_windows(mine, counts, self._score_pairs(pairs, in_padding))

    def _generate_until(
        self, requests: Sequence[Request], in_padding: bool, drafts: Drafts
    ) -> Iterator[AnswerBatch]:
        mine = [request for request in requests if request.kind == "generate_until"]
        prompts = [
            Prompt(
                context=request.context_ids,
                params=SamplingParams.of(request.settings),
                drafts=tuple(
                    self._draft_ids(request, text)
                    for text in drafts.get(request.key, ())
                    if not request.settings.get("do_sample")
                ),
            )
            for request in mine
        ]
        if in_padding:
            batches = padded.generate(
                self.runner.model, self.tokenizer, prompts,
                ends=self.ends, budget=self.runner.batch_tokens, pad=self.switch.pad,
            )  # fmt: skip
            yield from ([(mine[i], response) for i, response in batch] for batch in batches)
            return
        generator = Generator(self.runner, self.tokenizer, self.ends)
        for batch in generator.generate(prompts):
            yield [(mine[index], response) for index, response in batch]
        self.ties += generator.ties

    def _draft_ids(self, request: Request, text: str) -> tuple[int, ...]:
        """Tokenize a guessed answer as it would be generated after its context."""
        whole = tuple(Encoder(self.tokenizer).encode(request.context + text))
        known = len(request.context_ids)
        if whole[:known] == request.context_ids:
            ids = whole[known:]
        else:
            ids = tuple(self.tokenizer.encode(text, add_special_tokens=False))
        longest = min(int(request.settings["max_new_tokens"]), self.max_length - known)
        return ids[:longest]


def _runner(model: CausalLM, dtype: str) -> Runner:
    """Choose how much to do at once from what a token's keys and values take."""
    config = getattr(model.config, "text_config", None) or model.config
    all_heads = getattr(config, "num_attention_heads", None) or 1
    heads = getattr(config, "num_key_value_heads", None) or all_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // all_heads
    like = torch.empty(0, dtype=getattr(torch, dtype), device=model.device)
    token_bytes = 2 * config.num_hidden_layers * heads * size * like.element_size()
    free = free_bytes(model.device)
    if model.device.type == "cpu":
        kv_cache_bytes, batch_tokens = min(free // 8, CPU_KV_CACHE_BYTES), 1024
    else:
        kv_cache_bytes, batch_tokens = free // 4, 16384
    return Runner(
        model=model,
        like=like,
        vocab_size=int(model.get_output_embeddings().weight.shape[0]),
        batch_tokens=batch_tokens,
        kv_cache_tokens=kv_cache_bytes // token_bytes,
    )
