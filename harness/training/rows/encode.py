"""Tokenize training rows: input ids, and the loss mask over completions.

The prompt has exactly the token ids that the model is given at inference. The completion ends with
one end-of-turn token, written by the chat template or, where there is none, by us.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from harness.errors import DataError, ModelError
from harness.records import Example, Message

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label of tokens without loss (``ignore_index`` of torch's cross entropy)."""

BATCH = 1000
"""Rows that are tokenized in one call."""

Span = tuple[int, int]
"""Start and end of a stretch of tokens."""


def token_ids(ids: Iterable[int] = ()) -> "array[int]":
    """Return token ids in four bytes each."""
    return array("i", ids)


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One training row: token ids (four bytes each) and the ``spans`` that the loss is on.

    ``rejected`` are the ids of a preference pair's worse answer to the same prompt, ``origin`` says
    where the row stands.
    """

    input_ids: "array[int]"
    spans: tuple[Span, ...]
    rejected: "array[int]" = field(default_factory=token_ids)
    origin: str = ""

    @property
    def labels(self) -> "array[int]":
        """The ids where the loss is, `IGNORED` elsewhere."""
        labels = token_ids([IGNORED]) * len(self.input_ids)
        for start, end in self.spans:
            labels[start:end] = self.input_ids[start:end]
        return labels

    @property
    def prompt_length(self) -> int:
        """Number of tokens before the first one with loss."""
        return self.spans[0][0]

    @property
    def length(self) -> int:
        """Number of tokens with the longer answer."""
        return max(len(self.input_ids), self.prompt_length + len(self.rejected))

    @property
    def learnt(self) -> int:
        """Number of tokens with loss."""
        return sum(end - start for start, end in self.spans)


def encode(
    examples: Iterable[Example],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    chat: bool,
    every_answer: bool = False,
) -> Iterator[EncodedRow]:
    """Tokenize examples one batch at a time, with the loss on completions only.

    Args:
        examples: Training rows, perhaps more than fit into memory.
        tokenizer: A tokenizer with an end-of-text token.
        chat: Whether turns go through the tokenizer's chat template; else they become plain text.
        every_answer: Whether earlier assistant turns of a conversation have loss too.

    Raises:
        DataError: If the chat template refuses a row, or a completion has no token.
        ModelError: If the tokenizer has no end-of-text token.
    """
    if tokenizer.eos_token is None:
        raise ModelError("training needs a base whose tokenizer has an end-of-text token: no eos")
    rows = iter(examples)
    while batch := list(islice(rows, BATCH)):
        for example, row in zip(batch, _encode_pairs(batch, tokenizer, chat=chat), strict=True):
            yield _with_earlier_answers(row, example, tokenizer) if every_answer and chat else row


TextSpan = tuple[str, bool]
"""A part of a row as text, and whether the loss is on it."""


def text_spans(row: EncodedRow, tokenizer: "PreTrainedTokenizerBase") -> tuple[TextSpan, ...]:
    """Return the text of a row, cut where the loss mask changes."""
    parts: list[TextSpan] = []
    done = 0
    for start, end in row.spans:
        if done < start:
            parts.append((tokenizer.decode(row.input_ids[done:start].tolist()), False))
        parts.append((tokenizer.decode(row.input_ids[start:end].tolist()), True))
        done = end
    if done < len(row.input_ids):
        parts.append((tokenizer.decode(row.input_ids[done:].tolist()), False))
    if row.rejected:
        parts += [(" rather than ", False), (tokenizer.decode(row.rejected.tolist()), True)]
    return tuple(parts)


def marked(parts: Iterable[TextSpan]) -> str:
    """Write a row with ⟦ ⟧ around what the loss is on."""
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


def _encode_pairs(
    examples: Sequence[Example], tokenizer: "PreTrainedTokenizerBase", *, chat: bool
) -> list[EncodedRow]:
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


def _encode_part(
    examples: Sequence[Example], tokenizer: "PreTrainedTokenizerBase", *, chat: bool
) -> list[EncodedRow]:
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


def _texts(example: Example, tokenizer: "PreTrainedTokenizerBase", *, chat: bool) -> _Texts:
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


def _begun(text: str, tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Tell whether a template has written the beginning-of-text token already.

    If not, the tokenizer adds what it likes, as it does when lm-eval asks.
    """
    begin = tokenizer.bos_token
    return begin is not None and text.startswith(begin)


def _templated(
    prompt: Sequence[Message],
    completion: Sequence[Message],
    tokenizer: "PreTrainedTokenizerBase",
    origin: str,
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


def _ended(completion: str, tokenizer: "PreTrainedTokenizerBase") -> str:
    bare = completion.rstrip()
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    if bare.endswith((*tokenizer.all_special_tokens, *added)):
        return bare  # white space behind the end of a turn is never generated
    return f"{completion}{tokenizer.eos_token}"


def _row(
    prompt: list[int],
    whole: list[int],
    text: _Texts,
    tokenizer: "PreTrainedTokenizerBase",
    origin: str,
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
    return EncodedRow(token_ids(whole), ((len(prompt), len(whole)),), origin=origin)


def _with_earlier_answers(
    row: EncodedRow, example: Example, tokenizer: "PreTrainedTokenizerBase"
) -> EncodedRow:
    """Put the loss on assistant turns of the prompt too, where the template leaves them as is."""
    if isinstance(example.prompt, str):
        return row
    spans = list(row.spans)
    for number, turn in enumerate(example.prompt):
        if turn.role != "assistant":
            continue
        given, said = _templated(example.prompt[:number], (turn,), tokenizer, example.origin)
        texts = [given, given + _ended(said, tokenizer)]
        add = {"add_special_tokens": not _begun(given, tokenizer)}
        before, after = tokenizer(texts, **add)["input_ids"]
        if row.input_ids[: len(after)].tolist() == after and len(before) < len(after):
            spans.append((len(before), len(after)))
    return replace(row, spans=_merged(spans))


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return spans in order, those that touch or overlap as one.

    >>> _merged([(5, 9), (1, 3), (3, 4)])
    ((1, 4), (5, 9))
    """
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def dataset_of(columns: "Mapping[str, Sequence[array[int]]]") -> "Dataset":
    """Return columns of token ids as a dataset, without making Python integers of them."""
    import numpy as np
    from datasets import Dataset

    return Dataset.from_dict(
        {name: [np.asarray(ids) for ids in rows] for name, rows in columns.items()}
    )
