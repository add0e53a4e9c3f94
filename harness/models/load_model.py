"""Load a base model, its configuration and its tokenizer: once for scoring and for training."""

import logging
import re
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.errors import ModelError
from harness.models.bounds import bound_template
from harness.models.hardware import check_quantization, device_of, is_out_of_memory
from harness.models.template_options import bind_options, check_options
from harness.study import BaseSection

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, GenerationConfig, PretrainedConfig

    from harness.models.protocols import CausalLM, PretrainedTokenizer, Tokenizer

log = logging.getLogger("harness.models")

_LAYERS = 10_000
"""More than any model has: beyond it a configuration is wrong, or made to fill the memory."""

_TODAY = re.compile(r"""strftime_now\(\s*(?:format\s*=\s*)?(["'])([^"'\\]*)\1\s*\)""")


def base_section(model: str, **options: object) -> BaseSection:
    """Return the section that a study would have for a base that is given by plain arguments.

    Raises:
        ModelError: If an argument is none of the section's.
    """
    try:
        return BaseSection.model_validate({"model": model, **options})
    except ValidationError as error:
        first = error.errors()[0]
        name, problem = ".".join(map(str, first["loc"])), first["msg"]
        raise ModelError(
            problem.removeprefix("Value error, ") if not name else f"{name}: {problem}"
        ) from error


def load_model(
    model: str,
    base: BaseSection,
    *,
    quantization: str | None = None,
    compute_dtype: "torch.dtype | None" = None,
    model_class: type | None = None,
) -> "CausalLM":
    """Load the weights of a causal language model onto its device, as training needs them.

    Args:
        model: Hub name or folder.
        base: Revision, dtype, device and quantization.
        quantization: ``none``, ``4bit`` or ``8bit`` in place of the base's own.
        compute_dtype: What 4-bit weights are multiplied in; the dtype of the weights by default.
        model_class: In place of the one that the folder's configuration names.

    Raises:
        ModelError: If they are not there, not all there, or cannot be loaded; one sentence with
            the reason.
    """
    import torch
    from transformers import AutoModelForCausalLM

    refuse_adapter(model)
    device = device_of(base.device)
    dtype: torch.dtype = getattr(torch, base.weights_dtype)
    bits = quantization or base.quantization
    extra: dict[str, object] = {}
    check_quantization(bits, device)
    if bits != "none":
        extra["quantization_config"] = quantization_config(bits, compute_dtype or dtype)
        extra["device_map"] = {"": device}
    if model_class is None:
        extra["trust_remote_code"] = base.trust_remote_code
    loader: Any = model_class or AutoModelForCausalLM
    try:
        loaded, told = loader.from_pretrained(
            model,
            revision=base.revision or "main",
            dtype=dtype,
            output_loading_info=True,
            **extra,
        )
        if bits == "none":
            loaded = loaded.to(device)
        prevent_repacking(loaded)  # the folder's own weights may be in 4 bits
    except Exception as error:  # of transformers, torch, safetensors, pickle, and their files
        raise _not_loaded("model", model, error) from error
    if getattr(loaded, "_hf_peft_config_loaded", False):  # transformers applied it without a word
        raise _adapter_as_base(model)
    if missing := sorted(told["missing_keys"]):  # transformers would draw them at random
        raise ModelError(
            f"every weight of a model must be in its files: {model!r} lacks {len(missing)}, "
            f"{missing[0]!r} for one; save it again with save_pretrained"
        )
    causal_lm: CausalLM = loaded
    return causal_lm


def load_model_for_scoring(model: str, base: BaseSection) -> "CausalLM":
    """Load a model in evaluation mode, without gradients; see `load_model`."""
    hush()
    return load_model(model, base).eval().requires_grad_(requires_grad=False)


def hush() -> None:
    """Keep libraries from telling of every file that they load and every cast that they make."""
    from transformers.utils import logging as transformers_log

    transformers_log.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # notices of optional kernels


