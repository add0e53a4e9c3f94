"""The base that is to be trained: tokenizer, weights, quantization, and the adapter's settings."""

from typing import TYPE_CHECKING, Any

from harness.errors import ModelError, nearest
from harness.models.hardware import device_of, precision_of
from harness.study import BaseSection
from harness.training.config.methods import Method, Settings

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig


def load_tokenizer(model: str, base: BaseSection) -> Any:
    """Load the base's tokenizer, with a padding token (its end-of-text token if it has none).

    Raises:
        ModelError: If it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            model, revision=base.revision, trust_remote_code=base.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"no tokenizer could be loaded from {model!r}: {_first(error)}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def context_length(model: str, base: BaseSection) -> int:
    """Return how many tokens the base can see at once, from its configuration alone.

    Raises:
        ModelError: If the configuration cannot be loaded.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(
            model, revision=base.revision, trust_remote_code=base.trust_remote_code
        ).get_text_config()
    except (OSError, ValueError) as error:
        raise ModelError(f"no model could be loaded from {model!r}: {_first(error)}") from error
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if getattr(config, name, None):
            return int(getattr(config, name))
    return 2048


def load_model(model: str, base: BaseSection, method: Method) -> Any:
    """Load the base's weights on its device, quantized where the study or the method says so.

    Raises:
        ModelError: If they cannot be loaded, or quantization cannot run here.
    """
    import torch
    from transformers import AutoModelForCausalLM

    device = device_of(base.device)
    wanted = base.quantization if base.quantization != "none" else method.quantization
    if wanted != "none" and method.config is None:
        raise ModelError("full fine-tuning needs unquantized weights; choose qlora instead")
    extra: dict[str, Any] = {}
    if wanted != "none":
        extra = {"quantization_config": _quantization(wanted, device), "device_map": {"": device}}
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            model,
            dtype=getattr(torch, base.weights_dtype),
            revision=base.revision,
            trust_remote_code=base.trust_remote_code,
            **extra,
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"no model could be loaded from {model!r}: {_first(error)}") from error
    if wanted == "none":
        return loaded.to(device)
    for module in loaded.modules():
        # On a CPU one look without gradients (a probe, a validation) would repack the weights for
        # a kernel that has no gradient, and training would go on silently wrong.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return loaded


def peft_config(
    method: Method, settings: Settings, model: "torch.nn.Module"
) -> "PeftConfig | None":
    """Return PEFT's configuration of a method (None for full fine-tuning).

    Raises:
        ModelError: If PEFT refuses the settings, or a target module is none of the base's.
    """
    if method.config is None:
        return None
    import peft

    check_targets(settings, model)
    if settings.get("use_dora") and not isinstance(settings.get("exclude_modules"), str):
        given = settings.get("exclude_modules")
        left_out = [*(given if isinstance(given, (list, tuple)) else ()), *_zero_outputs(model)]
        settings = {**settings, "exclude_modules": left_out or None}
    try:
        return getattr(peft, method.config)(task_type="CAUSAL_LM", **settings)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"PEFT refuses the settings of {method.name!r}: {_first(error)}"
        ) from error


def check_targets(settings: Settings, model: "torch.nn.Module") -> None:
    """Refuse target modules that the base lacks.

    Raises:
        ModelError: If there is one, with the nearest name or those that there are.
    """
    targets = settings.get("target_modules")
    if not isinstance(targets, list):
        return
    present = {name for name, _ in model.named_modules()}
    short = {name.rpartition(".")[2] for name in present}
    for target in targets:
        if target not in short and not any(name.endswith(f".{target}") for name in present):
            raise ModelError(
                f"the base has no module {target!r} (settings: target_modules)"
                f"{nearest(target, linear_names(model))}"
            )


def _zero_outputs(model: "torch.nn.Module") -> list[str]:
    """Return the linear layers with an all-zero output row: DoRA would divide by its norm."""
    return [
        name
        for name, module in model.named_modules()
        if type(module).__name__ == "Linear" and not module.weight.norm(dim=1).all()
    ]


def linear_names(model: "torch.nn.Module") -> set[str]:
    """Return the short names of a model's linear layers, which adapters can target."""
    return {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if "Linear" in type(module).__name__ or type(module).__name__ == "Conv1D"
    } - {"lm_head"}


def _quantization(bits: str, device: Any) -> Any:
    """Return QLoRA's own quantization (Dettmers 2023): NF4 with double quantization; or 8 bit."""
    import torch
    from transformers import BitsAndBytesConfig

    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    native = precision_of(device) == "bf16"
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if native else torch.float32,
    )


def _first(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
