"""What is needed of a tokenizer and of a causal language model, as types.

transformers' own classes satisfy them. `Tokenizer` is what prompts are made with: what stands in
for one where an endpoint does its own (`harness.suites.text_tokenizer`) satisfies it as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from transformers import Cache, GenerationConfig, PretrainedConfig

ChatMessages = Sequence[Mapping[str, str]]
"""Messages with ``role`` and ``content``, oldest first."""


class ChatTemplate(Protocol):
    """Lays conversations out."""

    def apply_chat_template(
        self,
        turns: ChatMessages,
        /,
        *,
        tools: Sequence[Mapping[str, object]] | None = None,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        **options: object,
    ) -> str:
        """Lay a conversation out as text (with ``tokenize=False``), by a template's options."""
        ...


class Tokenizer(ChatTemplate, Protocol):
    """Text to token ids and back; ``chat_template`` lays conversations out."""

    @property
    def bos_token_id(self) -> int | None:
        """The beginning-of-text token."""
        ...

    @property
    def eos_token_id(self) -> int | None:
        """The end-of-text token."""
        ...

    @property
    def pad_token_id(self) -> int | None:
        """The padding token."""
        ...

    @property
    def unk_token_id(self) -> int | None:
        """The token of what the vocabulary does not know."""
        ...

    @property
    def all_special_ids(self) -> list[int]:
        """Every special token."""
        ...

    @property
    def chat_template(self) -> str | None:
        """The Jinja template of conversations, None for a base that has none."""
        ...

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every token."""
        ...

    def encode(self, text: str, /, *, add_special_tokens: bool = True) -> list[int]:
        """Return the ids of a text."""
        ...

    def decode(self, ids: int | Sequence[int], /) -> str:
        """Return the text of some ids."""
        ...


class PretrainedTokenizer(Tokenizer, Protocol):
    """A tokenizer of transformers: it also encodes batches and can be saved."""

    pad_token: str | None
    bos_token: str | None
    eos_token: str | None
    chat_template: str | None

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token as text."""
        ...

    @property
    def added_tokens_decoder(self) -> Mapping[int, object]:
        """Tokens that were added to the vocabulary, by id."""
        ...

    def __call__(
        self, text: str | Sequence[str], /, *, add_special_tokens: bool = True
    ) -> Mapping[str, list[list[int]]]:
        """Encode one text or a batch: ``input_ids``, ``attention_mask``."""
        ...

    def get_chat_template(self, chat_template: str | None = None, tools: object = None) -> str:
        """Return the template that is used, where a tokenizer may have several by name."""
        ...

    def save_pretrained(self, folder: str | Path, /) -> object:
        """Write the tokenizer's files."""
        ...


class ModelOutput(Protocol):
    """What a forward pass returns."""

    logits: "torch.Tensor"  # (B, T, V)
    past_key_values: "Cache | None"


class CausalLM(Protocol):
    """A causal language model: a torch module with a configuration and ``generate``."""

    config: "PretrainedConfig"
    generation_config: "GenerationConfig | None"
    training: bool

    @property
    def device(self) -> "torch.device":
        """Where its weights are."""
        ...

    def __call__(self, **inputs: object) -> ModelOutput:
        """Run a forward pass on ``input_ids`` (B, T), ``attention_mask`` (B, T), ..."""
        ...

    def generate(self, **inputs: object) -> "torch.Tensor":
        """Generate by transformers' own loop; returns ids (B, T)."""
        ...

    def train(self, mode: bool = True, /) -> "CausalLM":
        """Switch dropout and its like on or off."""
        ...

    def eval(self) -> "CausalLM":
        """Switch dropout and its like off."""
        ...

    def requires_grad_(self, requires_grad: bool = True) -> "CausalLM":
        """Choose whether every parameter gets a gradient."""
        ...

    def modules(self) -> "Iterator[torch.nn.Module]":
        """Yield every module."""
        ...

    def named_modules(self) -> "Iterator[tuple[str, torch.nn.Module]]":
        """Yield every module with its dotted name."""
        ...

    def state_dict(self) -> "dict[str, torch.Tensor]":
        """Return every weight by its name."""
        ...

    def get_output_embeddings(self) -> "torch.nn.Module":
        """Return the head that makes logits."""
        ...

    def set_attn_implementation(self, name: str, /) -> None:
        """Choose the attention function of every layer by its registered name."""
        ...
