"""vLLM in this process: one engine for the base and every adapter, a LoRA request each."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engine.decoding.sampling import SamplingParams
from harness.engine.open import LocalEngine, open_engine
from harness.engine.runtimes.generating_arms import GeneratingArms
from harness.engine.runtimes.token_engine import LoraFolder, TokenReply, TokenRequest
from harness.errors import ModelError, StudyError, nearest
from harness.models.fingerprint import vllm_fingerprint, vllm_release
from harness.models.load_model import (
    context_length,
    end_tokens,
    load_config,
    load_generation_config,
    load_tokenizer,
)
from harness.models.scoring_dtype import scoring_dtype
from harness.study import VERIFIED, BaseSection, Study
from harness.suites.load_suite import LoadedSuite

if TYPE_CHECKING:
    import vllm

MOST_LOADED = 8
"""Adapters that take part in one batch; vLLM exchanges others as they are asked."""

OURS = frozenset(
    {
        "dtype", "enable_lora", "generation_config", "max_loras", "max_lora_rank", "model",
        "pretrained", "revision", "seed", "tokenizer", "trust_remote_code",
    }
)  # fmt: skip
"""Engine arguments that the study says elsewhere, or that are set here for every study."""

LORA_METHODS = ("lora", "qlora", "rslora")
"""Methods whose adapters vLLM can load."""

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM has kernels for."""

_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # no process that outlives a killed run
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # CUDA may be in use here
}
"""What vLLM reads from the environment, where the user has not set it."""


class VllmEngine:
    """vLLM's own engine behind `TokenEngine`.

    Args:
        model: Hub name or folder.
        base: The study's section; its ``model_args`` are vLLM's engine arguments.
        dtype: What weights and sums are in.
        adapters: By candidate.
        ends: The tokens that end an answer.

    Raises:
        ModelError: If vLLM cannot load the base.
    """

    def __init__(
        self,
        model: str,
        base: BaseSection,
        dtype: str,
        adapters: Mapping[str, LoraFolder],
        ends: frozenset[int],
    ) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from vllm import EngineArgs, LLMEngine
        from vllm.lora.request import LoRARequest

        known = EngineArgs.__dataclass_fields__.keys()
        for name in base.model_args:
            if name not in known:
                raise ModelError(
                    f"vLLM has no engine argument {name!r}{nearest(name, known)}: mend the base's "
                    "model_args"
                )
        with _explained(f"vLLM cannot load {model}"):
            self._engine: vllm.LLMEngine = LLMEngine.from_engine_args(
                EngineArgs(**{**_arguments(model, base, dtype, adapters), **base.model_args})
            )
        self._ends = sorted(ends)
        self._loras: dict[str, LoRARequest] = {
            name: LoRARequest(name, number, str(one.path.absolute()))
            for number, (name, one) in enumerate(adapters.items(), start=1)
        }

    @property
    def title(self) -> str:
        """Name and version."""
        return f"vLLM {vllm_release()}"

    def stream(self, asked: Sequence[TokenRequest]) -> Iterator[list[tuple[int, TokenReply]]]:
        """Answer all requests by continuous batching; see `TokenEngine.stream`."""
        with _explained("vLLM stopped"):
            for number, one in enumerate(asked):
                self._engine.add_request(
                    str(number),
                    {"prompt_token_ids": list(one.ids)},
                    self._params(one.params, one.ids),
                    lora_request=self._loras[one.adapter] if one.adapter else None,
                )
            left = set(map(str, range(len(asked))))
            try:
                while left:
                    finished = [output for output in self._engine.step() if output.finished]
                    if not (finished or self._engine.has_unfinished_requests()):
                        raise ModelError(f"vLLM lost {len(left)} requests: run the study again")
                    left -= {output.request_id for output in finished}
                    if finished:
                        yield [(int(one.request_id), _reply(one.outputs[0])) for one in finished]
            finally:
                if left:
                    self._engine.abort_request([*left])

    def _params(self, ours: SamplingParams, ids: Sequence[int]) -> "vllm.SamplingParams":
        """Return a request's settings by vLLM's names; ends are ours alone."""
        from vllm import SamplingParams as VllmParams

        drawn = {
            "temperature": ours.temperature,
            "top_k": ours.top_k,
            "top_p": ours.top_p or 1.0,
            "seed": _seed(ours, ids),
        }
        return VllmParams(
            max_tokens=ours.max_new_tokens,
            stop=list(ours.stop) or None,
            stop_token_ids=self._ends,
            ignore_eos=True,
            detokenize=bool(ours.stop),
            skip_special_tokens=False,
            spaces_between_special_tokens=False,
            logprobs=0,
            **(drawn if ours.do_sample else {"temperature": 0.0}),
        )


