"""From examples to token ids and labels: what the model sees and what it learns from.

The prompt has exactly the token ids that the model is given when it answers. The completion ends
with one end-of-turn token, written by the chat template or, where there is none, by us.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from harness.errors import DataError, ModelError
from harness.records import Example, Message

IGNORED = -100
"""The label of tokens that are shown but not learnt (torch's cross entropy skips it)."""


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One training row; ``labels`` is `IGNORED` where the loss does not look.

    ``rejected`` are the ids of a preference pair's worse answer to the same prompt.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    rejected: tuple[int, ...] = ()

    @property
    def prompt_length(self) -> int:
        """Number of tokens before the first one that is learnt."""
        return next(i for i, label in enumerate(self.labels) if label != IGNORED)

    @property
    def length(self) -> int:
        """Number of tokens with the longer answer."""
        return max(len(self.input_ids), self.prompt_length + len(self.rejected))

    @property
    def learnt(self) -> int:
        """Number of tokens that the loss looks at."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """All rows of a candidate, and what had to be left out.

    ``too_long`` counts rows above ``max_length`` tokens, ``notes`` are sentences for a person.
    """

    rows: tuple[EncodedRow, ...]
    too_long: int
    longest: int
    max_length: int
    notes: tuple[str, ...] = ()


def encode(
    examples: Sequence[Example],
    tokenizer: Any,
    *,
    chat: bool,
    max_length: int,
    every_answer: bool = False,
) -> Encoded:
    """Tokenize examples, with the loss on completions only.

    Args:
        examples: Rows to learn from.
        tokenizer: A transformers tokenizer with an end-of-text token.
        chat: Whether turns go through the tokenizer's chat template; else they become plain text.
        max_length: Longest row in tokens; longer ones are left out and counted.
        every_answer: Whether earlier assistant turns of a conversation are learnt too.

    Raises:
        DataError: If more than one row in ten is too long, or a row has nothing to learn.
        ModelError: If the tokenizer has no end-of-text token.
    """
    if tokenizer.eos_token is None:
        raise ModelError("training needs a base whose tokenizer has an end-of-text token: no eos")
    rows: list[EncodedRow] = []
    too_long = longest = 0
    first_long = ""
    for start in range(0, len(examples), 1000):
        part = examples[start : start + 1000]
        for example, row in zip(part, _encode_pairs(part, tokenizer, chat=chat), strict=True):
            longest = max(longest, row.length)
            if row.length > max_length:
                too_long += 1
                first_long = first_long or f"{example.origin} has {row.length}"
            elif every_answer and chat:
                rows.append(_with_earlier_answers(row, example, tokenizer))
            else:
                rows.append(row)
    _refuse_too_long(too_long, len(examples), f"{first_long} tokens, longest {longest}", max_length)
    notes = (
        (f"{too_long} of {len(examples)} rows are longer than {max_length} tokens and left out",)
        if too_long
        else ()
    )
    return Encoded(
        rows=tuple(rows), too_long=too_long, longest=longest, max_length=max_length, notes=notes
    )


Stretch = tuple[str, bool]
"""A part of a row as text, and whether it is learnt or only read."""


def stretches(row: EncodedRow, tokenizer: Any) -> tuple[Stretch, ...]:
    """Return the text of a row, cut where learning begins and ends."""
    parts: list[Stretch] = []
    pairs = zip(row.input_ids, row.labels, strict=True)
    for learnt, stretch in groupby(pairs, key=lambda pair: pair[1] != IGNORED):
        parts.append((tokenizer.decode([token for token, _ in stretch]), learnt))
    if row.rejected:
        parts += [(" rather than ", False), (tokenizer.decode(row.rejected), True)]
    return tuple(parts)


def picture(row: EncodedRow, tokenizer: Any) -> str:
    """Show what is learnt of a row: the text, with learnt stretches in ⟦ ⟧."""
    parts = stretches(row, tokenizer)
    return "".join(f"⟦{text}⟧" if learnt else text for text, learnt in parts)


def plain(turns: Sequence[Message]) -> str:
    """Write turns as plain text, for bases without a chat template.

    A single question stays as it is, as lm-eval shows it; several turns get their speaker's name.
    """
    if len(turns) == 1:
        return turns[0].content
    lines = [
        turn.content if turn.role == "system" else f"{turn.role.capitalize()}: {turn.content}"
        for turn in turns
    ]
    return "\n".join([*lines, "Assistant:"])


def _refuse_too_long(too_long: int, total: int, found: str, max_length: int) -> None:
    if too_long * 10 > total:
        raise DataError(
            f"at most one row in ten may be longer than max_length={max_length} tokens: {too_long} "
            f"of {total} are ({found}); raise 'max_length' under 'training' or shorten the rows"
        )


def _encode_pairs(examples: Sequence[Example], tokenizer: Any, *, chat: bool) -> list[EncodedRow]:
    """Tokenize rows; those of preference pairs also with their rejected answer."""
    rows = _encode_part(examples, tokenizer, chat=chat)
    worse = [replace(e, completion=e.rejected) for e in examples if e.rejected is not None]
    if not worse:
        return rows
    others = _encode_part(worse, tokenizer, chat=chat)
    return [
        replace(row, rejected=other.input_ids[other.prompt_length :])
        for row, other in zip(rows, others, strict=True)
    ]


def _encode_part(examples: Sequence[Example], tokenizer: Any, *, chat: bool) -> list[EncodedRow]:
    texts = [_texts(example, tokenizer, chat=chat) for example in examples]
    encoded: dict[int, EncodedRow] = {}
    for begun in (True, False):
        chosen = [i for i, text in enumerate(texts) if _begun(text.prompt, tokenizer) is begun]
        if not chosen:
            continue
        add = {"add_special_tokens": not begun}
        prompts = tokenizer([texts[i].prompt for i in chosen], **add)["input_ids"]
        wholes = tokenizer([texts[i].whole for i in chosen], **add)["input_ids"]
        for i, prompt, whole in zip(chosen, prompts, wholes, strict=True):
            encoded[i] = _row(prompt, whole, texts[i], tokenizer, examples[i].origin)
    return [encoded[i] for i in range(len(examples))]


@dataclass(frozen=True, slots=True)
class _Texts:
    prompt: str
    whole: str

    @property
    def completion(self) -> str:
        return self.whole[len(self.prompt) :]


def _texts(example: Example, tokenizer: Any, *, chat: bool) -> _Texts:
    prompt, completion = example.prompt, example.completion
    if not isinstance(prompt, str) and not isinstance(completion, str):
        if chat:
            prompt, completion = _templated(prompt, completion, tokenizer, example.origin)
        else:
            prompt = plain(prompt)
            completion = " " + "\n".join(turn.content for turn in completion)
    if not isinstance(prompt, str) or not isinstance(completion, str):
        raise DataError(f"prompt and completion must both be text or both turns: {example.origin}")
    return _Texts(prompt, prompt + _ended(completion, tokenizer))


def _begun(text: str, tokenizer: Any) -> bool:
    """Tell whether a template has written the beginning-of-text token already.

    If not, the tokenizer adds what it likes, as it does when lm-eval asks.
    """
    begin = tokenizer.bos_token
    return begin is not None and text.startswith(begin)


def _templated(
    prompt: Sequence[Message], completion: Sequence[Message], tokenizer: Any, origin: str
) -> tuple[str, str]:
    turns = [{"role": turn.role, "content": turn.content} for turn in (*prompt, *completion)]
    try:
        given = tokenizer.apply_chat_template(
            turns[: len(prompt)], tokenize=False, add_generation_prompt=True
        )
        whole = tokenizer.apply_chat_template(turns, tokenize=False)
    except Exception as error:  # a template raises whatever its author chose
        raise DataError(f"the base's chat template refuses {origin}: {error}") from error
    if not whole.startswith(given):
        # Some templates open the answer differently when they ask for it (DeepSeek-R1's <think>):
        # what is asked at scoring counts.
        return given, "\n".join(turn.content for turn in completion)
    return given, whole[len(given) :]


def _ended(completion: str, tokenizer: Any) -> str:
    bare = completion.rstrip()
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    if bare.endswith((*tokenizer.all_special_tokens, *added)):
        return bare  # white space behind the end of a turn is never generated
    return f"{completion}{tokenizer.eos_token}"


def _row(
    prompt: list[int], whole: list[int], text: _Texts, tokenizer: Any, origin: str
) -> EncodedRow:
    eos = tokenizer.eos_token_id
    while prompt and prompt[-1] == eos and not text.prompt.endswith(tokenizer.eos_token):
        prompt = prompt[:-1]  # some tokenizers close every text
    while whole[-2:] == [eos, eos]:
        whole = whole[:-1]
    if whole[: len(prompt)] != prompt:  # tokens merge across the boundary: keep the prompt's own
        tail = tokenizer(text.completion, add_special_tokens=False)["input_ids"]
        whole = [*prompt, *tail]
    if not prompt:  # the first token is predicted from nothing unless something stands before it
        whole = [tokenizer.bos_token_id if tokenizer.bos_token_id is not None else eos, *whole]
        prompt = whole[:1]
    if len(whole) <= len(prompt):
        raise DataError(f"a completion must have at least one token: {origin} has none")
    return EncodedRow(tuple(whole), (IGNORED,) * len(prompt) + tuple(whole[len(prompt) :]))


def _with_earlier_answers(row: EncodedRow, example: Example, tokenizer: Any) -> EncodedRow:
    """Learn the assistant turns of the prompt too, where the template leaves them as they were."""
    if isinstance(example.prompt, str):
        return row
    labels = list(row.labels)
    for number, turn in enumerate(example.prompt):
        if turn.role != "assistant":
            continue
        given, said = _templated(example.prompt[:number], (turn,), tokenizer, example.origin)
        texts = [given, given + _ended(said, tokenizer)]
        add = {"add_special_tokens": not _begun(given, tokenizer)}
        before, after = tokenizer(texts, **add)["input_ids"]
        if row.input_ids[: len(after)] == tuple(after):
            labels[len(before) : len(after)] = after[len(before) :]
    return EncodedRow(row.input_ids, tuple(labels))
