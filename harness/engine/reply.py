"""Talk to one arm: an answer to a conversation, told piece by piece as it is made."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from harness.engine.model import Engine
from harness.engine.verified.engine import VerifiedEngine
from harness.suites.tokenize import Encoder, render

_PROBE = "probe"


def prompt_of(tokenizer: Any, turns: Sequence[Mapping[str, str]]) -> str:
    """Return a conversation as the text that asks for the next answer.

    Through the tokenizer's chat template; a base without one gets plain lines with speakers.
    """
    if tokenizer.chat_template:
        return render(tokenizer, turns, generate=True)
    lines = [f"{turn['role'].title()}: {turn['content']}" for turn in turns]
    return "\n".join([*lines, "Assistant:"])


def reply(
    engine: Engine | VerifiedEngine,
    arm: str,
    turns: Sequence[Mapping[str, str]],
    *,
    tell: Callable[[str], None],
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
) -> str:
    """Let one arm answer a conversation.

    Args:
        engine: With the arm attached.
        arm: ``base`` or a candidate's name.
        turns: ``role`` and ``content`` of each turn, oldest first, the user's last.
        tell: Called with each piece of text as soon as it is there.
        max_new_tokens: Where an answer is cut.
        temperature: 0 is greedy.
        seed: Of sampling.

    Returns:
        The whole answer, without the token that ends a turn.
    """
    from transformers import GenerationConfig, TextStreamer

    tokenizer = engine.tokenizer
    ids = Encoder(tokenizer).encode(prompt_of(tokenizer, turns))
    ids = ids[-max(1, engine.max_length - max_new_tokens) :]
    pieces: list[str] = []

    class Teller(TextStreamer):  # type: ignore[misc]  # transformers is opaque to mypy
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002
            pieces.append(text)
            tell(text)

    end = _end_of_turn(tokenizer)
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=sorted(engine.ends),
        pad_token_id=engine.switch.pad,
        stop_strings=[end] if end else None,
        do_sample=temperature > 0,
        **({"temperature": temperature} if temperature > 0 else {}),
    )
    torch.manual_seed(seed)
    with engine.switch.active(arm) as stage, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's, of arguments that generate() itself passes
        given = torch.tensor([ids], device=stage.whole.device)
        stage.whole.generate(
            input_ids=given,
            attention_mask=torch.ones_like(given),
            generation_config=config,
            streamer=Teller(tokenizer, skip_prompt=True, skip_special_tokens=True),
            tokenizer=tokenizer,
        )
    text = "".join(pieces)
    return (text.partition(end)[0] if end else text).strip()


def _end_of_turn(tokenizer: Any) -> str:
    r"""Return what the template writes after an assistant's turn; without one, a new speaker."""
    if not tokenizer.chat_template:
        return "\nUser:"
    turns = [{"role": "user", "content": _PROBE}, {"role": "assistant", "content": _PROBE}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    return str(whole).rpartition(_PROBE)[2].strip()
