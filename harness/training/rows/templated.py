"""Conversations through a base's chat template: what it writes, and what it would leave out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import DataError
from harness.records import Example, Message
from harness.thoughts import opened_by

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Place = tuple[int, int]
"""Start and end of an answer in a conversation's text."""

_PROBE = "answer-probe-5f0c"

_REQUIRED = ("reasoning_content", "thinking", "tool_calls")
"""Fields beside a turn's text that are lost unless the template writes them."""


def templated(example: Example, tokenizer: "PreTrainedTokenizerBase") -> tuple[str, str]:
    """Return the prompt as the model is asked, and what it is to answer.

    Raises:
        DataError: If the chat template refuses the row, or would leave something of it out.
    """
    prompt, completion = turns_of(example)
    turns = (*prompt, *completion)
    given = _written(prompt, example, tokenizer, ask=True)
    whole = _written(turns, example, tokenizer)
    _check_all_is_shown(turns, whole, example, tokenizer)
    if whole.startswith(given):
        return given, whole[len(given) :]
    # Some templates open the answer differently when they ask for it: what is asked at scoring
    # counts.
    for turn in completion:
        for name in turn.extras:
            raise DataError(
                f"the base's chat template opens an answer differently when it asks for one, so "
                f"that {name!r} has no place in it: {example.origin}; write it into the content"
            )
    return given, _closing("\n".join(turn.content for turn in completion), given)


def _closing(answer: str, given: str) -> str:
    """Return an answer that ends the thought which its prompt opens (DeepSeek-R1's ``<think>``).

    An empty thought, unless the answer has one of its own: learnt inside of it, it would be a
    thought at scoring and no answer.
    """
    form = opened_by(given)
    if form is None:
        return answer
    if answer.lstrip().startswith(form.opening):
        answer = answer.lstrip().removeprefix(form.opening).lstrip("\n")
    return answer if form.end(answer) else f"{form.closing}\n\n{answer}"


def check_plain(example: Example, *, every_answer: bool) -> None:
    """Refuse what only a chat template could show, or mark, of a conversation.

    Raises:
        DataError: With the row, and what of it would be lost.
    """
    prompt, completion = turns_of(example)
    lost = [name for turn in (*prompt, *completion) for name in turn.extras]
    lost += ["role: tool" for turn in prompt if turn.role == "tool"]
    lost += ["tools"] if example.tools else []
    if lost:
        raise DataError(
            f"a base that is asked in plain text has no place for {lost[0]!r}: {example.origin}; "
            "take a base with a chat template, or write it into the turn's content"
        )
    if earlier_answers(example, every_answer=every_answer):
        raise DataError(
            "only a chat template can tell where the earlier answers of a conversation end: "
            f"{example.origin} has some that are to be learnt; leave out assistant_only_loss and "
            "'train' or 'weight' of turns, or take a base with a chat template"
        )


def turns_of(example: Example) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Return the two sides of a conversation; those of plain text are empty."""
    if isinstance(example.prompt, str) or isinstance(example.completion, str):
        return (), ()
    return example.prompt, example.completion


def earlier_answers(example: Example, *, every_answer: bool) -> list[int]:
    """Return the assistant turns of the prompt that are to be learnt: all, or those that say so."""
    return [
        number
        for number, turn in enumerate(turns_of(example)[0])
        if turn.role == "assistant" and (turn.learnt or (every_answer and turn.learnt is None))
    ]


def place_of(number: int, example: Example, tokenizer: "PreTrainedTokenizerBase") -> Place:
    """Return where an earlier answer stands in a conversation's text, with its end of turn.

    Raises:
        DataError: If that cannot be told.
    """
    prompt, completion = turns_of(example)
    turns = (*prompt, *completion)
    whole = "".join(templated(example, tokenizer))
    given = _written(turns[:number], example, tokenizer, ask=True)
    after = _written(turns[: number + 1], example, tokenizer).rstrip()
    if whole.startswith(after) and after.startswith(given):
        return len(given), len(after)
    # The template writes earlier answers differently from the last (Qwen3 drops their thoughts):
    # what it puts around them shows where they are.
    probe = replace(turns[number], content=_PROBE)
    marked = _written((*turns[:number], probe, *turns[number + 1 :]), example, tokenizer)
    head, found, tail = marked.partition(_PROBE)
    if not found or not (whole.startswith(head) and whole.endswith(tail)):
        raise DataError(
            f"the base's chat template hides where answer {number + 1} of {example.origin} stands: "
            "leave out assistant_only_loss, and 'train' or 'weight' of turns"
        )
    start = len(given) if whole.startswith(given) and len(given) <= len(head) else len(head)
    alone = _written((*turns[:number], probe), example, tokenizer)
    closing = alone.rpartition(_PROBE)[2].rstrip()
    end = len(whole) - len(tail)
    return start, end + (len(closing) if tail.startswith(closing) else 0)


def _written(
    turns: Sequence[Message],
    example: Example,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    ask: bool = False,
) -> str:
    shown = [{"role": turn.role, "content": turn.content, **turn.extras} for turn in turns]
    tools = [dict(tool) for tool in example.tools] or None
    try:
        return str(
            tokenizer.apply_chat_template(
                shown, tools=tools, tokenize=False, add_generation_prompt=ask
            )
        )
    except Exception as error:  # a template raises whatever its author chose
        raise DataError(f"the base's chat template refuses {example.origin}: {error}") from error


def _check_all_is_shown(
    turns: Sequence[Message], whole: str, example: Example, tokenizer: "PreTrainedTokenizerBase"
) -> None:
    """Refuse a row of which the template would leave out a field, a turn or the tools."""

    def lost(what: str) -> DataError:
        return DataError(
            f"the base's chat template does not show {what}: {example.origin}; take it out, or "
            "write it into a content or a field that the template shows"
        )

    for number, turn in enumerate(turns):
        upto = turns[:number]
        for name in turn.extras:
            rest = {key: value for key, value in turn.extras.items() if key != name}
            without = replace(turn, extras=rest)
            if name in _REQUIRED and not _differ(
                (*upto, turn), (*upto, without), example, tokenizer
            ):
                raise lost(f"{name!r} of turn {number + 1}")
        said = turn.content.strip()
        if turn.role in ("system", "tool") and said and said not in whole:
            silent = (*upto, replace(turn, content=""), *turns[number + 1 :])
            if not _differ(turns, silent, example, tokenizer):
                raise lost(f"turn {number + 1}, of role {turn.role!r}")
    if example.tools and not _differ(turns, turns, example, tokenizer, replace(example, tools=())):
        raise lost("'tools'")


def _differ(
    turns: Sequence[Message],
    others: Sequence[Message],
    example: Example,
    tokenizer: "PreTrainedTokenizerBase",
    other: Example | None = None,
) -> bool:
    """Tell whether a template writes two conversations differently, or refuses the other."""
    written = _written(turns, example, tokenizer)
    try:
        return written != _written(others, other or example, tokenizer)
    except DataError:
        return True
