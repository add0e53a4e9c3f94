"""A candidate's rows, tokenized once: for its data card and for its training."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from harness.corpus import hold_out, text_of
from harness.errors import DataError
from harness.models.load_model import context_length, load_tokenizer
from harness.records import Example
from harness.study import BaseSection, CandidateSection
from harness.training.config.methods import Settings
from harness.training.config.settings import whole_number
from harness.training.rows.chat_template import check_template
from harness.training.rows.encode import EncodedRow, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST = 2048
"""``max_length`` unless a study says otherwise or the base's context is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenForm:
    """What of a candidate's settings decides its token ids.

    ``max_length`` is the longest row in tokens (of the study's ``max_length`` and what virtual
    tokens leave of the context), ``every_answer`` puts the loss on all assistant turns.
    """

    max_length: int
    virtual_tokens: int = 0
    every_answer: bool = False


def token_form(settings: Settings, arguments: Settings) -> TokenForm:
    """Return what PEFT's settings and TRL's arguments of a candidate say of its token ids."""
    return TokenForm(
        max_length=whole_number(arguments, "max_length") or LONGEST,
        virtual_tokens=whole_number(settings, "num_virtual_tokens"),
        every_answer=bool(arguments.get("assistant_only_loss")),
    )


class RowTokenizer:
    """A base's tokenizer and chat template, as training and scoring use them; loaded when needed.

    Raises:
        ModelError: When first used, if the tokenizer cannot be loaded or its chat template has no
            generation prompt.
    """

    def __init__(self, model: str, base: BaseSection) -> None:
        self._model, self._base = model, base

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The base's tokenizer."""
        return load_tokenizer(self._model, self._base, padding=True)

    @cached_property
    def chat(self) -> bool:
        """Whether conversations go through the base's chat template."""
        chat = self._base.template == "auto" and bool(self.tokenizer.chat_template)
        if chat:
            check_template(self.tokenizer)
        return chat

    @cached_property
    def context_length(self) -> int:
        """How many tokens the base can attend to."""
        return context_length(self._model, self._base, self.tokenizer)

    def encode(
        self, examples: Iterable[Example], *, every_answer: bool = False
    ) -> Iterator[EncodedRow]:
        """Tokenize rows one batch at a time; see `harness.training.rows.encode.encode`."""
        return encode(examples, self.tokenizer, chat=self.chat, every_answer=every_answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Tokenized rows within a length, and what had to be left out.

    ``too_long`` counts rows above ``max_length`` tokens, ``longest`` is the longest of all,
    ``notes`` are sentences for a person.
    """

    rows: tuple[EncodedRow, ...]
    too_long: int
    longest: int
    max_length: int
    notes: tuple[str, ...] = ()


class TokenizedRows:
    """Cleaned rows whose token ids are computed once, at first use, and cached.

    Candidates with the same rows and loss mask share one. Ids take four bytes each; of rows beyond
    the base's context only the length stays.
    """

    def __init__(
        self, examples: Sequence[Example], tokenizer: RowTokenizer, *, every_answer: bool = False
    ) -> None:
        self.examples, self._tokenizer, self._every_answer = examples, tokenizer, every_answer
        self._rows: list[EncodedRow | None] = []
        self._lengths = array("i")

    def masked(self, *, every_answer: bool) -> "TokenizedRows":
        """Return these rows with a loss mask: themselves, or others that are tokenized anew."""
        if every_answer == self._every_answer:
            return self
        return TokenizedRows(self.examples, self._tokenizer, every_answer=every_answer)

    def within(self, form: TokenForm, positions: Sequence[int] | None = None) -> Encoded:
        """Return the rows that are no longer than a form allows.

        Args:
            form: The longest row.
            positions: Which rows; all by default.

        Raises:
            DataError: If more than one row in ten is too long, or a row cannot be learnt from.
            ModelError: If the tokenizer cannot be loaded or used.
        """
        self._tokenize()
        chosen = range(len(self.examples)) if positions is None else positions
        longest = self._tokenizer.context_length - form.virtual_tokens
        max_length = min(form.max_length, longest)
        rows = [
            row
            for i in chosen
            if self._lengths[i] <= max_length and (row := self._rows[i]) is not None
        ]
        too_long = len(chosen) - len(rows)
        if too_long * 10 > len(chosen):
            raise DataError(self._refusal(chosen, too_long, max_length))
        note = f"{too_long} of {len(chosen)} rows are longer than {max_length} tokens and left out"
        return Encoded(
            rows=tuple(rows),
            too_long=too_long,
            longest=max((self._lengths[i] for i in chosen), default=0),
            max_length=max_length,
            notes=(note,) if too_long else (),
        )

    def _tokenize(self) -> None:
        if self._lengths:
            return
        encoded = self._tokenizer.encode(self.examples, every_answer=self._every_answer)
        context = self._tokenizer.context_length
        for row in encoded:
            self._lengths.append(row.length)
            self._rows.append(row if row.length <= context else None)

    def _refusal(self, chosen: Sequence[int], too_long: int, max_length: int) -> str:
        first = next(i for i in chosen if self._lengths[i] > max_length)
        longest = max(self._lengths[i] for i in chosen)
        return (
            f"at most one row in ten may be longer than max_length={max_length} tokens: {too_long} "
            f"of {len(chosen)} are ({self.examples[first].origin} has {self._lengths[first]} "
            f"tokens, longest {longest}); raise 'max_length' under 'training' or shorten the rows"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRows:
    """The rows of one candidate: ``all_rows``, of which those at ``learnt`` are trained on.

    Those at ``held_out`` are for validation, or all of ``validation`` where they have a source of
    their own.
    """

    all_rows: TokenizedRows
    learnt: Sequence[int]
    held_out: Sequence[int] = ()
    validation: TokenizedRows | None = None

    @property
    def learnt_examples(self) -> Sequence[Example]:
        """The rows that are trained on."""
        return [self.all_rows.examples[i] for i in self.learnt]

    @property
    def held_out_examples(self) -> Sequence[Example]:
        """The rows that are held out for validation."""
        if self.validation is not None:
            return self.validation.examples
        return [self.all_rows.examples[i] for i in self.held_out]

    def encoded(self, form: TokenForm) -> tuple[Encoded, Encoded | None]:
        """Return the token ids that a training needs: of rows to train on, and of held-out ones.

        Raises:
            DataError: If more than one row in ten is too long, or a row cannot be learnt from.
        """
        rows = self.all_rows.masked(every_answer=form.every_answer)
        learnt = rows.within(form, self.learnt)
        if self.validation is not None:
            validation = self.validation.masked(every_answer=form.every_answer)
            return learnt, validation.within(form)
        return learnt, rows.within(form, self.held_out) if self.held_out else None


def training_rows(
    candidate: CandidateSection,
    rows: TokenizedRows,
    *,
    seed: int,
    validation: TokenizedRows | None = None,
) -> TrainingRows:
    """Split off a candidate's ``validation`` share; rows with the same prompt stay on one side.

    Texts without a prompt stay together by file, or where all are in one, by what they say.

    Raises:
        DataError: If all rows have the same prompt, or say the same.
    """
    everything = range(len(rows.examples))
    if validation is not None or not isinstance(candidate.validation, float):
        return TrainingRows(all_rows=rows, learnt=everything, validation=validation)
    learnt, held_out = hold_out(_groups(rows.examples), share=candidate.validation, seed=seed)
    return TrainingRows(all_rows=rows, learnt=learnt, held_out=held_out)


def _groups(examples: Sequence[Example]) -> list[str]:
    """Return what each row belongs to, of which nothing may be on both sides of a split."""
    prompts = [text_of(replace(row, completion="", rejected=None)) for row in examples]
    if any(prompt.strip() for prompt in prompts):
        return [p if p.strip() else text_of(row) for p, row in zip(prompts, examples, strict=True)]
    files = [row.origin.rpartition(":")[0] for row in examples]
    return files if len(set(files)) > 1 else [text_of(row) for row in examples]
