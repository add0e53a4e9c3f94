"""Which engine serves a study on a machine: our own, vLLM, or endpoints; and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.study import VLLM, Study

if TYPE_CHECKING:
    from harness.pipeline.plan import PlannedRun

LONG = 50_000
"""New tokens of all arms from which vLLM's start (about a minute on a GPU) is worth its while; by
arithmetic from published figures, not measured by us."""

_NOT_OURS = ("awq", "gptq", "fp8", "compressed-tensors")
"""Quantizations on disk that vLLM has kernels for."""


@dataclass(frozen=True, slots=True)
class ServingFacts:
    """What decides about engines.

    Attributes:
        gpus: How many there are.
        gpu_bytes: What one of them holds.
        vllm: The release that is installed, or nothing.
        weight_bytes: Of the base's files here; 0 where they are not at hand.
        quantized: How the base is quantized on disk, or nothing.
        new_tokens: The most that all arms generate together.
    """

    gpus: int
    gpu_bytes: int
    vllm: str
    weight_bytes: int
    quantized: str
    new_tokens: int


def facts_for(planned: "PlannedRun") -> ServingFacts:
    """Look up what is known of a study and this machine; loads no weights."""
    import torch

    from harness.models.fingerprint import vllm_release
    from harness.models.load_model import load_config

    study = planned.study
    folder, quantized = Path(study.model_path), ""
    if not study.base.elsewhere:
        found = getattr(load_config(study.model_path, study.base), "quantization_config", None)
        quantized = str(found.get("quant_method", "")) if isinstance(found, dict) else ""
    new = sum(
        int(request.settings.get("max_new_tokens", 0))
        for suite in planned.loaded
        for request in suite.requests
    )
    gpus = torch.cuda.device_count()
    return ServingFacts(
        gpus=gpus,
        gpu_bytes=torch.cuda.get_device_properties(0).total_memory if gpus else 0,
        vllm=vllm_release(),
        weight_bytes=sum(one.stat().st_size for one in folder.glob("*.safetensors")),
        quantized=quantized,
        new_tokens=new * (1 + len(planned.candidates)),
    )


def serving_engine(study: Study, facts: ServingFacts) -> list[str]:
    """Say which engine answers for a study, and whether another would serve it better.

    Args:
        study: As it is written.
        facts: Of the study and the machine.
    """
    candidates = [one.endpoint for one in study.candidates if one.elsewhere]
    asked = [study.base.endpoint] * study.base.elsewhere + candidates
    told = [f"an endpoint: {one}" for one in dict.fromkeys(asked)]
    if study.base.elsewhere:
        return told
    if study.base.backend == VLLM:
        release = facts.vllm or "not installed: pip install 'finetune-harness[vllm]'"
        return [*told, f"texts by vLLM ({release}), log-likelihoods by our own engine"]
    told.append(f"our own: at most {facts.new_tokens:,} new tokens, choices share their prompts")
    reasons = list(_for_vllm(facts))
    if reasons:
        missing = "" if facts.vllm else "; not installed: pip install 'finetune-harness[vllm]'"
        told.append(f"vLLM may serve it better: {', '.join(reasons)}{missing}")
    else:
        told.append("vLLM would not: it is for long texts on a GPU, several GPUs, quantized files")
    return told


def _for_vllm(facts: ServingFacts) -> Iterator[str]:
    if facts.quantized in _NOT_OURS:
        yield f"the base is quantized by {facts.quantized}"
    if facts.gpus > 1 and facts.weight_bytes > 0.8 * facts.gpu_bytes:
        yield (
            f"{facts.weight_bytes / 1e9:.0f} GB of weights need several GPUs "
            f"(model_args: {{tensor_parallel_size: {facts.gpus}}})"
        )
    if facts.gpus and facts.new_tokens > LONG:
        yield f"up to {facts.new_tokens:,} new tokens on a GPU"
