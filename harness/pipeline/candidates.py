"""Planned candidates: section checked; rows read, cleaned, tokenized and described once."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness import corpus, ingest, training
from harness.errors import DataError, InfrastructureError, StudyError
from harness.pipeline.checks.eval_suites import check_eval_suites
from harness.pipeline.checks.shipped_forms import check_form
from harness.pipeline.checks.training_rows import check_sweep_leakage, copies, refuse_copies
from harness.records import Copy, Example, Item, TrainingData
from harness.store.data_cards import read_card
from harness.study import CandidateSection, DataSection, Query, Study
from harness.versions import versions

if TYPE_CHECKING:
    import torch

    from harness.engine import LoadedSuite


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCandidate:
    """One candidate as it will be trained and judged.

    ``section`` is checked; its name is the arm's. ``recipe`` is the name of the study's candidate
    whose ``seeds`` this is one of. ``virtual_tokens`` are those that it takes of the context.
    ``source``, ``rows`` and ``card`` are None for a candidate that is not trained here, ``card``
    also until the suites are known.
    """

    section: CandidateSection
    seed: int
    recipe: str = ""
    virtual_tokens: int = 0
    source: "CleanRows | None" = None
    rows: training.TrainingRows | None = None
    card: TrainingData | None = None

    @property
    def name(self) -> str:
        """The arm's name."""
        return self.section.name

    @property
    def forms(self) -> tuple[str, ...]:
        """The arms of the forms that it is served in."""
        return self.section.form_arms

    @property
    def origin(self) -> str:
        """The name of the study's candidate that it is, or one of whose seeds it is."""
        return self.recipe or self.name

    @property
    def examples(self) -> Sequence[Example]:
        """The cleaned rows of its source."""
        return self.source.cleaned.examples if self.source else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRows:
    """The rows of one source after cleaning; ``sha256`` is of what they say.

    ``ignored`` counts the rows of columns that nothing is learnt from.
    """

    source: str
    shape: str
    cleaned: corpus.Cleaned
    sha256: str
    ignored: Mapping[str, int]

    @property
    def touched(self) -> Mapping[str, Sequence[str]]:
        """The rows that each step of cleaning touched, by the step's name."""
        return {**self.cleaned.changed, **self.cleaned.dropped, **self.cleaned.flagged}


