"""Load a base model and its tokenizer as scoring needs them."""

import logging
from pathlib import Path
from typing import Any

import torch

from harness.errors import ModelError
from harness.files import weights_sha256
from harness.study import BaseSection

log = logging.getLogger("harness.engine")


def load_model(
    model: str,
    *,
    revision: str | None,
    dtype: str,
    device: str,
    quantization: str,
    trust_remote_code: bool,
) -> Any:
    """Load a causal language model for scoring: evaluation mode, no gradients, neutral generation.

    Raises:
        ModelError: If it is not there or cannot be loaded; one sentence with the reason.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_log

    transformers_log.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # tells of optional kernels
    place = _device(device)
    extra: dict[str, Any] = {}
    if quantization != "none":
        from transformers import BitsAndBytesConfig

        extra = {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=quantization == "4bit",
                load_in_8bit=quantization == "8bit",
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,  # as adapters are trained here
                bnb_4bit_compute_dtype=getattr(torch, dtype),
            ),
            "device_map": {"": place},
        }
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            model,
            revision=revision or "main",
            dtype=getattr(torch, dtype),
            trust_remote_code=trust_remote_code,
            **extra,
        )
        if quantization == "none":
            loaded = loaded.to(place)
        else:
            _keep_unpacked(loaded)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelError(f"a base model must be loadable: {model}: {reason}") from error
    return loaded.eval().requires_grad_(requires_grad=False)


def _keep_unpacked(model: Any) -> None:
    """Stop bitsandbytes 0.50 from repacking 4-bit weights for a CPU at their first use.

    Whatever reads the state dict afterwards, such as PEFT loading an adapter, would corrupt them.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def load_tokenizer(model: str, *, revision: str | None, trust_remote_code: bool) -> Any:
    """Load the tokenizer that belongs to a model.

    Raises:
        ModelError: If there is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            model, revision=revision or "main", trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"a base model needs a tokenizer: {model}: {reason}") from error


def tokenizer_of(model: str, base: BaseSection) -> Any:
    """Load the tokenizer of a study's base, to make prompts before any weights are loaded."""
    return load_tokenizer(model, revision=base.revision, trust_remote_code=base.trust_remote_code)


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"base.device must be available here: no GPU found for {wanted!r}")
    return wanted


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer: the tokenizer's and those the checkpoint names.

    They are the base's and the same for every arm. Everything else that a checkpoint's generation
    settings say (penalties, lengths, sampling) is left aside.
    """
    named: set[int] = set()
    for source in (tokenizer, model.config, getattr(model, "generation_config", None)):
        ids = getattr(source, "eos_token_id", None)
        named.update([ids] if isinstance(ids, int) else ids or ())
    return frozenset(named)


def neutral_generation(model: Any, *, pad: int) -> None:
    """Forget what the checkpoint wants of generation, so that every arm generates alike."""
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(pad_token_id=pad)


def context_length(config: Any, tokenizer: Any) -> int:
    """Return how many tokens fit the context, by the same rule as lm-eval."""
    from lm_eval.models.utils import resolve_max_length

    return int(resolve_max_length(config, tokenizer, default=2048))


def context_of(model: str, base: BaseSection, tokenizer: Any) -> int:
    """Return how many tokens fit the context of a study's base, before any weights are loaded.

    Raises:
        ModelError: If the configuration cannot be loaded.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(
            model, revision=base.revision, trust_remote_code=base.trust_remote_code
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"no model could be loaded from {model!r}: {reason}") from error
    return context_length(config, tokenizer)


def sliding_window(model: Any) -> int | None:
    """Return the window that limits attention in some layer, None where all see everything."""
    config = getattr(model.config, "text_config", None) or model.config
    window = getattr(config, "sliding_window", None)
    return int(window) if window and getattr(config, "use_sliding_window", True) else None


def base_identity(model: str, loaded: Any) -> str:
    """Return what identifies the base's weights: their hash, or the hub commit they came from."""
    folder = Path(model)
    if folder.is_dir():
        return weights_sha256(folder)
    return str(getattr(loaded.config, "_commit_hash", None) or model)
