"""The tensors of an adapter's file, held against what its configuration asks of a base.

PEFT ignores a tensor whose name it does not know, and leaves a module without weights as it was
initialised: both would be scored as the candidate. Here each is an error.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ModelError
from harness.models.adapter_folder import (
    INPUT_EMBEDDINGS,
    AdapterFolder,
    file_shapes,
    refuse_added_tokens,
)
from harness.models.bounds import check_patterns

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel

    from harness.models.protocols import CausalLM

Tensors = Mapping[str, "torch.Tensor"]

_NAMED = 3
"""How many tensors an error names."""
_OUTLINE = "candidate_outline"


def read_tensors(folder: AdapterFolder, base: "CausalLM") -> Tensors:
    """Load the tensors of an adapter's file into the CPU's memory, as PEFT reads them.

    Args:
        folder: An adapter.
        base: Whose checkpoint's older names are translated.

    Raises:
        ModelError: If they cannot be read, or one of them holds NaN or infinity.
    """
    from pickle import UnpicklingError

    import torch
    from peft import load_peft_weights
    from safetensors import SafetensorError

    older_names = getattr(base, "_checkpoint_conversion_mapping", None) or None
    unreadable = (OSError, ValueError, RuntimeError, EOFError, KeyError, AttributeError)
    try:
        tensors: Tensors = load_peft_weights(
            str(folder.path),
            device="cpu",
            key_mapping=None if folder.is_prompt_learning else older_names,
        )
    except (*unreadable, SafetensorError, UnpicklingError) as error:
        raise ModelError(
            f"an adapter's weights must be readable: {folder.path}: {reason_of(error)}"
        ) from error
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise ModelError(f"an adapter's weights must be named tensors alone: {folder.path}")
    check_finite(folder.path, tensors.items())
    return tensors


def check_finite(path: Path, tensors: "Collection[tuple[str, torch.Tensor]]") -> None:
    """Refuse weights that are no numbers: every score of theirs would be none either.

    Raises:
        ModelError: If a tensor holds NaN or infinity.
    """
    broken = [
        name for name, tensor in tensors if tensor.is_floating_point() and not _is_finite(tensor)
    ]
    if broken:
        raise ModelError(
            f"a candidate's weights must be finite: {path} has NaN or infinity in "
            f"{_some(broken)}, {len(broken)} of {len(tensors)} tensors; its training diverged, "
            "take an earlier checkpoint"
        )


def _is_finite(tensor: "torch.Tensor") -> bool:
    wide = tensor if tensor.element_size() > 1 else tensor.float()  # 8-bit floats cannot be asked
    return bool(wide.isfinite().all())


def check_outline(folder: AdapterFolder, base: "CausalLM") -> None:
    """Hold names and shapes in an adapter's file against a base without weights.

    Nothing is said where that cannot be told without weights: it is checked again when loaded.

    Args:
        folder: An adapter.
        base: On the meta device; left as it is.

    Raises:
        ModelError: If a tensor would not be used, or a module would get none.
    """
    from copy import deepcopy

    import torch
    from peft import PeftModel

    shapes = dict(file_shapes(folder.path))
    if folder.is_prompt_learning:
        check_virtual_tokens(folder, shapes)
        _check_width(folder, shapes["prompt_embeddings"], base)
        return
    check_patterns(folder.config, _names(base), where=str(folder.path))
    try:
        config = _config(folder)
        if hasattr(config, "init_lora_weights"):
            config.init_lora_weights = True  # others compute with the base's weights
        adapted = PeftModel(deepcopy(base), config, adapter_name=_OUTLINE, low_cpu_mem_usage=True)
        tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        apply_tensors(adapted, _OUTLINE, folder, tensors)
    except ModelError:
        raise
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, OSError):
        return


def apply_tensors(model: "PeftModel", name: str, folder: AdapterFolder, tensors: Tensors) -> None:
    """Put the tensors of a file into an adapter that a model has under a name, all of them.

    Args:
        model: The base with the adapter's modules in place.
        name: What PEFT calls the adapter.
        folder: Where the tensors come from.
        tensors: By their names in the file; those of a raw state dict carry an adapter's name.

    Raises:
        ModelError: If a tensor was not used, a module got none, or shapes differ.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    state = model.state_dict()
    wanted = get_peft_model_state_dict(
        model, state_dict=state, adapter_name=name, save_embedding_layers=False
    )
    by_tensor = {id(tensor): place for place, tensor in state.items()}
    places = {saved: by_tensor.get(id(tensor)) for saved, tensor in wanted.items()}
    tensors = _without_adapter_name(tensors, places, name)
    refuse_added_tokens(folder.path, {n: tuple(t.shape) for n, t in tensors.items()}, model)
    _refuse_other_shapes(folder.path, tensors, {**state, **wanted})
    try:
        result = set_peft_model_state_dict(model, dict(tensors), adapter_name=name)
    except KeyError as error:  # PEFT asks for modules that are kept whole by their names
        missing = [saved for saved in wanted if saved not in tensors] or [str(error)]
        raise _incomplete(folder.path, missing, len(wanted)) from error
    if result.unexpected_keys:
        unused = [key.replace(f".{name}", "") for key in result.unexpected_keys]  # as in the file
        raise _unused(folder.path, unused, len(tensors))
    absent = set(result.missing_keys)
    missing = [s for s, place in places.items() if (place in absent if place else s not in tensors)]
    if missing:
        raise _incomplete(folder.path, missing, len(wanted))


