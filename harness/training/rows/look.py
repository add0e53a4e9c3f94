"""A first look at rows as a base would see them, however many there are."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from harness.errors import DataError
from harness.models.load_model import context_length, load_tokenizer
from harness.records import Example
from harness.study import BaseSection
from harness.training.rows.chat_template import check_template
from harness.training.rows.encode import Stretch, encode, stretches

_CHUNK = 1000
_ANY_LENGTH = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Counts over all rows, and some of them token by token.

    ``lengths`` maps a row length in tokens to its number of rows, ``room`` is the base's context,
    ``templated`` says whether its chat template was used, ``pictures`` are rows drawn at random:
    where each stands, and its text in stretches that are learnt or only read.
    """

    rows: int
    tokens: int
    learnt: int
    lengths: Counter[int]
    room: int
    templated: bool
    pictures: tuple[tuple[str, tuple[Stretch, ...]], ...]

    @property
    def too_long(self) -> int:
        """Number of rows that the context does not hold."""
        return sum(rows for length, rows in self.lengths.items() if length > self.room)


def look(
    examples: Iterable[Example], *, model: str, base: BaseSection, pictures: int = 3, seed: int = 0
) -> Look:
    """Tokenize rows in passing; nothing of them is kept but counts and a few pictures.

    Args:
        examples: Rows, perhaps more than fit into memory.
        model: What transformers can load: a folder or a hub name.
        base: Which template and tokenizer the rows go through.
        pictures: How many rows to show.
        seed: Which rows are shown.

    Raises:
        DataError: If rows cannot be learnt from, or there are none.
        ModelError: If the tokenizer cannot be loaded, or its template cannot ask for an answer.
    """
    tokenizer = load_tokenizer(model, base, padding=True)
    chat = base.template == "auto" and bool(tokenizer.chat_template)
    if chat:
        check_template(tokenizer)
    draw = random.Random(seed)
    lengths: Counter[int] = Counter()
    chosen: list[tuple[int, Example, Any]] = []
    tokens = learnt = number = 0
    for part in _chunks(examples):
        encoded = encode(part, tokenizer, chat=chat, max_length=_ANY_LENGTH)
        for example, row in zip(part, encoded.rows, strict=True):
            lengths[row.length] += 1
            tokens += len(row.input_ids)
            learnt += row.learnt
            place = number if number < pictures else draw.randint(0, number)
            if place < pictures:
                chosen[place : place + 1] = [(number, example, row)]
            number += 1
    if not number:
        raise DataError("there must be rows to look at: cleaning left none")
    shown = sorted(chosen, key=lambda entry: entry[0])
    return Look(
        rows=number,
        tokens=tokens,
        learnt=learnt,
        lengths=lengths,
        room=context_length(model, base, tokenizer),
        templated=chat,
        pictures=tuple((e.origin, stretches(row, tokenizer)) for _, e, row in shown),
    )


def _chunks(examples: Iterable[Example]) -> Iterator[Sequence[Example]]:
    rows = iter(examples)
    while part := list(islice(rows, _CHUNK)):
        yield part