class RowReader:
    """Reads, cleans and tokenizes each source of a study once, whoever shares it."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._sources: dict[str, CleanRows] = {}
        self._tokenizer = training.RowTokenizer(study.model_path, study.base)
        self._tokenized: dict[tuple[str, bool], training.TokenizedRows] = {}

    def read(self, source: str | Query) -> CleanRows:
        """Return the rows of a source, cleaned.

        Raises:
            DataError: If they cannot be read or learnt from, or cleaning leaves none.
        """
        if str(source) not in self._sources:
            self._sources[str(source)] = self._read(source)
        return self._sources[str(source)]

    def rows_of(self, candidate: CandidateSection, *, seed: int) -> training.TrainingRows:
        """Return the rows of a candidate that is trained, split, and tokenized when first used.

        Raises:
            DataError: If they cannot be learnt from, or validation rows are among them.
        """
        if candidate.train is None:
            raise StudyError(f"candidate {candidate.name!r} has no training rows: set 'train'")
        form = training.token_form(training.settings_of(candidate), training.training_of(candidate))
        rows = self.read(candidate.train)
        training.check_rows(candidate.objective, rows.cleaned.examples)
        validation = None
        if isinstance(candidate.validation, (str, Query)):
            held_out = self.read(candidate.validation)
            _refuse_shared(rows.cleaned.examples, held_out.cleaned.examples)
            training.check_rows(candidate.objective, held_out.cleaned.examples)
            validation = self._tokens(held_out, every_answer=form.every_answer)
        return training.training_rows(
            candidate,
            self._tokens(rows, every_answer=form.every_answer),
            seed=seed,
            validation=validation,
        )

    def _tokens(self, rows: CleanRows, *, every_answer: bool) -> training.TokenizedRows:
        key = (rows.source, every_answer)
        if key not in self._tokenized:
            self._tokenized[key] = training.TokenizedRows(
                rows.cleaned.examples, self._tokenizer, every_answer=every_answer
            )
        return self._tokenized[key]

    def _read(self, source: str | Query) -> CleanRows:
        shapes: set[str] = set()
        folder = f"{self._study.folder}/"
        unlearnt = ingest.Unlearnt()

        def examples() -> Iterator[Example]:
            for shape, example in ingest.iter_examples(source, self._study.folder, unlearnt):
                shapes.add(shape.name)
                yield replace(example, origin=example.origin.removeprefix(folder))

        cleaned = corpus.clean(examples(), rules_of(self._study.data))
        if not cleaned.examples:
            dropped = ", ".join(f"{len(o)} {name}" for name, o in cleaned.dropped.items() if o)
            raise DataError(
                f"cleaning must leave rows to learn: {source} has none left ({dropped})"
            )
        unlearnt.rows[:] = [origin.removeprefix(folder) for origin in unlearnt.rows]
        return CleanRows(
            source=str(source),
            shape=shapes.pop(),
            cleaned=replace(
                cleaned,
                read=cleaned.read + len(unlearnt.rows),
                dropped=unlearnt.dropped(cleaned.dropped),
            ),
            sha256=training.data_sha256(cleaned.examples),
            ignored=unlearnt.ignored,
        )


class CandidatePlanner:
    """Plans the candidates of a study one at a time; what they share is computed once."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._reader = RowReader(study)
        self._copies: dict[str, tuple[Copy, ...]] = {}

    @property
    def study(self) -> Study:
        """The study on the base that the candidates are planned for."""
        return self._study

    def plan(self, section: CandidateSection, *, seed: int, recipe: str = "") -> PlannedCandidate:
        """Check one candidate against the base, and read its rows.

        Raises:
            StudyError: If its method, settings, arguments or folder are not what a study needs.
            DataError: If its rows cannot be read or learnt from.
            ModelError: If it does not fit the base.
        """
        planned = PlannedCandidate(section=section, seed=seed, recipe=recipe)
        if section.adapter:
            return replace(planned, virtual_tokens=self._check_adapter(section))
        if section.train is None:
            return planned
        training.check(section)
        training.check_fits(section, model=self._base, base=self._study.base)
        form = training.token_form(training.settings_of(section), training.training_of(section))
        method = training.METHODS[section.method]
        check_form(
            section,
            self._study.base,
            is_whole=method.config is None,
            is_virtual=method.virtual_tokens,
        )
        rows = self._reader.rows_of(section, seed=seed)
        training.check_warmup(section, rows=len(rows.learnt))
        return replace(
            planned,
            virtual_tokens=form.virtual_tokens,
            source=self._reader.read(section.train),
            rows=rows,
        )

    def check_with_suites(
        self, candidate: PlannedCandidate, loaded: Sequence["LoadedSuite"], run: Path
    ) -> PlannedCandidate:
        """Check one candidate against the suites, and return it with its data card.

        A card that an earlier run left in its folder is taken if everything that it depends on is
        the same: the rows are then tokenized only for a training.

        Raises:
            StudyError: If suites that it evaluates during training are none of the study's.
            DataError: If rows do not fit the base's context, or test items are among them where
                they must not be.
            ModelError: If the base's tokenizer cannot be loaded.
        """
        items = [item for suite in loaded for item in suite.items]
        check_eval_suites(candidate.section, loaded)
        if candidate.source is None or candidate.rows is None:
            return candidate
        overlap = self._study.data.overlap
        check_sweep_leakage(candidate.section, candidate.rows, items, exclude=overlap == "exclude")
        fingerprint = self._fingerprint(candidate, candidate.source, items)
        card = _earlier_card(run, candidate.name)
        if card is None or card.fingerprint != fingerprint:
            card = replace(
                _card(candidate.section, candidate.source, candidate.rows),
                ignored=self._ignored(candidate.section, candidate.source),
                copies=self._copies_in(candidate.source, items),
                excluded=overlap == "exclude",
                fingerprint=fingerprint,
            )
        if overlap == "refuse":
            refuse_copies(candidate.name, card.copies, len(items))
        return replace(candidate, card=card)

    @cached_property
    def _base(self) -> "torch.nn.Module | None":
        """The base's modules without weights."""
        return training.outline(self._study.model_path, self._study.base)

    def _check_adapter(self, section: CandidateSection) -> int:
        """Check an adapter's folder; return how many virtual tokens it has."""
        from harness.models.adapter_folder import (
            MODEL_FILES,
            check_shapes,
            find_candidate,
            read_adapter_folder,
        )
        from harness.models.adapter_tensors import check_outline

        training.check(section)
        path = find_candidate(self._study.path(section.adapter or ""))
        if not any((path / name).is_file() for name in MODEL_FILES):
            raise StudyError(
                f"candidate {section.name!r} needs an adapter folder: {path} holds none of "
                f"{', '.join(MODEL_FILES)}"
            )
        folder = read_adapter_folder(path)
        if folder.is_adapter and self._base is not None:
            check_shapes(folder, self._base)
            check_outline(folder, self._base)
        check_form(
            section,
            self._study.base,
            is_whole=not folder.is_adapter,
            is_virtual=folder.is_prompt_learning,
        )
        return folder.virtual_tokens

    def _ignored(self, section: CandidateSection, rows: CleanRows) -> dict[str, int]:
        """Count the rows of columns that nothing is made of, a validation source's too."""
        if not isinstance(section.validation, (str, Query)):
            return dict(rows.ignored)
        held_out = self._reader.read(section.validation).ignored
        return {**rows.ignored, **{f"validation's {name}": n for name, n in held_out.items()}}

    def _copies_in(self, rows: CleanRows, items: Sequence[Item]) -> tuple[Copy, ...]:
        if rows.source not in self._copies:
            self._copies[rows.source] = copies(rows.cleaned.examples, items)
        return self._copies[rows.source]

    def _fingerprint(
        self, candidate: PlannedCandidate, rows: CleanRows, items: Sequence[Item]
    ) -> str:
        """Return a sha256 of everything that a candidate's data card depends on."""
        validation = candidate.rows.validation if candidate.rows else None
        decides = [
            rows.sha256,
            training.data_sha256(validation.examples if validation else ()),
            {name: len(origins) for name, origins in rows.touched.items()},
            self._ignored(candidate.section, rows),
            [[*item.key, item.prompt_hash] for item in items],
            candidate.section.model_dump(
                mode="json", exclude={"name", "note", "seeds", "ships_as", "form_of"}
            ),
            self._study.base.model_dump(mode="json"),
            self._study.data.model_dump(mode="json"),
            versions(),
        ]
        return hashlib.sha256(json.dumps(decides, default=str).encode()).hexdigest()


