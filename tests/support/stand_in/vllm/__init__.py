"""A small engine behind vLLM's interface that computes for real, and misbehaves when told to.

What ``STAND_IN_FAULT`` names is done wrong, each as a release of vLLM did it or as one could:

- ``last_slot``: in a batch with adapters the base answers as the last one (vLLM 0.32 on a CPU).
- ``sticky``: once an adapter was used, the base answers as it.
- ``ignores_adapters``: every arm answers as the base.
- ``other_weights``: the weights are not quite those of the folder.
- ``dies``: the engine stops while it generates (vLLM 0.32 at ``echo`` with ``logprobs``),
  ``dies_late`` some steps later.
- ``loses``: requests end without an answer.

Its detokenizer keeps a leading blank, as vLLM's does, and it looks for stop strings in that text.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from vllm.lora.request import LoRARequest

_BATCH = 24


@dataclass
class EngineArgs:
    """The engine arguments that tests and the harness give."""

    model: str
    revision: str | None = None
    trust_remote_code: bool = False
    dtype: str = "auto"
    seed: int = 0
    generation_config: str = "auto"
    disable_log_stats: bool = False
    use_tqdm_on_load: bool = True
    distributed_executor_backend: str | None = None
    enable_lora: bool = False
    max_loras: int = 1
    max_cpu_loras: int | None = None
    max_lora_rank: int = 16
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.9
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1


@dataclass
class SamplingParams:
    """How one request is answered."""

    max_tokens: int
    stop: list[str] | None
    stop_token_ids: list[int]
    ignore_eos: bool
    detokenize: bool
    skip_special_tokens: bool
    spaces_between_special_tokens: bool
    logprobs: int
    temperature: float
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None


@dataclass
class CompletionOutput:
    """What was generated."""

    token_ids: list[int] = field(default_factory=list)
    cumulative_logprob: float = 0.0
    text: str = ""


@dataclass
class RequestOutput:
    """A finished request."""

    request_id: str
    outputs: list[CompletionOutput]
    finished: bool = True


class LLMEngine:
    """Answers waiting requests, a batch at every step."""

    def __init__(self, args: EngineArgs) -> None:
        self.fault = os.environ.get("STAND_IN_FAULT", "")
        self.model: Any = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(args.model)
        self.rank = args.max_lora_rank
        self.limit = args.max_model_len or self.model.config.max_position_embeddings
        self.loaded: set[str] = set()
        self.waiting: dict[str, tuple[list[int], SamplingParams, LoRARequest | None]] = {}
        self.used: LoRARequest | None = None
        self.steps = 0
        if self.fault == "other_weights":
            with torch.no_grad():
                for weights in self.model.parameters():
                    weights.add_(0.05 * weights.abs().mean() * torch.randn_like(weights))

    @classmethod
    def from_engine_args(cls, args: EngineArgs) -> "LLMEngine":
        """Load the base."""
        return cls(args)

    def add_request(
        self,
        request_id: str,
        prompt: dict[str, list[int]],
        params: SamplingParams,
        lora_request: LoRARequest | None = None,
    ) -> None:
        """Let a request wait."""
        assert request_id not in self.waiting, "the name of a request is in use"
        ids = prompt["prompt_token_ids"]
        if len(ids) > self.limit:
            raise ValueError(f"The prompt is longer than the maximum model length of {self.limit}")
        self.waiting[request_id] = (ids, params, lora_request)

    def has_unfinished_requests(self) -> bool:
        """Tell whether any request waits."""
        return bool(self.waiting)

    def abort_request(self, request_ids: list[str]) -> None:
        """Forget requests."""
        for one in request_ids:
            self.waiting.pop(one, None)

    def step(self) -> list[RequestOutput]:
        """Answer some requests of those that wait."""
        self.steps += 1
        if self.steps > {"dies": 2, "dies_late": 5}.get(self.fault, self.steps):
            raise RuntimeError("EngineCore encountered an issue. See stack trace (above)")
        names = list(self.waiting)[:_BATCH]
        batch = {name: self.waiting.pop(name) for name in names}
        last = next((lora for _, _, lora in reversed(batch.values()) if lora), None)
        outputs = []
        for name, (ids, params, lora) in batch.items():
            self.used = lora or self.used
            wrong = {"last_slot": lora or last, "sticky": self.used, "ignores_adapters": None}
            answers_as = lora if lora and self.fault == "sticky" else wrong.get(self.fault, lora)
            outputs.append(RequestOutput(name, [self._generate(ids, params, answers_as)]))
        return [] if self.fault == "loses" and self.steps > 1 else outputs

    def _generate(
        self, prompt: list[int], params: SamplingParams, lora: LoRARequest | None
    ) -> CompletionOutput:
        model = self._arm(lora)
        generator = torch.Generator().manual_seed(params.seed or 0)
        found = CompletionOutput()
        unread, cache = prompt, None
        while len(found.token_ids) < params.max_tokens:
            with torch.no_grad():
                step = model(input_ids=torch.tensor([unread]), past_key_values=cache)
            cache, logprobs = step.past_key_values, step.logits[0, -1].float().log_softmax(-1)
            if params.temperature:
                probs = (logprobs / params.temperature).softmax(-1)
                token = int(probs.multinomial(1, generator=generator))
            else:
                token = int(logprobs.argmax())
            unread = [token]
            found.token_ids.append(token)
            found.cumulative_logprob += float(logprobs[token])
            found.text = " " + self.tokenizer.decode(found.token_ids)
            seen = params.detokenize and any(stop in found.text for stop in params.stop or ())
            if token in params.stop_token_ids or seen:
                break
        return found

    def _arm(self, lora: LoRARequest | None) -> Any:
        if lora and lora.lora_name not in self.loaded:
            if self.loaded:
                self.model.load_adapter(lora.lora_path, lora.lora_name)
            else:
                self.model = PeftModel.from_pretrained(self.model, lora.lora_path, lora.lora_name)
            assert self.model.peft_config[lora.lora_name].r <= self.rank
            self.loaded.add(lora.lora_name)
        if self.loaded and lora is None:
            return self._without
        if lora:
            self.model.set_adapter(lora.lora_name)
        return self.model

    def _without(self, **given: Any) -> Any:
        with self.model.disable_adapter():
            return self.model(**given)
