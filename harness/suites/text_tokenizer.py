"""Substitutes for a tokenizer where an endpoint has its own: text as bytes, messages as JSON."""

import json
from collections.abc import Sequence
from typing import ClassVar

from harness.models.protocols import ChatMessages


class TextTokenizer:
    """Counts a text's UTF-8 bytes as its ids, so that equal texts have equal ids and no others.

    A conversation as text is only shown and hashed; what is sent are the messages.

    Args:
        chat: Whether the endpoint takes conversations.
    """

    bos_token_id = 0
    eos_token_id = 0
    pad_token_id = 0
    unk_token_id = 0
    all_special_ids: ClassVar[list[int]] = []

    def __init__(self, *, chat: bool) -> None:
        self.chat_template = "the endpoint's own" if chat else None

    def get_vocab(self) -> dict[str, int]:
        """Return nothing: a byte has no name of its own."""
        return {}

    def encode(self, text: str, /, *, add_special_tokens: bool = False) -> list[int]:  # noqa: ARG002
        """Return a text's bytes.

        >>> TextTokenizer(chat=False).encode("Aé")
        [65, 195, 169]
        """
        return list(text.encode())

    def decode(self, ids: int | Sequence[int], /) -> str:
        """Return the text of some bytes.

        >>> TextTokenizer(chat=False).decode([65, 195, 169])
        'Aé'
        """
        return bytes([ids] if isinstance(ids, int) else ids).decode(errors="replace")

    def apply_chat_template(
        self, turns: ChatMessages, /, *, add_generation_prompt: bool = False, **_: object
    ) -> str:
        """Lay a conversation out for people.

        >>> turns = [{"role": "user", "content": "Who is it?"}]
        >>> TextTokenizer(chat=True).apply_chat_template(turns, add_generation_prompt=True)
        '<|user|>Who is it?<|end|><|assistant|>'
        """
        laid = "".join(f"<|{turn['role']}|>{turn['content']}<|end|>" for turn in turns)
        return laid + "<|assistant|>" if add_generation_prompt else laid.removesuffix("<|end|>")


class MessageTemplate:
    """Lays a conversation out as JSON, from which a chat endpoint gets its messages."""

    def apply_chat_template(self, turns: ChatMessages, /, **_: object) -> str:
        """Return the turns as JSON.

        >>> MessageTemplate().apply_chat_template([{"role": "user", "content": "Who is it?"}])
        '[{"role": "user", "content": "Who is it?"}]'
        """
        return json.dumps([dict(turn) for turn in turns], ensure_ascii=False)
