"""Load a base model and its tokenizer as scoring needs them."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from harness.engine import packed, plain
from harness.engine.packed import UnsupportedAttentionError
from harness.engine.sweep import Runner
from harness.errors import ModelError
from harness.files import weights_sha256
from harness.study import BaseSection

log = logging.getLogger("harness.engine")

_AGREE = 2e-3
"""Largest difference of a log-likelihood, per token, at which packing is taken to be right."""

_PROBE_TEXT = "The quick brown fox jumps over the lazy dog, 0 1 2 3 times; is that so?\n"


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


def probe_ids(tokenizer: Any, vocabulary: int) -> list[int]:
    """Return a short prompt that also shows special tokens, to tell two models apart."""
    ids = tokenizer.encode(_PROBE_TEXT) + list(tokenizer.all_special_ids)[:32]
    return [token for token in ids if token < vocabulary][:128]


def pack_or_say_why(model: Any, runner: Runner, probe: Sequence[int]) -> str | None:
    """Switch a model to packed attention; on any doubt switch back and return the reason.

    The proof is that a branching trie gives the plain forward pass's log-likelihoods.
    """
    if runner.like.device.type == "meta":
        return "the model is not on one device"
    before = model.config._attn_implementation
    probe = probe[: (sliding_window(model) or 128) // 2]
    expected = plain_scores(model, probe)
    reason = None
    try:
        model.set_attn_implementation(packed.NAME)
        if not packs_like(expected, runner, probe):
            reason = "packed log-likelihoods differ from those of the plain forward pass"
    except (UnsupportedAttentionError, TypeError, ValueError, AttributeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    except (RuntimeError, IndexError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
    if reason is not None:
        model.set_attn_implementation(before)
        log.warning("scoring in plain batches, which is slower: %s", reason)
    return reason


def plain_scores(model: Any, probe: Sequence[int]) -> dict[int, float]:
    """Return the log-likelihoods that plain forward passes give on a probe."""
    answered = _flat(plain.score(model, _probe_pairs(probe), budget=4096, pad=0))
    return {index: response.logprob for index, response in answered}


def packs_like(expected: dict[int, float], runner: Runner, probe: Sequence[int]) -> bool:
    """Tell whether packed scoring gives the same log-likelihoods on a probe, token for token."""
    from harness.engine.scoring import score

    pairs = _probe_pairs(probe)
    found = {index: response.logprob for index, response in _flat(score(runner, pairs))}
    worst = max(abs(found[i] - expected[i]) / len(pairs[i][1]) for i in expected)
    return bool(worst <= (_AGREE if runner.like.dtype == torch.float32 else 0.15))


def _probe_pairs(probe: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Make contexts that share stems, each with branching continuations."""
    ids = tuple(probe)
    if len(ids) < 8:
        ids = ids * (8 // max(1, len(ids)) + 1)
    half, turned = len(ids) // 2, ids[::-1]
    contexts = [ids[:half], ids, ids[:half] + turned[:half], turned]
    return [(c, tail) for c in contexts for tail in (turned[:3], ids[:2], turned[:1], ids[-4:])]


def _flat(batches: Any) -> Any:
    return (answer for batch in batches for answer in batch)
