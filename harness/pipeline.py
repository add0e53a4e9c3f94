"""One study, from its file to its report: plan → train → answer → score → compare → report.

Every step keeps what it finished and does only what is missing: a second run of the same study
trains nothing, asks the model nothing, and rewrites the report from the stored answers.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness import ingest, report, review, training
from harness.analysis import findings, pair
from harness.analysis.gate import EXIT_CODES, compare_pairs, gravest, settle
from harness.analysis.scores import arm_score
from harness.errors import StudyError
from harness.records import (
    BASE,
    Arm,
    Comparison,
    Example,
    ItemKey,
    LossPoint,
    Response,
    Result,
    Sample,
    Suite,
)
from harness.store import AnswerStore, read_samples, write_samples
from harness.store.run_folder import RunFolder, read_arm
from harness.store.versions import versions
from harness.study import CandidateSection, Study, SuiteSection

if TYPE_CHECKING:
    from harness.engine import Engine, LoadedSuite

Advance = Callable[..., None]
Scored = Mapping[tuple[str, str], Sequence[Sample]]
"""Samples by (arm, suite)."""


class Progress(Protocol):
    """How a step tells a person how far it is."""

    def task(self, title: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Open a task; call what it yields with ``done=`` (absolute) and ``note=``."""
        ...


class Silent:
    """A progress that says nothing."""

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:  # noqa: ARG002
        """Yield a function that ignores what it is told."""
        yield lambda **_: None


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


def run(
    study: Study,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    allow_identical: bool = False,
) -> Result:
    """Train, score, compare and report a study, doing only what an earlier run left undone.

    Args:
        study: A checked study, from `harness.study.load`.
        out: The run folder; ``runs/<study name>`` below the working directory by default.
        progress: Where to tell how far it is; silent by default.
        allow_identical: Accept a candidate whose logits equal the base's.

    Returns:
        The result, as written to ``gate.json``, ``report.md`` and ``report.html``.

    Raises:
        HarnessError: For everything a user can mend; what is finished is kept.
    """
    planned = plan(study, out=out, progress=progress, allow_identical=allow_identical)
    arms = train(planned)
    samples = score(planned, arms)
    with planned.progress.task("compare"):
        result = compare(study, planned.suites, arms, samples)
    conclude(planned.folder, study, result, planned.progress)
    return result


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


def train(planned: Plan) -> tuple[Arm, ...]:
    """Train every candidate that is not trained yet; return all arms, the base first."""
    planned.folder.claim(planned.study)
    arms = [Arm(name=BASE, method="untuned", note="the model that every candidate starts from")]
    for candidate in planned.study.candidates:
        if candidate.adapter:
            path = planned.study.path(candidate.adapter)
            origin = "trained elsewhere"
            arms.append(
                Arm(name=candidate.name, method=origin, note=candidate.note, path=str(path))
            )
        else:
            arms.append(_train_one(planned, candidate))
    return tuple(arms)


def _train_one(planned: Plan, candidate: CandidateSection) -> Arm:
    study, examples = planned.study, planned.examples[candidate.name]
    with planned.progress.task(f"train {candidate.name}") as advance:

        def tell(point: LossPoint, steps: int) -> None:
            advance(done=point.step, total=steps, note=f"loss {point.loss:.3f}")

        return training.train(
            candidate,
            examples,
            base=study.base,
            model=study.model_path,
            out=planned.folder.adapter(candidate.name),
            seed=study.seed,
            on_progress=tell,
        )


def score(planned: Plan, arms: Sequence[Arm]) -> Scored:
    """Let every arm answer what it has not answered yet, and judge all answers."""
    planned.folder.claim(planned.study)
    planned.folder.declare(_declarations(planned, arms))
    store = AnswerStore(planned.folder.answers)
    responses = _answer(planned, arms, store)
    samples = {}
    with planned.progress.task("judge the answers", len(responses)) as advance:
        for done, ((arm, index), answers) in enumerate(responses.items()):
            loaded = planned.loaded[index]
            advance(done=done, note=f"{arm} on {loaded.suite.name}")
            judged = loaded.samples(arm, answers)
            samples[arm, loaded.suite.name] = judged
            write_samples(planned.folder.samples(arm, loaded.suite.name), judged)
    return samples