def open_vllm(
    base: BaseSection,
    model: str,
    fingerprints: Mapping[str, str],
    *,
    suites: Sequence[LoadedSuite],
) -> GeneratingArms:
    """Return what answers a study whose base says ``backend: vllm``; nothing is loaded yet.

    Args:
        base: The study's section.
        model: Hub name or folder.
        fingerprints: By arm.
        suites: What will be answered.
    """
    tokenizer = load_tokenizer(model, base)
    ends = end_tokens(tokenizer, load_config(model, base), load_generation_config(model, base))
    context = context_length(model, base, tokenizer)
    scored = scoring_dtype(base).dtype
    dtype = "bfloat16" if scored == VERIFIED else scored

    def open_own(folders: Mapping[str, Path]) -> LocalEngine:
        engine = open_engine(base, model, suites=suites)
        for name, path in folders.items():
            engine.attach(name, path, allow_identical=True)  # it was proven when it was attached
        return engine

    def open_other(folders: Mapping[str, Path]) -> VllmEngine:
        adapters = {name: LoraFolder.read(name, path) for name, path in folders.items()}
        return VllmEngine(model, base, dtype, adapters, frozenset(ends))

    return GeneratingArms(
        fingerprints=fingerprints,
        marked=partial(vllm_fingerprint, base),
        tokenizer=tokenizer,
        ends=frozenset(ends),
        max_length=min(context, int(base.model_args.get("max_model_len") or context)),
        dtype=dtype,
        planned=[request for suite in suites for request in suite.requests],
        open_own=open_own,
        open_other=open_other,
    )


def check_vllm(study: Study) -> None:
    """Refuse what vLLM can never answer, before anything is trained or loaded.

    Raises:
        StudyError: Naming the candidate or the argument.
        ModelError: If a candidate's folder is no LoRA adapter.
    """
    for name in sorted(OURS & study.base.model_args.keys()):
        instead = {"pretrained": "model", "enable_lora": "candidates"}.get(name, name)
        raise StudyError(
            f"take {name!r} out of the base's model_args: it is set by the study (its "
            f"{instead!r}), for both engines alike"
        )
    for candidate in study.candidates:
        if candidate.train is not None and candidate.method not in LORA_METHODS:
            raise StudyError(
                f"vLLM answers for a base and plain LoRA adapters on it: candidate "
                f"{candidate.name!r} has method {candidate.method!r}; leave 'backend: vllm' out"
            )
        if candidate.adapter is not None:
            LoraFolder.read(candidate.name, study.path(candidate.adapter))


def _arguments(
    model: str, base: BaseSection, dtype: str, adapters: Mapping[str, LoraFolder]
) -> dict[str, object]:
    arguments: dict[str, object] = {
        "model": model,
        "revision": base.revision,
        "trust_remote_code": base.trust_remote_code,
        "dtype": dtype,
        "seed": 0,
        "generation_config": "vllm",
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    sizes = (base.model_args.get(f"{kind}_parallel_size", 1) for kind in ("tensor", "pipeline"))
    if all(str(size) == "1" for size in sizes):
        arguments["distributed_executor_backend"] = "uni"
    if adapters:
        highest = max(one.rank for one in adapters.values())
        arguments |= {
            "enable_lora": True,
            "max_loras": min(len(adapters), MOST_LOADED),
            "max_cpu_loras": len(adapters),
            "max_lora_rank": next((rank for rank in _RANKS if rank >= highest), highest),
        }
    return arguments


def _reply(output: "vllm.CompletionOutput") -> TokenReply:
    return TokenReply(tuple(output.token_ids), output.cumulative_logprob)


def _seed(params: SamplingParams, ids: Sequence[int]) -> int:
    """Return a seed that depends on the study's, the repeat and the prompt alone."""
    told = repr((params.seed, params.repeat, tuple(ids)))
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:4], "big")


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Say in one sentence what vLLM raises."""
    try:
        yield
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[0].strip() if lines else type(error).__name__
        raise ModelError(
            f"{what}: {reason}; mend the base's model_args, or leave 'backend: vllm' out"
        ) from error