def rules_of(section: DataSection) -> corpus.Rules:
    """Return what a study asks of cleaning."""
    return corpus.Rules(
        texts=section.clean,
        repetitions=section.repetitions,
        characters=(section.min_characters, section.max_characters),
        languages=section.languages,
    )


def _card(
    section: CandidateSection, source: CleanRows, rows: training.TrainingRows
) -> TrainingData:
    """Describe a candidate's rows; the copies of test items in them are not looked for here."""
    form = training.token_form(training.settings_of(section), training.training_of(section))
    learnt, held_out = rows.encoded(form)
    own = [learnt] if rows.validation is not None or held_out is None else [learnt, held_out]
    counts = training.DataCard()
    for part in own:
        counts.count(part.rows)
    return TrainingData(
        candidate=section.name,
        source=source.source,
        shape=source.shape,
        read=source.cleaned.read,
        rows=counts.rows,
        changed=_numbers(source.cleaned.changed),
        dropped=_numbers(source.cleaned.dropped),
        flagged=_numbers(source.cleaned.flagged),
        tokens=counts.tokens,
        learnt=counts.learnt,
        too_long=sum(part.too_long for part in own),
        longest=max(part.longest for part in own),
        max_length=learnt.max_length,
        lengths=counts.histogram(),
        validation=len(rows.validation.examples) if rows.validation is not None else 0,
    )


def _numbers(touched: Mapping[str, Sequence[str]]) -> dict[str, int]:
    return {name: len(origins) for name, origins in touched.items()}


def _earlier_card(run: Path, candidate: str) -> TrainingData | None:
    try:
        return read_card(run, candidate)
    except InfrastructureError:
        return None  # cut short or of another version: it is written again


def _refuse_shared(learnt: Sequence[Example], held_out: Sequence[Example]) -> None:
    known = {_prompt(example): example.origin for example in reversed(learnt)}
    shared = [example for example in held_out if _prompt(example) in known]
    if shared:
        first = shared[0]
        raise DataError(
            f"validation rows must not be among the training rows: {first.origin} asks what "
            f"{known[_prompt(first)]} asks, {len(shared)} of {len(held_out)} rows do; "
            "take them out of one of the two"
        )


def _prompt(example: Example) -> str:
    prompt = corpus.text_of(replace(example, completion="", rejected=None))
    return " ".join((prompt if prompt.strip() else corpus.text_of(example)).split())
