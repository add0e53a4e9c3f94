"""Chat with one arm: its answer to a conversation, streamed as it is generated."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch

from harness.engine.decoding.thinking_row import shown
from harness.engine.open import LocalEngine
from harness.models.protocols import ChatMessages, PretrainedTokenizer
from harness.models.template_options import thinks
from harness.suites.thought_budget import default_tokens
from harness.suites.tokenize import Encoder, render
from harness.thoughts import opened_by, split_thought

_PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Reply:
    """What an arm said: the whole ``text``, and the ``answer`` without the thought before it."""

    text: str
    answer: str


def prompt_of(tokenizer: PretrainedTokenizer, turns: ChatMessages) -> str:
    """Return a conversation as the text that asks for the next answer.

    Through the tokenizer's chat template; a base without one gets plain lines with speakers.
    """
    if tokenizer.chat_template:
        return render(tokenizer, turns, generate=True)
    lines = [f"{turn['role'].title()}: {turn['content']}" for turn in turns]
    return "\n".join([*lines, "Assistant:"])


def reply(
    engine: LocalEngine,
    arm: str,
    turns: ChatMessages,
    *,
    tell: Callable[[str], None],
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
) -> Reply:
    """Generate one arm's answer to a conversation.

    Args:
        engine: With the arm attached.
        arm: ``base`` or a candidate's name.
        turns: ``role`` and ``content`` of each turn, oldest first, the user's last.
        tell: Called with each piece of text as soon as it is generated.
        max_new_tokens: Where an answer is truncated; what thinks may take more before it.
        temperature: 0 is greedy.
        seed: Of sampling.

    Returns:
        What it said, without the token that ends a turn.
    """
    from transformers import GenerationConfig, TextStreamer

    tokenizer = engine.tokenizer
    asked = prompt_of(tokenizer, turns)
    if tokenizer.chat_template and thinks(tokenizer, {}):
        max_new_tokens += default_tokens(engine.max_length)
    ids = Encoder(tokenizer).encode(asked)
    ids = ids[-max(1, engine.max_length - max_new_tokens) :]

    class PieceStreamer(TextStreamer):  # type: ignore[misc]  # transformers is opaque to mypy
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002
            tell(text)

    end = _end_of_turn(tokenizer)
    marks = tokenizer.encode(end, add_special_tokens=False)
    is_token = len(marks) == 1  # looking for it as text would read the whole vocabulary
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=sorted({*engine.ends, *(marks if is_token else ())}),
        pad_token_id=engine.switch.pad,
        stop_strings=[end] if end and not is_token else None,
        do_sample=temperature > 0,
        **({"temperature": temperature} if temperature > 0 else {}),
    )
    torch.manual_seed(seed)
    with engine.switch.active(arm) as active, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's, of arguments that generate() itself passes
        prompt = torch.tensor([ids], device=active.full_model.device)
        written = active.full_model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            generation_config=config,
            streamer=PieceStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True),
            tokenizer=tokenizer,
        )
    text, _ = shown(tokenizer, written[0, len(ids) :].tolist(), opened_by(asked))
    said = (text.partition(end)[0] if end else text).strip()
    return Reply(said, split_thought(said, opened=opened_by(asked)).answer.strip())


def _end_of_turn(tokenizer: PretrainedTokenizer) -> str:
    """Return the stop sequence: what the template writes after an assistant's turn."""
    if not tokenizer.chat_template:
        return "\nUser:"
    turns = [{"role": "user", "content": _PROBE}, {"role": "assistant", "content": _PROBE}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    return str(whole).rpartition(_PROBE)[2].strip()
