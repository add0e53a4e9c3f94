"""What a candidate's folder declares, and whether its adapter fits a base; loads no weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ModelError
from harness.files import weights_sha256
from harness.inputs import parse_json, read_input
from harness.models.fingerprint import text_hash

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

    from harness.models.protocols import CausalLM

MODEL_FILES = ("adapter_config.json", "config.json")
"""What makes a folder an adapter, or a whole model."""

INPUT_EMBEDDINGS = frozenset({"embed_tokens", "wte", "embed_in", "word_embeddings"})
"""What the modules are called that turn tokens into vectors."""

_EMBEDDINGS = INPUT_EMBEDDINGS | {"lm_head", "embed_out"}
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
    def needs_own_base(self) -> bool:
        """Whether it cannot share a loaded base with other adapters.

        Loading it changes base weights (PiSSA and its like, trained biases), or PEFT then asks
        every other adapter for the tokens that it learnt, or the parameters that it adapts.
        """
        return (
            self.config.get("init_lora_weights") not in _HARMLESS_INIT
            or self.config.get("bias") not in (None, "none")
            or bool(self.config.get("trainable_token_indices"))
            or bool(self.config.get("target_parameters"))
        )

    @property
    def kept_modules(self) -> tuple[str, ...]:
        """The modules that it keeps whole, by the ends of their names."""
        kept = self.config.get("modules_to_save") or ()
        return (kept,) if isinstance(kept, str) else tuple(map(str, _list(kept)))

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens whose embeddings it learnt, in the order of its tensors' rows."""
        found = self.config.get("trainable_token_indices") or self.config.get("token_indices") or ()
        if isinstance(found, dict):
            found = next(iter(found.values()), ())
        return tuple(int(str(token)) for token in _list(found))

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


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else []


def find_candidate(path: Path) -> Path:
    """Return the folder that holds a candidate: the one given, or the only one right inside it.

    A trainer's output keeps its adapter in a folder such as ``checkpoint-500``.

    Raises:
        ModelError: If none is there, or several are.
    """
    if _is_candidate(path) or not path.is_dir():
        inside = []
    else:
        inside = sorted(folder for folder in path.iterdir() if _is_candidate(folder))
    if len(inside) > 1:
        raise ModelError(
            f"a candidate must be one folder: {path} holds {len(inside)}: "
            f"{', '.join(folder.name for folder in inside[:8])}; name one of them"
        )
    return inside[0] if inside else path


def _is_candidate(folder: Path) -> bool:
    return any((folder / name).is_file() for name in MODEL_FILES)


def read_adapter_folder(path: Path) -> AdapterFolder:
    """Read what an adapter or model folder declares about itself; see `find_candidate`.

    Raises:
        ModelError: If it is neither.
    """
    path = find_candidate(path)
    for name in MODEL_FILES:
        if (path / name).is_file():
            try:
                config = parse_json(read_input(path / name))
            except (OSError, ValueError, RecursionError) as error:
                raise ModelError(f"{path / name} must be readable JSON: {error}") from error
            if not isinstance(config, dict):
                raise ModelError(
                    f"{path / name} must be readable JSON: an object of settings, not "
                    f"{type(config).__name__}"
                )
            folder = AdapterFolder(path, config, name == "adapter_config.json")
            _refuse_what_is_not_inside(folder)
            return folder
    raise ModelError(
        f"a candidate must be a folder with adapter_config.json (PEFT) or config.json (a whole "
        f"model): found neither in {path}"
    )


def _refuse_what_is_not_inside(folder: AdapterFolder) -> None:
    """Refuse an adapter that names Python modules to import, or other folders to load.

    Raises:
        ModelError: If it does.
    """
    if not folder.is_adapter:
        return
    if folder.config.get("megatron_config"):  # PEFT imports whatever 'megatron_core' names
        raise ModelError(
            f"an adapter must not name code to import: {folder.path} has 'megatron_config'; save "
            "it again without"
        )
    if folder.config.get("layer_replication"):  # PEFT would rebuild the base that others share
        raise ModelError(
            f"an adapter must leave the base's layers as they are: {folder.path} has "
            "'layer_replication'; merge it, and give the whole model as the candidate"
        )
    if folder.kind == "XLORA":
        raise ModelError(
            f"an adapter must hold all of its weights: {folder.path} is a mixture of others "
            "(X-LoRA), which it names by their paths; give each as a candidate of its own"
        )


def check_shapes(folder: AdapterFolder, base: "CausalLM") -> None:
    """Compare the shapes of an adapter's weights with the base's modules before loading it.

    Raises:
        ModelError: If it has weights for a module that the base lacks or that has other dimensions.
    """
    modules = dict(base.named_modules())
    shapes = dict(file_shapes(folder.path))
    refuse_added_tokens(folder.path, shapes, base)
    for name, shape in shapes.items():
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


def refuse_added_tokens(
    path: Path, shapes: Mapping[str, tuple[int, ...]], base: "CausalLM | PeftModel"
) -> None:
    """Refuse an adapter that was trained with more, or fewer, tokens than the base has.

    Args:
        path: The adapter's folder.
        shapes: The shapes of its tensors by name.
        base: The base, or PEFT's model around it.

    Raises:
        ModelError: If its embeddings or its head have another number of rows.
    """
    rows = int(getattr(base.config, "vocab_size", 0) or 0)
    for name, shape in shapes.items():
        plain = name.removeprefix("base_model.model.")
        found = next((match for match in map(plain.partition, _EMBEDDING_PARTS) if match[1]), None)
        if found is None or found[0].rpartition(".")[2] not in _EMBEDDINGS or not shape:
            continue
        count = shape[-1] if found[1] == ".lora_embedding_A" else shape[0]
        if rows and count != rows:
            raise ModelError(
                f"an adapter must keep the base's vocabulary: {path} has {count} rows at "
                f"{found[0]!r} where the base has {rows}; take a base that was resized alike, or "
                "train without adding tokens"
            )


_EMBEDDING_PARTS = (
    ".base_layer.weight",
    ".modules_to_save.",
    ".original_module.",
    ".lora_embedding_A",
    ".lora_B",
    ".weight",
)


def file_shapes(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor in an adapter's file, without loading it.

    Raises:
        ModelError: If there is no file, or it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    file = path / "adapter_model.safetensors"
    if not file.is_file():
        yield from _older_shapes(path / "adapter_model.bin")
        return
    try:
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                yield name, tuple(weights.get_slice(name).get_shape())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"an adapter's weights must be readable: {file}: {error}") from error


def _older_shapes(file: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield what torch's own format holds; only tensors are unpickled, and none is kept."""
    from pickle import UnpicklingError

    import torch

    if not file.is_file():
        raise ModelError(
            f"an adapter needs its weights: no adapter_model.safetensors in {file.parent}"
        )
    try:
        found = torch.load(file, map_location="meta", weights_only=True)
    except (OSError, ValueError, RuntimeError, LookupError, EOFError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"an adapter's weights must be readable: {file}: {reason}") from error
    if not isinstance(found, dict) or not all(map(torch.is_tensor, found.values())):
        raise ModelError(f"an adapter's weights must be named tensors alone: {file}")
    yield from ((str(name), tuple(tensor.shape)) for name, tensor in found.items())


def _module_of(name: str) -> tuple[str, str | None]:
    """Split a weight's name into the base module it acts on and its part, None if not LoRA's."""
    name = name.removeprefix("base_model.model.")
    for part in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"):
        before, found, _ = name.partition(f".{part}")
        if found:
            while before.endswith(".base_layer"):  # one layer for each parameter of a module
                before = before.removesuffix(".base_layer")
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
