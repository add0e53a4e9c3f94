"""The engine: one base in memory, any number of adapters on it, answers in finished batches."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from harness.engine.adapters.switch import ActiveArm, AdapterSwitch, AttachedArm
from harness.engine.answering import Answering, Asked
from harness.engine.decoding.kept_turns import KeptTurns
from harness.engine.prefix.parity_check import probe_ids, use_packed_attention
from harness.engine.prefix.prefill import Runner
from harness.models.adapter_folder import read_adapter_folder
from harness.models.fingerprint import BaseIdentity, base_identity, form_fingerprint
from harness.models.hardware import free_bytes
from harness.models.load_model import (
    base_section,
    context_length,
    load_model_for_scoring,
    load_tokenizer,
    neutral_generation,
    padding_id,
    sliding_window,
)
from harness.models.merged_form import make_form
from harness.models.protocols import CausalLM, PretrainedTokenizer
from harness.records import (
    BASE,
    AnswerBatch,
    ArmAnswerBatch,
    Drafts,
    Request,
    Response,
    answers_of_one,
)
from harness.study import BaseSection
from harness.suites.tokenize import tokens_needed, too_long

log = logging.getLogger("harness.engine")

CPU_KV_CACHE_BYTES = 512 * 2**20
"""Most that the keys and values of decoded rows take on a CPU: more rows would hardly be faster."""


@dataclass(slots=True)
class Engine:
    """Answers requests for the base and for every attached adapter; made by `Engine.load`.

    ``kept`` is what dialogues have read between their turns, ``notes`` says what a person should
    know: a model that runs in padded batches, and why.
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
    kept: KeptTurns = field(default_factory=KeptTurns)

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
        return cls._around(load_model_for_scoring, base, model)

    @classmethod
    def of_form(cls, base: BaseSection, model: str, candidate: Path, form: str) -> "Engine":
        """Load a candidate's weights merged into a study's base, whole or in 4 or 8 bits.

        What answers is called `BASE`: it has the base's tokenizer, context and ends.

        Args:
            base: The study's section: revision, precision, device.
            model: Hub name or folder of the base.
            candidate: The candidate's folder.
            form: ``merged``, ``4bit`` or ``8bit``.

        Raises:
            ModelError: If it cannot be made; see `harness.models.merged_form.make_form`.
        """
        adapter = read_adapter_folder(candidate).identity
        return cls._around(
            lambda model, base: make_form(candidate, form, model=model, base=base),
            base,
            model,
            lambda identity: form_fingerprint(identity, adapter, form),
        )

    @classmethod
    def _around(
        cls,
        load: Callable[[str, BaseSection], CausalLM],
        base: BaseSection,
        model: str,
        fingerprint: Callable[[BaseIdentity], str] = lambda identity: identity.fingerprint,
    ) -> "Engine":
        tokenizer = load_tokenizer(model, base)
        identity = base_identity(model, base, tokenizer)
        loaded = load(model, base)
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
            arms={BASE: AttachedArm("base", None, fingerprint(identity))},
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
        """Answer requests of any kinds for one arm; see `answer_arms`."""
        return answers_of_one(self, arm, requests, drafts)

    def answer_arms(
        self,
        asked: Mapping[str, Sequence[Request]],
        *,
        drafts: Mapping[str, Drafts] | None = None,
    ) -> Iterator[ArmAnswerBatch]:
        """Answer requests of any kinds, yielding batches as they are done, in no set order.

        Arms that add low rank to the base share passes with it and with each other; every other one
        answers by itself.

        Args:
            asked: By arm, ``base`` or an attached candidate, what it is to answer; requests that do
                not fit the context come back unscored.
            drafts: By arm, guesses of generated texts; they save time and never change an answer.
        """
        unscored: ArmAnswerBatch = []
        together: list[Asked] = []
        alone: dict[str, list[Asked]] = {}
        sharing = [arm for arm in asked if self.switch.shares(arm)]
        for arm, requests in asked.items():
            for request in requests:
                reason = too_long(request, self.max_length)
                if reason is not None:
                    unscored.append((arm, request, Response(unscored=reason)))
                elif arm in sharing and self._fits_window(request):
                    together.append(Asked(arm, request, sharing.index(arm)))
                else:
                    alone.setdefault(arm, []).append(Asked(arm, request))
        if unscored:
            yield unscored
        if together:
            with self.switch.together(sharing):
                yield from self._answer(together, drafts, in_padding=False)
        for arm, left in alone.items():
            yield from self._answer_alone(arm, left, drafts)

    def _answer_alone(
        self, arm: str, asked: list[Asked], drafts: Mapping[str, Drafts] | None
    ) -> Iterator[ArmAnswerBatch]:
        """Answer for an arm that cannot share a pass, or what is longer than a sliding window."""
        with self.switch.active(arm) as active:
            self.runner.model, base_model = active.model, self.runner.model
            self.runner.virtual_prefix = active.virtual_prefix
            try:
                for part, in_padding in self._by_batching(asked, active):
                    yield from self._answer(part, drafts, in_padding=in_padding)
            finally:
                self.runner.model, self.runner.virtual_prefix = base_model, None

    def _answer(
        self, asked: list[Asked], drafts: Mapping[str, Drafts] | None, *, in_padding: bool
    ) -> Iterator[ArmAnswerBatch]:
        answering = Answering(
            runner=self.runner,
            tokenizer=self.tokenizer,
            ends=self.ends,
            max_length=self.max_length,
            pad=self.switch.pad,
            drafts=drafts or {},
            in_padding=in_padding,
            kept=self.kept,
        )
        for batch in answering.answer(asked):
            yield [(one.arm, one.request, response) for one, response in batch]
        self.ties += answering.ties

    def _by_batching(self, asked: list[Asked], active: ActiveArm) -> list[tuple[list[Asked], bool]]:
        """Split requests into packed and padded ones (True).

        What is longer than a sliding window is padded: packed attention does not reproduce it.
        """
        if active.needs_padding or active.virtual_prefix or self.window is None:
            return [(asked, active.needs_padding)]
        short = [one for one in asked if self._fits_window(one.request)]
        long = [one for one in asked if not self._fits_window(one.request)]
        if long:
            log.warning(
                "%d requests are longer than the sliding window of %d tokens and are answered in "
                "plain batches, which is slower", len(long), self.window,
            )  # fmt: skip
        return [(short, False), (long, True)]

    def _fits_window(self, request: Request) -> bool:
        return self.window is None or tokens_needed(request) <= self.window


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
