"""Check a whole study before anything is written, trained or asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ingest, training
from harness.errors import StudyError
from harness.pipeline.progress import Progress, Silent
from harness.records import BASE, Example, Suite
from harness.store.run_folder import RunFolder
from harness.study import CandidateSection, Study, SuiteSection

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A checked study: everything that can be refused has been, and nothing is written yet."""

    study: Study
    folder: RunFolder
    examples: Mapping[str, Sequence[Example]]
    loaded: Sequence["LoadedSuite"]
    progress: Progress = field(default_factory=Silent)
    allow_identical: bool = False

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
    def arms(self) -> tuple[str, ...]:
        """Everything that answers, the base first."""
        return (BASE, *(candidate.name for candidate in self.study.candidates))


def plan(
    study: Study,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    allow_identical: bool = False,
) -> Plan:
    """Check the whole study and read its data, before anything is written or trained.

    Raises:
        StudyError: If a method, setting, suite, file or folder is not what the study needs.
        DataError: If a data file is malformed; the message names the line.
    """
    folder = RunFolder(out or Path("runs") / study.name)
    folder.check(study)
    examples = {c.name: _examples(study, c) for c in study.candidates if c.train}
    for section in study.suites:
        if section.data and not study.path(section.data).exists():
            raise StudyError(f"suite {section.name!r} needs its data: no {section.data!r}")
    progress = progress or Silent()
    return Plan(
        study=study,
        folder=folder,
        examples=examples,
        loaded=_load_suites(study, progress),
        progress=progress,
        allow_identical=allow_identical,
    )


def _examples(study: Study, candidate: CandidateSection) -> Sequence[Example]:
    training.check(candidate)
    return ingest.read_examples(study.path(candidate.train or ""))


def _load_suites(study: Study, progress: Progress) -> list["LoadedSuite"]:
    from harness import engine

    with progress.task("read the suites", len(study.suites)) as advance:
        tokenizer = engine.load_tokenizer(study.model_path, study.base)
        loaded = []
        for done, section in enumerate(study.suites):
            advance(done=done, note=section.name)
            loaded.append(
                engine.load_suite(
                    section,
                    engine_tokenizer=tokenizer,
                    template=section.template or study.base.template,
                    seed=study.seed,
                    folder=study.folder,
                )
            )
    return loaded