def quantization_config(bits: str, compute_dtype: "torch.dtype") -> "BitsAndBytesConfig":
    """Return QLoRA's own quantization (Dettmers 2023), NF4 with double quantization; or 8 bit."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=bits == "4bit",
        load_in_8bit=bits == "8bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
    )


def prevent_repacking(model: "CausalLM") -> None:
    """Stop bitsandbytes 0.50 from repacking 4-bit weights for a CPU at their first use.

    The repacked weights have no gradient, so a training would go on silently wrong after one
    forward pass without gradients; and whatever reads the state dict afterwards, such as PEFT
    loading an adapter, would corrupt them.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def load_tokenizer(
    model: str, base: BaseSection, *, padding: bool = False
) -> "PretrainedTokenizer":
    """Load the tokenizer that belongs to a model; no weights are needed.

    Args:
        model: Hub name or folder.
        base: Its revision, and the date that its chat template is given.
        padding: Make sure that there is a padding token: the end-of-text token if it has none.

    Raises:
        ModelError: If there is none, or it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PretrainedTokenizer = AutoTokenizer.from_pretrained(
            model, revision=base.revision or "main", trust_remote_code=base.trust_remote_code
        )
    except Exception as error:  # the tokenizers package raises Exception itself
        raise _not_loaded("tokenizer", model, error) from error
    if padding and tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    bound_template(tokenizer)
    fix_date(tokenizer, base.date)
    check_options(
        tokenizer, base.chat_template_kwargs, chat=base.template != "none", where=repr(model)
    )
    bind_options(tokenizer, base.chat_template_kwargs)
    return tokenizer


def writes_date(tokenizer: "Tokenizer") -> bool:
    """Return whether a chat template asks what day it is, as Llama 3's does."""
    return "strftime_now" in str(tokenizer.chat_template)


def fix_date(tokenizer: "PretrainedTokenizer", day: date | None) -> None:
    """Let the chat template write one day's date, on whatever day it is used; None is today's.

    The template itself stays as it is, also where the tokenizer is saved.
    """
    if day is not None and writes_date(tokenizer):
        asked = partial(_apply_on, day, tokenizer, tokenizer.apply_chat_template)
        vars(tokenizer)["apply_chat_template"] = asked


def _apply_on(
    day: date,
    tokenizer: "PretrainedTokenizer",
    apply: Callable[..., object],
    conversation: object,
    tools: object = None,
    *,
    chat_template: str | None = None,
    **options: object,
) -> object:
    template = template_on(day, tokenizer.get_chat_template(chat_template, tools))
    return apply(conversation, tools=tools, chat_template=template, **options)


def template_on(day: date, template: str) -> str:
    """Return a chat template with the text of one day wherever it asks for today's.

    transformers gives templates their clock by itself and takes no other one, so the question is
    replaced by its answer. A format that is no plain text is still answered with today's.

    >>> template_on(date(2026, 11, 28), "Today is {{ strftime_now('%d %b %Y') }}.")
    "Today is {{ '28 Nov 2026' }}."
    """
    return _TODAY.sub(lambda found: found[1] + day.strftime(found[2]) + found[1], template)


def load_config(model: str, base: BaseSection) -> "PretrainedConfig":
    """Load a model's configuration; no weights are needed.

    Raises:
        ModelError: If it cannot be loaded.
    """
    from transformers import AutoConfig

    refuse_adapter(model)
    try:
        config = AutoConfig.from_pretrained(
            model, revision=base.revision or "main", trust_remote_code=base.trust_remote_code
        )
    except Exception as error:  # validators of configurations raise their own
        raise _not_loaded("model", model, error) from error
    layers = getattr(config, "num_hidden_layers", 0)
    if isinstance(layers, int) and layers > _LAYERS:  # even without weights each takes memory
        raise ModelError(f"a model has at most {_LAYERS:,} layers: {model!r} says {layers:,}")
    return config


