"""What is needed of a tokenizer and of a causal language model, as types.

transformers' own classes satisfy both; so does what stands in for a tokenizer where an endpoint
does its own.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch


class Tokenizer(Protocol):
    """Text to token ids and back; ``chat_template`` lays out conversations."""

    bos_token_id: int | None
    eos_token_id: int | None
    pad_token_id: int | None
    unk_token_id: int | None
    chat_template: str | None
    all_special_ids: list[int]

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return the ids of a text."""
        ...

    def decode(self, ids: int | Sequence[int]) -> str:
        """Return the text of some ids."""
        ...

    def apply_chat_template(
        self, turns: Sequence[Mapping[str, str]], *, add_generation_prompt: bool
    ) -> str:
        """Lay a conversation out as text."""
        ...


class CausalLM(Protocol):
    """A causal language model: a torch module with a configuration."""

    config: object
    device: torch.device
    training: bool

    def eval(self) -> "CausalLM":
        """Switch dropout and its like off."""
        ...