def check_virtual_tokens(folder: AdapterFolder, names: Collection[str]) -> None:
    """Refuse a prompt-learning adapter whose file holds anything but its virtual tokens.

    Raises:
        ModelError: If they are missing, or another tensor is there.
    """
    known = {"prompt_embeddings", "prefix_task_cols", "prefix_task_rows"}  # multitask's last two
    if unused := [name for name in names if name not in known]:
        raise _unused(folder.path, unused, len(names))
    if "prompt_embeddings" not in names:
        raise _incomplete(folder.path, ["prompt_embeddings"], 1)


def _check_width(folder: AdapterFolder, shape: tuple[int, ...], base: "CausalLM") -> None:
    """Refuse virtual tokens of another number or width; a prefix's width is PEFT's to check."""
    width = getattr(base.config, "hidden_size", None)
    learnt_inputs = folder.kind in {"PROMPT_TUNING", "P_TUNING"}
    needed = (folder.virtual_tokens, width if learnt_inputs and width else shape[-1])
    if shape != needed:
        raise ModelError(
            f"an adapter must be made for this base: {folder.path} has virtual tokens of "
            f"{' x '.join(map(str, shape))} where its configuration and the base need "
            f"{' x '.join(map(str, needed))}"
        )


def base_weights(folder: AdapterFolder, names: Collection[str], base: Collection[str]) -> list[str]:
    """Return the names of an adapter's tensors that are weights of the base itself.

    PEFT writes embeddings whole where they are trained or were resized, and biases with ``bias``.

    Args:
        folder: An adapter.
        names: Those of its file.
        base: Those of the base's state dict, before any adapter.
    """
    found = []
    for name in names:
        plain = name.removeprefix("base_model.model.")
        module = f".{plain.rpartition('.')[0]}"
        own = plain in base and not any(module.endswith(f".{kept}") for kept in folder.kept_modules)
        if own or ".base_layer." in plain or ".original_module." in plain:
            found.append(name)
    return found


def changed_tokens(folder: AdapterFolder, tensors: Tensors, base: Tensors) -> list[int]:
    """Return the tokens whose embeddings a file brings and that are not the base's.

    Args:
        folder: An adapter.
        tensors: Of its file.
        base: The base's state dict, before any adapter.
    """
    found: list[int] = []
    for name, tensor in tensors.items():
        plain = name.removeprefix("base_model.model.")
        module, single, _ = plain.partition(".trainable_tokens_delta")
        module = module.partition(".modules_to_save.")[0].removesuffix(".token_adapter")
        module = module.removesuffix(".weight")
        if not single and module.rpartition(".")[2] not in INPUT_EMBEDDINGS:
            continue
        own = base.get(f"{module}.weight")
        if own is None or own.dim() != 2 or own.shape[1:] != tensor.shape[1:]:
            continue
        tokens = folder.tokens if single else range(own.shape[0])
        if len(tokens) == tensor.shape[0] and max(tokens, default=0) < own.shape[0]:
            differs = (tensor.to(own) != own[list(tokens)]).any(dim=1).tolist()
            found += [token for token, differ in zip(tokens, differs, strict=True) if differ]
    return found


