"""Hashes of what can change an answer: weights, adapters, tokenizer, settings of the engine.

Nothing here loads weights: the fingerprint of an arm is known before its model is.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from harness.files import weights_sha256
from harness.models.load_model import end_tokens, load_config, load_generation_config
from harness.study import ArmSection, BaseSection

if TYPE_CHECKING:
    from harness.models.protocols import PretrainedTokenizer, Tokenizer

ENGINE_VERSION = "1"
"""Raised whenever the engine's numbers may change, so that stored answers are not reused."""


TRANSPORT = frozenset(
    {"batch_size", "ca_cert_path", "max_retries", "num_concurrent", "timeout", "verify_certificate"}
)
"""An endpoint's arguments that say how an answer travels and cannot change it."""


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

    ``weights`` is the sha256 of a folder's weight files, or the commit of a hub model; ``ends`` are
    the tokens that end an answer.
    """

    weights: str
    tokenizer: str
    dtype: str
    quantization: str
    ends: tuple[int, ...]

    @property
    def fingerprint(self) -> str:
        """The sha256 of all of it and of the engine's version."""
        return text_hash(
            {
                "engine": ENGINE_VERSION,
                "base": self.weights,
                "tokenizer": self.tokenizer,
                "dtype": self.dtype,
                "quantization": self.quantization,
                "ends": self.ends,
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
    ends = end_tokens(tokenizer, load_config(model, base), load_generation_config(model, base))
    return BaseIdentity(
        weights=_weights(model, base.revision),
        tokenizer=tokenizer_hash(tokenizer),
        dtype=base.weights_dtype,
        quantization=base.quantization,
        ends=tuple(sorted(ends)),
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


def adapter_fingerprint(base: str, identity: str) -> str:
    """Return the fingerprint of a candidate on a base.

    Args:
        base: The base's fingerprint.
        identity: `harness.models.adapter_folder.AdapterFolder.identity`.
    """
    return text_hash([base, identity])


def endpoint_fingerprint(section: ArmSection) -> str:
    """Return the fingerprint of a remote arm: backend, model, address, settings.

    Its weights cannot be hashed: a change behind the same name goes unnoticed.
    """
    settings = {k: v for k, v in section.model_args.items() if k not in TRANSPORT}
    return text_hash(
        {"lm_eval": metadata.version("lm_eval"), "backend": section.backend, **settings}
    )
