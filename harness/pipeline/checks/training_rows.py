"""Training rows on their way to a candidate: read, cleaned, described, and searched for test items.

All of it happens before anything is trained, and what it found goes into the run's data cards.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import corpus, ingest, training
from harness.errors import DataError, InfrastructureError
from harness.records import Copy, Example, Item, TrainingData
from harness.store.data_cards import read_card
from harness.study import CandidateSection, DataSection, Query, Study
from harness.training.saved import data_sha256
from harness.versions import versions

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The rows of one candidate, cleaned; ``validation`` holds those of a source of their own."""

    source: str
    shape: str
    cleaned: corpus.Cleaned
    validation: tuple[Example, ...] = ()

    @property
    def examples(self) -> tuple[Example, ...]:
        """The rows to learn from."""
        return self.cleaned.examples

    @property
    def touched(self) -> dict[str, tuple[str, ...]]:
        """The rows that each step of cleaning touched, by the step's name."""
        return {**self.cleaned.changed, **self.cleaned.dropped, **self.cleaned.flagged}


def prepare(study: Study) -> dict[str, Prepared]:
    """Read and clean the rows of every candidate that is trained; a shared source is read once.

    Raises:
        StudyError: If a candidate's method, settings or arguments are not known.
        DataError: If rows cannot be read or learnt from, or validation rows are among them.
    """
    read: dict[str, Prepared] = {}
    prepared = {}
    for candidate in study.candidates:
        if candidate.train is None:
            continue
        training.check(candidate)
        source = str(candidate.train)
        if source not in read:
            read[source] = _read(study, candidate.train)
        mine = read[source]
        if isinstance(candidate.validation, (str, Query)):
            held = _read(study, candidate.validation)
            _refuse_shared(mine, held)
            mine = replace(mine, validation=held.examples)
        prepared[candidate.name] = mine
    return prepared


def describe(
    study: Study,
    prepared: Mapping[str, Prepared],
    loaded: Sequence["LoadedSuite"],
    run: Path,
) -> tuple[TrainingData, ...]:
    """Return the data card of every trained candidate.

    One that an earlier run left in its folder is taken if everything it depends on is the same.

    Raises:
        DataError: If rows do not fit the base's context, or test items are among them and the
            study refuses that.
        ModelError: If the base's tokenizer cannot be loaded.
    """
    items = [item for suite in loaded for item in suite.items]
    searched: dict[str, tuple[Copy, ...]] = {}
    cards = []
    for candidate in study.candidates:
        if candidate.name not in prepared:
            continue
        rows = prepared[candidate.name]
        mark = _fingerprint(study, candidate, rows, items)
        card = _kept(run, candidate.name)
        if card is None or card.fingerprint != mark:
            if rows.source not in searched:
                searched[rows.source] = copies(rows.examples, items)
            found = searched[rows.source]
            card = replace(_card(study, candidate, rows, found), fingerprint=mark)
        if card.copies and study.data.overlap == "refuse":
            raise DataError(_refusal(candidate.name, card.copies, len(items)))
        cards.append(card)
    return tuple(cards)


def rules_of(section: DataSection) -> corpus.Rules:
    """Return what a study asks of cleaning."""
    return corpus.Rules(
        texts=section.clean,
        repetitions=section.repetitions,
        characters=(section.min_characters, section.max_characters),
        languages=section.languages,
    )


def copies(examples: Sequence[Example], items: Sequence[Item]) -> tuple[Copy, ...]:
    """List the items that occur in training rows: their question, or question and gold answer."""
    texts = [corpus.text_of(example) for example in examples]
    asked = [_question(item) for item in items]
    whole = [f"{question}\n{item.target}" for question, item in zip(asked, items, strict=True)]
    found: dict[int, corpus.Overlap] = {}
    for hit in corpus.overlap(texts, [*asked, *whole]):
        number = hit.item % len(items)
        if number not in found or _STRENGTH[hit.kind] < _STRENGTH[found[number].kind]:
            found[number] = hit
    return tuple(
        Copy(
            item=items[number].key,
            kind=hit.kind,
            origin=examples[hit.text].origin,
            shared=hit.shared[:200],
        )
        for number, hit in sorted(found.items())
    )


