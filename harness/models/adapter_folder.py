"""What a candidate's folder declares, and whether its adapter fits a base; loads no weights."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ModelError
from harness.files import weights_sha256
from harness.models.fingerprint import text_hash

if TYPE_CHECKING:
    import torch

    from harness.models.protocols import CausalLM

_HARMLESS_INIT = {True, False, None, "gaussian", "orthogonal"}


@dataclass(frozen=True, slots=True)
class AdapterFolder:
    """A folder in PEFT's format, or of a whole model, as its configuration describes it."""

    path: Path
    config: Mapping[str, object]
    is_adapter: bool

    @property
    def kind(self) -> str:
        """PEFT's name of the method, such as ``LORA``."""
        return str(self.config.get("peft_type", "")).upper()

    @property
    def is_prompt_learning(self) -> bool:
        """Whether it works by virtual tokens: prompt tuning, P-tuning, prefix tuning."""
        return "num_virtual_tokens" in self.config

    @property
    def virtual_tokens(self) -> int:
        """How many tokens of the context it takes."""
        return int(str(self.config.get("num_virtual_tokens") or 0))

    @property
    def rewrites_base(self) -> bool:
        """Whether loading it changes base weights (PiSSA and its like)."""
        return self.config.get("init_lora_weights") not in _HARMLESS_INIT

    @property
    def weights_sha256(self) -> str:
        """The sha256 of its weights."""
        return weights_sha256(self.path)

    @property
    def identity(self) -> str:
        """A hash of all of its content that can change an answer."""
        volatile = {"base_model_name_or_path", "inference_mode", "revision", "task_type"}
        config = {key: value for key, value in self.config.items() if key not in volatile}
        return text_hash([self.weights_sha256, config])


def read_adapter_folder(path: Path) -> AdapterFolder:
    """Read what an adapter or model folder declares about itself.

    Raises:
        ModelError: If it is neither.
    """
    for name, is_adapter in (("adapter_config.json", True), ("config.json", False)):
        if (path / name).is_file():
            try:
                config = json.loads((path / name).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise ModelError(f"{path / name} must be readable JSON: {error}") from error
            return AdapterFolder(path, config, is_adapter)
    raise ModelError(
        f"a candidate must be a folder with adapter_config.json (PEFT) or config.json (a whole "
        f"model): found neither in {path}"
    )


def check_shapes(folder: AdapterFolder, base: "CausalLM") -> None:
    """Compare the shapes of an adapter's weights with the base's modules before loading it.

    Raises:
        ModelError: If it has weights for a module that the base lacks or that has other dimensions.
    """
    modules = dict(base.named_modules())
    for name, shape in _weights(folder.path):
        module_name, part = _module_of(name)
        if part is None:
            continue
        module = modules.get(module_name)
        if module is None:
            raise ModelError(
                f"an adapter must be made for this base: {folder.path} has weights for "
                f"{module_name!r}, which {_title(base)} does not have"
            )
        found, needed = _dimension(part, shape, module)
        if needed is not None and found != needed:
            raise ModelError(
                f"an adapter must be made for this base: {folder.path} expects {found} dimensions "
                f"at {module_name!r} where {_title(base)} has {needed}"
            )


def _weights(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    from safetensors import SafetensorError, safe_open

    file = path / "adapter_model.safetensors"
    if not file.is_file():
        if (path / "adapter_model.bin").is_file():
            return
        raise ModelError(f"an adapter needs its weights: no adapter_model.safetensors in {path}")
    try:
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                yield name, tuple(weights.get_slice(name).get_shape())
    except SafetensorError as error:
        raise ModelError(f"an adapter's weights must be readable: {file}: {error}") from error


def _module_of(name: str) -> tuple[str, str | None]:
    """Split a weight's name into the base module it acts on and its part, None if not LoRA's."""
    name = name.removeprefix("base_model.model.")
    for part in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"):
        before, found, _ = name.partition(f".{part}")
        if found:
            return before, part
    return name, None


def _dimension(
    part: str, shape: tuple[int, ...], module: "torch.nn.Module"
) -> tuple[int, int | None]:
    if part == "lora_A":
        return shape[-1], getattr(module, "in_features", None)
    if part == "lora_B":
        return shape[0], getattr(module, "out_features", None)
    if part == "lora_embedding_A":
        return shape[-1], getattr(module, "num_embeddings", None)
    return shape[0], getattr(module, "embedding_dim", None)


def _title(base: "CausalLM") -> str:
    config = base.config
    layers = getattr(config, "num_hidden_layers", "?")
    return f"the base ({config.model_type}, {layers} layers, width {config.hidden_size})"