def _answer(
    planned: Plan, arms: Sequence[Arm], store: AnswerStore
) -> dict[tuple[str, int], dict[tuple[ItemKey, int], Response]]:
    """Fill the store with every answer it lacks; return all, by arm and suite position."""
    total = len(arms) * sum(len(loaded.requests) for loaded in planned.loaded)
    answers: dict[tuple[str, int], dict[tuple[ItemKey, int], Response]] = {}
    with planned.progress.task("answer", total) as advance:
        engine = _engine(planned, arms)
        done = 0
        for arm in arms:
            fingerprint = engine.fingerprint(arm.name)
            for index, loaded in enumerate(planned.loaded):
                known = store.get(fingerprint, loaded.requests)
                done += len(known)
                missing = [r for r in loaded.requests if (r.item, r.index) not in known]
                note = f"{arm.name} on {loaded.suite.name}"
                advance(done=done, note=note)
                for batch in engine.answer(arm.name, missing):
                    store.put(fingerprint, batch)
                    known.update({(r.item, r.index): response for r, response in batch})
                    done += len(batch)
                    advance(done=done, note=note)
                answers[arm.name, index] = known
    return answers


def _engine(planned: Plan, arms: Sequence[Arm]) -> "Engine":
    """Load the base once and attach every candidate, checked before anything is scored."""
    from harness.engine import Engine, check_same_ids

    base = planned.study.base
    engine = Engine.load(
        planned.study.model_path,
        revision=base.revision,
        dtype=base.dtype,
        device=base.device,
        quantization=base.quantization,
        trust_remote_code=base.trust_remote_code,
    )
    for arm in arms:
        if arm.path is not None:
            check_same_ids(planned.loaded, Path(arm.path))
            engine.attach(arm.name, Path(arm.path), allow_identical=planned.allow_identical)
    return engine


def _declarations(planned: Plan, arms: Sequence[Arm]) -> dict[str, Any]:
    """What a comparison is, fixed before a tuned answer is scored."""
    return {
        "alpha": planned.study.gate.alpha,
        "beta": planned.study.gate.beta,
        "suites": {suite.name: asdict(suite) for suite in planned.suites},
        "items": {loaded.suite.name: _items_sha256(loaded) for loaded in planned.loaded},
        "arms": [asdict(arm) for arm in arms],
        "versions": versions(),
        "study_file": planned.study.model_dump(mode="json"),
    }


def _items_sha256(loaded: "LoadedSuite") -> str:
    lines = sorted(f"{item.key}:{item.prompt_hash}" for item in loaded.items)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def compare(
    study: Study, suites: Sequence[Suite], arms: Sequence[Arm], samples: Scored
) -> Result:
    """Decide every suite of every candidate from the judged answers; no model, no files."""
    gate = study.gate
    comparisons: list[Comparison] = []
    for arm in arms[1:]:
        of_arm = [
            compare_pairs(
                arm.name,
                suite,
                pair(samples[BASE, suite.name], samples[arm.name, suite.name], suite),
                alpha=gate.alpha,
                beta=gate.beta,
                max_unscored=gate.max_unscored,
            )
            for suite in suites
        ]
        comparisons += settle(of_arm, alpha=gate.alpha)
    verdict = gravest(comparisons)
    return Result(
        study=study.name,
        base_model=study.base.model,
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        arms=tuple(arms),
        suites=tuple(suites),
        scores=tuple(
            arm_score(arm.name, suite, samples[arm.name, suite.name])
            for suite in suites
            for arm in arms
        ),
        comparisons=tuple(comparisons),
        findings=tuple(f for comparison in comparisons for f in findings(comparison)),
        versions=versions(),
        seed=study.seed,
    )


def conclude(folder: RunFolder, study: Study, result: Result, progress: Progress) -> None:
    """Write the gate files, the report and the sheets for raters."""
    with progress.task("report", 2) as advance:
        report.write(result, folder.path)
        advance(done=1, note="review sheets")
        if study.review.items_per_suite:
            review.write_sheets(
                result.comparisons,
                folder.review,
                items_per_suite=study.review.items_per_suite,
                raters=study.review.raters,
                seed=study.seed,
            )


def reopen(folder: RunFolder) -> tuple[Study, Result]:
    """Compare a finished run again from its samples; no model, no task is loaded.

    Raises:
        StudyError: If the folder holds no scored run.
    """
    lock = folder.read_lock()
    if "suites" not in lock:
        raise StudyError(f"a run folder must hold a scored run: {folder.path} does not; run first")
    study = Study.model_validate({**lock["study_file"], "folder": folder.path})
    suites = [Suite(**{**d, "slices": tuple(d["slices"])}) for d in lock["suites"].values()]
    arms = [read_arm(data) for data in lock["arms"]]
    samples = {
        (arm.name, suite.name): read_samples(folder.samples(arm.name, suite.name))
        for arm in arms
        for suite in suites
    }
    return study, compare(study, suites, arms, samples)