_STRENGTH = {"exact": 0, "ngram": 1, "near": 2}


def _question(item: Item) -> str:
    """Return what is specific to an item: its question, or all it shows where it has none."""
    question = item.doc.get("question")
    if isinstance(question, str) and "messages" not in item.doc:
        return question
    return item.prompt


def _kept(run: Path, candidate: str) -> TrainingData | None:
    try:
        return read_card(run, candidate)
    except InfrastructureError:
        return None  # cut short or of another version: it is written again


def _fingerprint(
    study: Study, candidate: CandidateSection, rows: Prepared, items: Sequence[Item]
) -> str:
    decides = [
        data_sha256(rows.examples),
        data_sha256(rows.validation),
        {name: len(origins) for name, origins in rows.touched.items()},
        [[*item.key, item.prompt_hash] for item in items],
        candidate.model_dump(mode="json", exclude={"name", "note"}),
        study.base.model_dump(mode="json"),
        study.data.model_dump(mode="json"),
        versions(),
    ]
    return hashlib.sha256(json.dumps(decides, default=str).encode()).hexdigest()


def _read(study: Study, source: str | Query) -> Prepared:
    shapes: set[str] = set()
    place = f"{study.folder}/"

    def rows() -> Iterable[Example]:
        for shape, example in ingest.iter_examples(source, study.folder):
            shapes.add(shape.name)
            yield replace(example, origin=example.origin.removeprefix(place))

    cleaned = corpus.clean(rows(), rules_of(study.data))
    if not cleaned.examples:
        dropped = ", ".join(f"{len(o)} {name}" for name, o in cleaned.dropped.items() if o)
        raise DataError(f"cleaning must leave rows to learn: {source} has none left ({dropped})")
    return Prepared(source=str(source), shape=shapes.pop(), cleaned=cleaned)


def _refuse_shared(rows: Prepared, held: Prepared) -> None:
    known = {_asked(example): example.origin for example in reversed(rows.examples)}
    shared = [example for example in held.examples if _asked(example) in known]
    if shared:
        first = shared[0]
        raise DataError(
            f"validation rows must not be among the training rows: {first.origin} asks what "
            f"{known[_asked(first)]} asks, {len(shared)} of {len(held.examples)} rows do; "
            "take them out of one of the two"
        )


def _asked(example: Example) -> str:
    prompt = corpus.text_of(replace(example, completion="", rejected=None))
    return " ".join((prompt if prompt.strip() else corpus.text_of(example)).split())


def _refusal(candidate: str, found: Sequence[Copy], total: int) -> str:
    first = found[0]
    return (
        f"test items must not be in the training rows (data: overlap: refuse): {len(found)} of "
        f"{total} items are in those of {candidate!r}, the first of suite {first.item[0]!r} in "
        f"{first.origin} ({first.shared[:60]!r}); take these rows out"
    )


def _card(
    study: Study, candidate: CandidateSection, rows: Prepared, found: tuple[Copy, ...]
) -> TrainingData:
    seen = training.data_card(
        candidate, rows.examples, model=study.model_path, base=study.base, pictures=0
    )
    if rows.validation:  # refuse rows that do not fit before anything is trained
        training.data_card(
            candidate, rows.validation, model=study.model_path, base=study.base, pictures=0
        )
    return TrainingData(
        candidate=candidate.name,
        source=rows.source,
        shape=rows.shape,
        read=rows.cleaned.read,
        rows=seen.rows,
        changed=_counts(rows.cleaned.changed),
        dropped=_counts(rows.cleaned.dropped),
        flagged=_counts(rows.cleaned.flagged),
        tokens=seen.tokens,
        learnt=seen.learnt,
        too_long=seen.too_long,
        longest=seen.longest,
        max_length=seen.max_length,
        lengths=seen.lengths,
        validation=len(rows.validation),
        copies=found,
        excluded=study.data.overlap == "exclude",
    )


def _counts(touched: Mapping[str, Sequence[str]]) -> dict[str, int]:
    return {name: len(origins) for name, origins in touched.items()}
