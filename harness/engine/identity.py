"""Hashes of what can change an answer: weights, adapters, tokenizer, settings of the engine."""

import hashlib
import json
from pathlib import Path
from typing import Any

ENGINE_VERSION = "1"
"""Raised whenever the engine's numbers may change, so that stored answers are not reused."""

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")


def text_hash(value: Any) -> str:
    """Return the sha256 of plain data in canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Return a file's sha256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weights_hash(folder: Path) -> str:
    """Return the sha256 of a folder's weight files, whatever the folder is called.

    One weight file gives that file's own sha256.
    """
    files = sorted({file for pattern in _WEIGHTS for file in folder.glob(pattern)})
    hashes = [file_hash(file) for file in files]
    return hashes[0] if len(hashes) == 1 else text_hash(hashes)


def tokenizer_hash(tokenizer: Any) -> str:
    """Return a hash of how a tokenizer cuts text and lays out conversations."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    cuts = backend.to_str() if backend is not None else tokenizer.get_vocab()
    return text_hash([cuts, tokenizer.chat_template, tokenizer.all_special_ids])
