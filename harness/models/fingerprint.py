"""Hashes of what can change an answer: weights, adapters, tokenizer, settings of the engine."""

import hashlib
import json
from typing import Any

ENGINE_VERSION = "1"
"""Raised whenever the engine's numbers may change, so that stored answers are not reused."""


def text_hash(value: Any) -> str:
    """Return the sha256 of plain data in canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def tokenizer_hash(tokenizer: Any) -> str:
    """Return a hash of how a tokenizer cuts text and lays out conversations."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    cuts = backend.to_str() if backend is not None else tokenizer.get_vocab()
    return text_hash([cuts, tokenizer.chat_template, tokenizer.all_special_ids])