def _names(base: "CausalLM") -> list[str]:
    return [name for name, _ in base.named_modules()]


def _config(folder: AdapterFolder) -> "PeftConfig":
    from peft import PeftConfig

    config = PeftConfig.from_pretrained(str(folder.path))
    config.inference_mode = True
    return config


def new_adapter(
    base: "CausalLM", model: "PeftModel | None", name: str, folder: AdapterFolder
) -> "PeftModel":
    """Put an adapter's modules into a base, without its tensors; see `apply_tensors`.

    Args:
        base: The base, whose modules are wrapped.
        model: PEFT's model around it, if it has one already.
        name: What PEFT is to call the adapter.
        folder: Its configuration.
    """
    from peft import PeftModel

    check_patterns(folder.config, _names(base), where=str(folder.path))
    config = _config(folder)
    if model is None:
        return PeftModel(base, config, adapter_name=name)
    model.add_adapter(name, config)
    return model


def _without_adapter_name(tensors: Tensors, places: Mapping[str, str | None], name: str) -> Tensors:
    """Rename tensors of a raw state dict, such as ``lora_A.default.weight``, as PEFT saves them.

    Only names that the adapter has no other use for are looked at; all have to carry one name.
    """
    raw: dict[tuple[str, ...], str] = {}
    for saved, place in places.items():
        parts = (place or "").split(".")
        if name in parts:
            at = parts.index(name)
            raw[(*parts[:at], "", *parts[at + 1 :])] = saved
    renamed: dict[str, torch.Tensor] = {}
    dropped = set()
    for key, tensor in tensors.items():
        to, carried = _saved_name(key, raw) if key not in places else (key, None)
        dropped.update({carried} - {None})
        renamed[key if to in tensors or to in renamed else to] = tensor
    return renamed if len(dropped) == 1 else tensors


def _saved_name(key: str, raw: Mapping[tuple[str, ...], str]) -> tuple[str, str | None]:
    parts = key.split(".")
    for at in reversed(range(len(parts))):
        saved = raw.get((*parts[:at], "", *parts[at + 1 :]))
        if saved is not None:
            return saved, parts[at]
    return key, None


def _refuse_other_shapes(path: Path, tensors: Tensors, state: Tensors) -> None:
    import torch

    for name, tensor in tensors.items():
        there = state.get(name)
        if there is None or there.dtype == torch.uint8 or there.shape == tensor.shape:
            continue  # quantized weights are packed
        raise ModelError(
            f"an adapter must be made for this base: {path} has {_size(tensor)} at {name!r} where "
            f"its configuration and the base need {_size(there)}"
        )


def _size(tensor: "torch.Tensor") -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _unused(path: Path, names: Collection[str], count: int) -> ModelError:
    return ModelError(
        f"every tensor of an adapter must be used: {path} has {len(names)} of {count} that neither "
        f"its configuration nor the base knows: {_some(names)}; save it again with PEFT's "
        "save_pretrained"
    )


def _incomplete(path: Path, names: Collection[str], count: int) -> ModelError:
    return ModelError(
        f"every module that an adapter configures must get weights: {path} lacks {len(names)} of "
        f"{count} tensors: {_some(names)}; save it again with PEFT's save_pretrained"
    )


def _some(names: Collection[str]) -> str:
    shown = [repr(name) for name, _ in zip(names, range(_NAMED), strict=False)]
    return ", ".join(shown) + (" and others" if len(names) > _NAMED else "")


def reason_of(error: Exception) -> str:
    """Return a library's message on one line, cut short."""
    return " ".join(str(error).split())[:300] or repr(error)
