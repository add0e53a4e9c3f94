"""An adapter merged into its base, whole or then in 4 or 8 bits, as it is served.

The weights that are scored and those that are exported come from here, so that they are the same.
Adapter and base are merged in float32 and rounded once, to the precision of the base's files; 4 and
8 bits are made of that, as bitsandbytes makes them of a merged folder. Scoring writes nothing.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ModelError
from harness.models.adapter_folder import AdapterFolder, read_adapter_folder
from harness.models.adapter_tensors import apply_tensors, new_adapter, read_tensors, reason_of
from harness.models.candidate import load_candidate_tokenizer
from harness.models.hardware import check_quantization, device_of
from harness.models.load_model import (
    hush,
    load_config,
    load_model,
    load_tokenizer,
    prevent_repacking,
    quantization_config,
)
from harness.study import BaseSection

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from harness.models.protocols import CausalLM

MERGED = "merged"
_ADAPTER = "to_be_merged"


def refuse_form(form: str, base: BaseSection, *, is_whole: bool, is_virtual: bool) -> None:
    """Refuse a form that a candidate's weights cannot have here; nothing is loaded.

    Args:
        form: ``merged``, ``4bit`` or ``8bit``.
        base: Whose device the form is scored on.
        is_whole: Whether the candidate is a whole model.
        is_virtual: Whether it is made of virtual tokens.

    Raises:
        ModelError: If there is nothing to merge, or bitsandbytes cannot run.
    """
    if is_virtual:
        raise ModelError(
            "only adapters of weights can be merged: this one is made of virtual tokens, which "
            "stand before every prompt; serve it as the adapter that it is"
        )
    if form == MERGED and is_whole:
        raise ModelError(
            f"only an adapter can be merged: this is a whole model already; leave {MERGED!r} out"
        )
    if form != MERGED:
        check_quantization(form, device_of(base.device))


def make_form(path: Path, form: str, *, model: str, base: BaseSection) -> "CausalLM":
    """Return a candidate's weights in a form, ready to be scored on the base's device.

    Args:
        path: A PEFT adapter of weights; in 4 or 8 bits also a whole model.
        form: ``merged``, ``4bit`` or ``8bit``.
        model: What transformers can load as the base: a folder or a hub name.
        base: How the study loads it; its own quantization is left out, since weights are merged
            whole.

    Raises:
        ModelError: If base or adapter cannot be loaded, not wholly, or not merged.
    """
    hush()
    folder = _folder(path, form, base)
    if folder.is_adapter:
        made = _as_loaded(merge(folder, model=model, base=base), form, base)
    else:
        own = base.model_copy(update={"revision": None, "trust_remote_code": False})
        made = load_model(str(folder.path), own, quantization=form)
    return made.eval().requires_grad_(requires_grad=False)


def _folder(path: Path, form: str, base: BaseSection) -> AdapterFolder:
    folder = read_adapter_folder(path)
    refuse_form(form, base, is_whole=not folder.is_adapter, is_virtual=folder.is_prompt_learning)
    return folder


def merge(folder: AdapterFolder, *, model: str, base: BaseSection) -> "CausalLM":
    """Return the base with an adapter merged into it, on the CPU, in its files' own precision.

    Raises:
        ModelError: If base or adapter cannot be loaded, not wholly, or not merged.
    """
    import torch

    stored = load_config(model, base).dtype or torch.float32
    whole = load_model(
        model,
        base.model_copy(update={"dtype": "float32", "quantization": "none", "device": "cpu"}),
    )
    try:
        with warnings.catch_warnings(action="ignore"):
            adapted = new_adapter(whole, None, _ADAPTER, folder)
            apply_tensors(adapted, _ADAPTER, folder, read_tensors(folder, whole))
            _part(adapted)
            merged: PreTrainedModel = adapted.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ModelError(
            f"{folder.path} cannot be merged into {model!r}: {reason_of(error)}"
        ) from error
    _untie(merged)
    merged.to(stored)
    merged.config.dtype = stored
    causal_lm: CausalLM = merged
    return causal_lm


def _part(adapted: "PeftModel") -> None:
    """Give a head that shares the embeddings' matrix one of its own, where either is adapted.

    Merged into the shared matrix, what was learnt for one would change the other, too.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = (adapted.get_output_embeddings(), adapted.get_input_embeddings())
    if not any(isinstance(layer, BaseTunerLayer) for layer in layers):
        return
    head, embeddings = (
        layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer for layer in layers
    )
    if head.weight is embeddings.weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)


def _untie(model: "PreTrainedModel") -> None:
    """Let a head that is no longer the embeddings be saved beside them: a file has them once."""
    config = model.config.get_text_config()
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if not getattr(config, "tie_word_embeddings", False) or head is None:
        return
    if head.weight.shape != embeddings.weight.shape or not bool(
        (head.weight == embeddings.weight).all()
    ):
        config.tie_word_embeddings = model.config.tie_word_embeddings = False


def _as_loaded(merged: "PreTrainedModel", form: str, base: BaseSection) -> "CausalLM":
    """Load merged weights from memory as from their files."""
    import torch

    device, bits = device_of(base.device), "none" if form == MERGED else form
    dtype: torch.dtype = getattr(torch, base.weights_dtype)
    extra: dict[str, object] = {}
    if bits != "none":
        extra["quantization_config"] = quantization_config(bits, dtype)
        extra["device_map"] = {"": device}
    generation = merged.generation_config
    try:
        made, told = type(merged).from_pretrained(
            None,
            config=merged.config,
            state_dict=merged.state_dict(),
            dtype=dtype,
            output_loading_info=True,
            **extra,
        )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise ModelError(
            f"a merged model must load in the form {form!r}: {reason_of(error)}"
        ) from error
    if lost := sorted({*told["missing_keys"], *told["unexpected_keys"]}):
        raise ModelError(
            f"a merged model must load whole in the form {form!r}: {lost[0]!r} does not, one of "
            f"{len(lost)}; export it merged, and quantize that folder with other tools"
        )
    made.generation_config = generation
    causal_lm: CausalLM = made if bits != "none" else made.to(device)
    prevent_repacking(causal_lm)
    return causal_lm


def write_form(path: Path, form: str, out: Path, *, model: str, base: BaseSection) -> None:
    """Write a form's weights, configuration and tokenizer into a folder, as `make_form` has them.

    A merged model is written in the precision that its base's files have; in 4 or 8 bits what is
    not quantized has the precision that it is scored in, and computes in it.

    Raises:
        ModelError: If it cannot be made; see `make_form`.
    """
    hush()
    folder = _folder(path, form, base)
    if form == MERGED:
        made: PreTrainedModel = merge(folder, model=model, base=base)
    else:
        made = make_form(path, form, model=model, base=base)
    made.save_pretrained(out)
    tokenizer = load_tokenizer(model, base, padding=True)
    if (folder.path / "tokenizer_config.json").is_file():
        tokenizer = load_candidate_tokenizer(folder.path, tokenizer, padding=True)
    tokenizer.save_pretrained(out)