def quantized_by(config: "PretrainedConfig") -> str:
    """Return by what the weights of a folder are quantized that says so itself, else ``none``."""
    found = getattr(config, "quantization_config", None) or {}
    method = found.get("quant_method") if isinstance(found, dict) else found.quant_method
    return str(getattr(method, "value", method) or "none")


def context_length(model: str, base: BaseSection, tokenizer: object) -> int:
    """Return how many tokens fit a model's context, by lm-eval's rule, without its weights.

    Raises:
        ModelError: If the configuration cannot be loaded.
    """
    from lm_eval.models.utils import resolve_max_length

    return int(resolve_max_length(load_config(model, base), tokenizer, default=2048))


def load_generation_config(model: str, base: BaseSection) -> "GenerationConfig":
    """Load the generation settings that a model comes with, as its weights' loading does."""
    from transformers import GenerationConfig

    revision = base.revision or "main"
    try:
        return GenerationConfig.from_pretrained(model, revision=revision)
    except OSError:  # no generation_config.json: what config.json says of generation
        return GenerationConfig.from_pretrained(
            model, config_file_name="config.json", _from_model_config=True, revision=revision
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ModelError(
            f"generation settings must be readable: those of {model!r}: {first_line(error)}"
        ) from error


def end_tokens(*sources: object) -> frozenset[int]:
    """Return the tokens that end an answer: the tokenizer's and those the checkpoint names.

    They are the base's and the same for every arm. Everything else that a checkpoint's generation
    settings say (penalties, lengths, sampling) is ignored.

    Args:
        sources: Whatever may have an ``eos_token_id``: tokenizer, configuration, generation
            configuration.
    """
    named: set[int] = set()
    for source in sources:
        ids = getattr(source, "eos_token_id", None)
        named.update([ids] if isinstance(ids, int) else ids or ())
    return frozenset(named)


def padding_id(tokenizer: "Tokenizer") -> int:
    """Return the token that fills padded batches; it is masked, so any will do."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id):
        if token is not None:
            return int(token)
    return 0


def neutral_generation(model: "CausalLM", *, pad: int) -> None:
    """Replace the checkpoint's generation settings, so that every arm generates alike."""
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(pad_token_id=pad)


def sliding_window(model: "CausalLM") -> int | None:
    """Return the window that limits attention in some layer, None where all attention is full."""
    config = getattr(model.config, "text_config", None) or model.config
    window = getattr(config, "sliding_window", None)
    return int(window) if window and getattr(config, "use_sliding_window", True) else None


def refuse_adapter(model: str) -> None:
    """Refuse an adapter's folder as a base: transformers would load its base with it applied.

    Raises:
        ModelError: If there is an ``adapter_config.json``.
    """
    if (Path(model) / "adapter_config.json").is_file():
        raise _adapter_as_base(model)


def _adapter_as_base(model: str) -> ModelError:
    return ModelError(
        f"a base must be a whole model: {model!r} is an adapter, which would be applied to its own "
        "base without a word; name that base, and the folder as a candidate's 'adapter', or merge "
        "the two first"
    )


def _not_loaded(what: str, model: str, error: Exception) -> ModelError:
    if is_out_of_memory(error):
        return ModelError(
            f"a model must fit the memory: {model!r} does not; set 'dtype: bfloat16' or "
            "'quantization: 4bit' under 'base', or another 'device'"
        )
    if "trust_remote_code" in str(error):
        return ModelError(
            f"code of a model runs only where the study trusts it: the {what} of {model!r} needs "
            "code of its own; read it, then set 'trust_remote_code: true' under 'base' (for a "
            "finished run: --trust-remote-code)"
        )
    return ModelError(f"no {what} could be loaded from {model!r}: {first_line(error)}")


def first_line(error: Exception) -> str:
    """Return the first line of a library's message."""
    return (str(error).strip().splitlines() or [repr(error)])[0]
