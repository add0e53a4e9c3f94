"""Check that a candidate can be trained on a base, from the base's configuration alone."""

from typing import TYPE_CHECKING

from harness.errors import ModelError
from harness.models.hardware import check_quantization, device_of
from harness.models.load_model import load_config
from harness.study import BaseSection, CandidateSection
from harness.training.config.settings import method_of, settings_of
from harness.training.trl.peft_model import check_targets

if TYPE_CHECKING:
    import torch


def outline(model: str, base: BaseSection) -> "torch.nn.Module | None":
    """Return the base on the meta device (modules without weights), or None where that fails.

    Raises:
        ModelError: If the configuration cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config, trust = load_config(model, base), base.trust_remote_code
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=trust)
    except (ImportError, ValueError, TypeError, AttributeError, RuntimeError):
        return None  # checked when it is loaded


def check_fits(
    candidate: CandidateSection, *, model: "torch.nn.Module | None", base: BaseSection
) -> None:
    """Refuse a candidate that does not fit the base, before any weights are loaded.

    Args:
        candidate: A candidate that is to be trained.
        model: The base's `outline`, if there is one.
        base: How it will be loaded.

    Raises:
        ModelError: If a target module is not there, or quantization cannot run here.
    """
    method = method_of(candidate)
    wanted = base.quantization if base.quantization != "none" else method.quantization
    if wanted != "none":
        device = device_of(base.device)
        if method.config is None:
            raise ModelError("full fine-tuning needs unquantized weights; choose qlora instead")
        try:
            check_quantization(wanted, device)
        except ModelError as error:
            raise ModelError(f"candidate {candidate.name!r}: {error}") from error
    if model is not None:
        check_targets(settings_of(candidate), model)
