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
from harness.training.rows.templated import check_plain, earlier_answers, place_of, templated

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
    where the row stands. A single answer may be judged as not ``desirable`` (KTO).
    """

    input_ids: "array[int]"
    spans: tuple[Span, ...]
    rejected: "array[int]" = field(default_factory=token_ids)
    origin: str = ""
    desirable: bool = True

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
        for example in batch:
            if not chat:
                check_plain(example, every_answer=every_answer)
        for example, row in zip(batch, _encode_pairs(batch, tokenizer, chat=chat), strict=True):
            earlier = earlier_answers(example, every_answer=every_answer)
            yield _with_earlier_answers(row, example, tokenizer, earlier) if earlier else row


RATHER, UNDESIRABLE = " rather than ", " (to be said less: label is false)"

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
        parts += [(RATHER, False), (tokenizer.decode(row.rejected.tolist()), True)]
    if not row.desirable:
        parts.append((UNDESIRABLE, False))
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
            row = _row(prompt, whole, texts[i], tokenizer, examples[i].origin)
            encoded[i] = replace(row, desirable=examples[i].desirable is not False)
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
    by_template = False
    if not isinstance(prompt, str) and not isinstance(completion, str):
        _check_end(completion[-1].content, tokenizer, example.origin)
        if chat:
            prompt, completion = templated(example, tokenizer)
            by_template = True
        else:
            prompt = plain(prompt)
            completion = " " + "\n".join(turn.content for turn in completion)
    if not isinstance(prompt, str) or not isinstance(completion, str):
        raise DataError(f"prompt and completion must both be text or both turns: {example.origin}")
    if not by_template:
        _check_end(completion, tokenizer, example.origin)
    return _Texts(prompt, prompt + _ended(completion, tokenizer, by_template=by_template))


def _begun(text: str, tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Tell whether a template has written the beginning-of-text token already.

    If not, the tokenizer adds what it likes, as it does when lm-eval asks.
    """
    begin = tokenizer.bos_token
    return begin is not None and text.startswith(begin)


FOREIGN_ENDS = (
    "</s>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<end_of_turn>",
    "<|end|>", "<eos>",
)  # fmt: skip
"""How well-known models end an answer: text like any other to a base that has no such token."""


def _ended(completion: str, tokenizer: "PreTrainedTokenizerBase", *, by_template: bool) -> str:
    """Return an answer with one end: that of its template, or the tokenizer's end of text."""
    bare = completion.rstrip()
    special = {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special}
    ends = (*tokenizer.all_special_tokens, *special) if by_template else (tokenizer.eos_token,)
    if bare.endswith(tuple(str(end) for end in ends)):
        return bare  # white space behind the end of a turn is never generated
    return f"{completion}{tokenizer.eos_token}"


def _check_end(answer: str, tokenizer: "PreTrainedTokenizerBase", origin: str) -> None:
    """Refuse an answer that ends with the end token of another model's tokenizer."""
    bare = answer.rstrip()
    foreign = next((end for end in FOREIGN_ENDS if bare.endswith(end)), None)
    if foreign is not None and foreign not in tokenizer.get_vocab():
        raise DataError(
            f"an answer must not end with another model's end token: {origin} ends with "
            f"{foreign!r}, which the base would learn as a text; take it out, the base's own "
            f"{tokenizer.eos_token!r} is put there"
        )


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
    row: EncodedRow,
    example: Example,
    tokenizer: "PreTrainedTokenizerBase",
    earlier: Sequence[int],
) -> EncodedRow:
    """Put the loss on assistant turns of the prompt too, as far as they are whole tokens.

    Raises:
        DataError: If the place of one cannot be told.
    """
    whole = "".join(templated(example, tokenizer))
    add = {"add_special_tokens": not _begun(whole, tokenizer)}
    spans = list(row.spans)
    for number in earlier:
        start, end = place_of(number, example, tokenizer)
        before, after = tokenizer([whole[:start], whole[:end]], **add)["input_ids"]
        first, last = _in_common(before, row.input_ids), _in_common(after, row.input_ids)
        if last <= first:
            raise DataError(
                f"the tokens of answer {number + 1} of {example.origin} cannot be told from what "
                "stands around it: leave out assistant_only_loss, and 'train' or 'weight' of turns"
            )
        spans.append((first, last))
    return replace(row, spans=_merged(spans))


def _in_common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two rows begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


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
