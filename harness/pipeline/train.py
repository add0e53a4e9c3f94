"""Train every candidate that is not trained yet."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import training
from harness.errors import StudyError, nearest
from harness.files import weights_sha256
from harness.pipeline.answers.join_endpoints import remote_base, remote_candidate
from harness.pipeline.candidates import PlannedCandidate
from harness.pipeline.checks.eval_suites import score_while_training
from harness.pipeline.checks.own_bases import other_model
from harness.pipeline.checks.shipped_forms import forms_of
from harness.pipeline.plan import PlannedRun
from harness.pipeline.progress import Silent
from harness.records import BASE, Arm, LossPoint
from harness.store.data_cards import write_card
from harness.store.run_folder import ELSEWHERE
from harness.study import CandidateSection
from harness.suites.items_used import write_items_used

if TYPE_CHECKING:
    from harness.models.protocols import CausalLM


def train(planned: PlannedRun, *, only: Collection[str] = ()) -> tuple[Arm, ...]:
    """Train every candidate that is not trained yet; return all arms, the base first.

    Args:
        planned: The study.
        only: Names of candidates, or of candidates with seeds; the others are left as they are and
            are no arms then.

    Raises:
        StudyError: If a name is no candidate's.
    """
    candidates = chosen(planned, only)
    if training.is_first():
        planned.folder.claim(planned.study)
        for candidate in candidates:
            if candidate.card and candidate.source:
                write_card(planned.folder.path, candidate.card, candidate.source.touched)
    return _arms(planned, candidates, must_be_trained=False)


def trained(planned: PlannedRun) -> tuple[Arm, ...]:
    """Return all arms, the base first, without training anything; nothing is written.

    Raises:
        StudyError: If a candidate is not trained yet.
    """
    return _arms(planned, planned.candidates, must_be_trained=True)


def untrained(planned: PlannedRun) -> list[str]:
    """Return the names of the candidates that `train` would train; nothing is written."""
    quiet, found = replace(planned, progress=Silent()), []
    for candidate in planned.candidates:
        if candidate.section.train is not None:
            try:
                _train_one(quiet, candidate, must_be_trained=True)
            except StudyError:
                found.append(candidate.name)
    return found


def chosen(planned: PlannedRun, only: Collection[str]) -> list[PlannedCandidate]:
    """Return the candidates of these names, all where none is given.

    Raises:
        StudyError: If a name is no candidate's.
    """
    known = {name for one in planned.candidates for name in (one.name, one.recipe) if name}
    for name in only:
        if name not in known:
            raise StudyError(f"the study has no candidate {name!r}{nearest(name, known)}")
    return [one for one in planned.candidates if not only or {one.name, one.recipe} & {*only}]


def _arms(
    planned: PlannedRun, candidates: Sequence[PlannedCandidate], *, must_be_trained: bool
) -> tuple[Arm, ...]:
    arms = [remote_base(planned) if planned.study.base.elsewhere else _untuned(planned)]
    for candidate in candidates:
        section, own = candidate.section, planned.own.get(candidate.name)
        if section.elsewhere:
            arm = remote_candidate(section)
        elif own is not None and not (section.adapter or section.train):
            arm = other_model(section, own)
        elif section.adapter:
            arm = _trained_elsewhere(section, planned.study.path(section.adapter))
        else:
            arm = _train_one(planned, candidate, must_be_trained=must_be_trained)
        arm = replace(
            arm,
            recipe=candidate.recipe,
            base=own.record if own else None,
            form_of=section.form_of or "",
        )
        arms += [arm, *forms_of(section, arm)]
    return tuple(arms)


def _untuned(planned: PlannedRun) -> Arm:
    base = Path(planned.study.model_path)
    known = weights_sha256(base) if base.is_dir() else ""  # a hub model has its revision
    return Arm(name=BASE, method="untuned", weights_sha256=known)


def _trained_elsewhere(candidate: CandidateSection, path: Path) -> Arm:
    from harness.models.adapter_folder import find_candidate

    path = find_candidate(path)
    return Arm(
        name=candidate.name,
        method=ELSEWHERE,
        note=candidate.note,
        path=str(path),
        weights_sha256=weights_sha256(path),
    )


def _train_one(planned: PlannedRun, candidate: PlannedCandidate, *, must_be_trained: bool) -> Arm:
    assert candidate.rows is not None  # every candidate that is trained here has rows
    loaded, study = planned.read_by(candidate.name), planned.study_of(candidate.name)
    watch = score_while_training(candidate.section, loaded, planned.choosing)
    latest = dict[str, float]()

    def score(model: "CausalLM") -> Mapping[str, float]:
        latest.update(watch.score(model) if watch else {})
        return dict(latest)

    with planned.progress.task(f"train {candidate.name}") as advance:

        def report(point: LossPoint, steps: int) -> None:
            advance(done=point.step, total=steps, note=_note(point, latest))

        try:
            arm = training.train(
                candidate.section,
                candidate.rows,
                base=study.base,
                model=study.model_path,
                out=planned.folder.adapter(candidate.name),
                seed=candidate.seed,
                on_progress=report,
                watch=replace(watch, score=score) if watch else None,
                must_be_trained=must_be_trained,
            )
        except ValueError as error:
            said = str(error).partition("\n")[0]
            raise StudyError(
                f"candidate {candidate.name!r} cannot be trained with these settings and arguments:"
                f" {said}; change them"
            ) from error
    if candidate.section.keep and training.is_first() and not must_be_trained:
        used = {name: planned.choosing[name].items for name in candidate.section.keep.suites}
        write_items_used(Path(str(arm.path)), used)
    return arm


def _note(point: LossPoint, scores: Mapping[str, float]) -> str:
    """Return a progress note: losses, tokens per second, latest suite scores."""
    parts = [f"loss {point.loss:.3f}"]
    if point.eval_loss is not None:
        parts.append(f"held out {point.eval_loss:.3f}")
    if point.tokens_per_second:
        parts.append(f"{point.tokens_per_second:,.0f} tokens/s")
    return ", ".join([*parts, *(f"{suite} {score:.0%}" for suite, score in scores.items())])
