"""Check that a base's chat template has a generation prompt."""

from typing import TYPE_CHECKING

from harness.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ASKED, _SAID = "question-probe", "answer-probe"


def check_template(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Refuse a chat template that opens assistant turns, but has no generation prompt.

    The model would learn to generate the opening, and never see it in a prompt. Templates without
    any opening (Llama 2, Mistral) are fine.

    Raises:
        ModelError: If the template has no generation prompt.
    """
    turns = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _SAID}]
    try:
        closed = tokenizer.apply_chat_template(turns[:1], tokenize=False)
        given = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(turns, tokenize=False)
    except Exception:  # noqa: BLE001 - what a template refuses is reported with its row
        return
    opening = whole.removeprefix(given).partition(_SAID)[0].strip()
    if given == closed and whole.startswith(given) and opening:
        raise ModelError(
            "a chat template must open the assistant's turn when an answer is asked for: the "
            f"base's does not write {opening!r} then; add '{{% if add_generation_prompt %}}' to "
            "it, or set 'template: none' under 'base'"
        )
