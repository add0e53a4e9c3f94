"""What a candidate's rows look like to the model: lengths, and pictures of what is learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.models.load_model import context_length, load_tokenizer
from harness.records import Example
from harness.study import BaseSection, CandidateSection
from harness.training.config.job import Job
from harness.training.config.objectives import check_rows
from harness.training.config.settings import (
    check,
    method_of,
    objective_of,
    settings_of,
    training_of,
)
from harness.training.rows.chat_template import check_template
from harness.training.rows.encode import Encoded, encode, picture

LONGEST = 2048
"""Tokens in a row unless a study says otherwise or the base's context is shorter."""

_BINS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCard:
    """Counts over all rows of a candidate, and some rows as the model sees them.

    ``tokens`` is what is read, ``learnt`` what the loss looks at. ``lengths`` is a histogram:
    (longest row of the bin in tokens, rows in it). ``pictures`` show rows with the learnt stretches
    in ⟦ ⟧.
    """

    rows: int
    tokens: int
    learnt: int
    too_long: int
    longest: int
    max_length: int
    lengths: tuple[tuple[int, int], ...]
    pictures: tuple[str, ...]


def data_card(
    candidate: CandidateSection,
    examples: Sequence[Example],
    *,
    model: str,
    base: BaseSection,
    pictures: int = 3,
) -> DataCard:
    """Tokenize a candidate's rows as its training would, without loading the model.

    Args:
        candidate: Whose rows they are; its settings decide length and which turns are learnt.
        examples: All of its rows.
        model: What transformers can load: a folder or a hub name.
        base: Which template and tokenizer the rows go through.
        pictures: How many rows to show, spread over the file.

    Raises:
        StudyError: If the candidate's settings are not known.
        DataError: If rows cannot be learnt from.
        ModelError: If the tokenizer cannot be loaded.
    """
    check(candidate)
    check_rows(candidate.objective, examples)
    job = Job(
        name=candidate.name,
        method=method_of(candidate),
        objective=objective_of(candidate),
        settings=settings_of(candidate),
        arguments=training_of(candidate),
        model=model,
        base=base,
        seed=0,
        checkpoints=Path(),
    )
    tokenizer = load_tokenizer(model, base, padding=True)
    encoded = prepare(job, examples, tokenizer)
    rows = encoded.rows
    shown = rows[:: max(1, len(rows) // pictures)][:pictures] if pictures else ()
    return DataCard(
        rows=len(rows),
        tokens=sum(len(row.input_ids) for row in rows),
        learnt=sum(row.learnt for row in rows),
        too_long=encoded.too_long,
        longest=encoded.longest,
        max_length=encoded.max_length,
        lengths=_histogram([row.length for row in rows]),
        pictures=tuple(picture(row, tokenizer) for row in shown),
    )


def prepare(job: Job, examples: Sequence[Example], tokenizer: Any) -> Encoded:
    """Tokenize rows for a training: through the base's template, within its context."""
    longest = min(
        int(job.arguments.get("max_length") or LONGEST),
        context_length(job.model, job.base, tokenizer)
        - int(job.settings.get("num_virtual_tokens") or 0),
    )
    chat = job.base.template == "auto" and bool(tokenizer.chat_template)
    if chat:
        check_template(tokenizer)
    every = bool(job.arguments.get("assistant_only_loss"))
    return encode(examples, tokenizer, chat=chat, max_length=longest, every_answer=every)


def _histogram(lengths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    top = max(lengths, default=0)
    width = max(1, -(-top // _BINS))
    bins = range(width, top + width, width)
    return tuple((end, sum(end - width < length <= end for length in lengths)) for end in bins)
