"""Check a whole study before anything is written, trained or asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import training
from harness.errors import StudyError
from harness.pipeline.checks.eval_suites import check_watched
from harness.pipeline.checks.installed import check_installed
from harness.pipeline.checks.must_pass import must_pass
from harness.pipeline.checks.sweep_leakage import check_disjoint
from harness.pipeline.checks.training_rows import Prepared, describe, prepare
from harness.pipeline.progress import Progress, Silent
from harness.records import BASE, Example, ItemKey, Suite, TrainingData
from harness.store.run_folder import RunFolder
from harness.study import CandidateSection, Study, SuiteSection

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A checked study: everything that can be refused has been, and nothing is written yet."""

    study: Study
    folder: RunFolder
    prepared: Mapping[str, Prepared]
    loaded: Sequence["LoadedSuite"]
    cards: Sequence[TrainingData] = ()
    progress: Progress = field(default_factory=Silent)
    allow_identical: bool = False
    until_decided: bool = False
    must_pass: Mapping[str, Sequence[ItemKey]] = field(default_factory=dict)

    @property
    def examples(self) -> dict[str, Sequence[Example]]:
        """The rows that each candidate learns from, cleaned."""
        return {name: rows.examples for name, rows in self.prepared.items()}

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The suites with the margins that hold in this study."""
        return tuple(
            replace(loaded.suite, margin=self._margin(section, loaded.suite))
            for section, loaded in zip(self.study.suites, self.loaded, strict=True)
        )

    def _margin(self, section: SuiteSection, suite: Suite) -> float:
        return section.margin or self.study.gate.margin or suite.margin

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the suites' prompts."""
        return tuple(note for loaded in self.loaded for note in loaded.notes)

    @property
    def arms(self) -> tuple[str, ...]:
        """Everything that answers, the base first."""
        return (BASE, *(candidate.name for candidate in self.study.candidates))


def plan(
    study: Study,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    allow_identical: bool = False,
    until_decided: bool = False,
) -> PlannedRun:
    """Check the whole study and read its data, before anything is written or trained.

    Raises:
        StudyError: If a method, setting, suite, file or folder is not what the study needs.
        DataError: If a data file is malformed; the message names the line.
    """
    folder = RunFolder(out or Path("runs") / study.name)
    folder.check(study)
    check_installed(study)
    if until_decided and study.data.overlap == "exclude":
        raise StudyError(
            "an early end counts on every item: 'data: overlap: exclude' leaves some out; use warn "
            "or refuse, or all items"
        )
    progress = progress or Silent()
    with progress.task("read the rows"):
        prepared = prepare(study)
    _check_paths(study)
    _check_base(study)
    loaded = _load_suites(study, progress)
    with progress.task("check the rows"):
        check_disjoint(study, prepared, loaded)
        check_watched(study, loaded)
        cards = describe(study, prepared, loaded, folder.path)
    return PlannedRun(
        study=study,
        folder=folder,
        prepared=prepared,
        loaded=loaded,
        cards=cards,
        progress=progress,
        allow_identical=allow_identical,
        until_decided=until_decided,
        must_pass=must_pass(study, loaded),
    )


def _check_base(study: Study) -> None:
    """Refuse candidates that the base cannot take, from its configuration alone."""
    if study.base.backend:
        return
    from harness.models.adapter_folder import check_shapes, read_adapter_folder

    outline = training.outline(study.model_path, study.base)
    for candidate in study.candidates:
        if candidate.train:
            training.check_fits(candidate, model=outline, base=study.base)
        elif candidate.adapter and outline is not None:
            folder = read_adapter_folder(study.path(candidate.adapter))
            if folder.is_adapter:
                check_shapes(folder, outline)


def _check_paths(study: Study) -> None:
    for candidate in study.candidates:
        folder = study.path(candidate.adapter) if candidate.adapter else None
        if folder and not any((folder / name).is_file() for name in _MODEL_FILES):
            raise StudyError(
                f"candidate {candidate.name!r} needs an adapter folder: {folder} holds none of "
                f"{', '.join(_MODEL_FILES)}"
            )
    for section in study.suites:
        for key, value in (("data", section.data), ("databases", section.databases)):
            if value and not study.path(value).exists():
                raise StudyError(
                    f"suite {section.name!r} needs its {key}: {study.path(value)} does not exist"
                )


_MODEL_FILES = ("adapter_config.json", "config.json")


def _load_suites(study: Study, progress: Progress) -> list["LoadedSuite"]:
    from harness.engine import context_length, load_suite, load_tokenizer
    from harness.engine.remote.endpoints import check_endpoints, substitute_tokenizer

    with progress.task("read the suites", len(study.suites)) as advance:
        tokenizer = substitute_tokenizer(study) or load_tokenizer(study.model_path, study.base)
        fits = max_tokens = None
        if not study.base.backend:
            fits = context_length(study.model_path, study.base, tokenizer)
            max_tokens = fits - max(
                _virtual_tokens(study, candidate) for candidate in study.candidates
            )
        loaded = []
        for done, section in enumerate(study.suites):
            advance(done=done, note=section.name)
            loaded.append(
                load_suite(
                    section,
                    engine_tokenizer=tokenizer,
                    template=study.base.template,
                    seed=study.seed,
                    folder=study.folder,
                    max_tokens=max_tokens,
                )
            )
        check_endpoints(study, loaded)
        if fits is not None:
            _check_context(loaded, fits)
    return loaded


def _virtual_tokens(study: Study, candidate: CandidateSection) -> int:
    """Return how much of the context a candidate's own learnt tokens will take."""
    if candidate.adapter:
        from harness.models.adapter_folder import read_adapter_folder

        return read_adapter_folder(study.path(candidate.adapter)).virtual_tokens
    return int(training.settings_of(candidate).get("num_virtual_tokens") or 0)


def _check_context(loaded: Sequence["LoadedSuite"], fits: int) -> None:
    """Refuse a suite of which not one prompt fits the base's context."""
    for suite in loaded:
        shortest = min(len(r.context_ids) + len(r.continuation_ids) for r in suite.requests)
        if shortest > fits:
            raise StudyError(
                f"suite {suite.suite.name!r} does not fit the base: its shortest prompt has "
                f"{shortest} tokens and the context holds {fits}; take a base with a longer context"
            )
