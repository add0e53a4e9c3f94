"""The base that is to be trained, and the settings of the adapter on it."""

from typing import TYPE_CHECKING, Any

from harness.errors import ModelError, nearest
from harness.models.bounds import check_patterns
from harness.models.hardware import device_of, has_bf16
from harness.models.load_model import load_model
from harness.study import BaseSection
from harness.training.config.methods import Method, Settings

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig


def load_base(model: str, base: BaseSection, method: Method) -> Any:
    """Load the base's weights on its device, quantized where the study or the method says so.

    Raises:
        ModelError: If they cannot be loaded, or quantization cannot run here.
    """
    import torch

    wanted = base.quantization if base.quantization != "none" else method.quantization
    if wanted != "none" and method.config is None:
        raise ModelError("full fine-tuning needs unquantized weights; choose qlora instead")
    compute = torch.bfloat16 if has_bf16(device_of(base.device)) else torch.float32
    return load_model(model, base, quantization=wanted, compute_dtype=compute)


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
    """Refuse target modules that the base lacks, and patterns of them that take forever.

    Raises:
        ModelError: If there is one, with the nearest name or those that there are.
    """
    check_patterns(settings, [name for name, _ in model.named_modules()], where="the study")
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


def _first(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
