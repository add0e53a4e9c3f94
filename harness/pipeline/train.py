"""Train every candidate that is not trained yet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import training
from harness.files import weights_sha256
from harness.pipeline.answers.join_endpoints import remote_base, remote_candidate
from harness.pipeline.checks.eval_suites import score_while_training
from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Arm, LossPoint
from harness.store.data_cards import write_card
from harness.study import CandidateSection


def train(planned: PlannedRun) -> tuple[Arm, ...]:
    """Train every candidate that is not trained yet; return all arms, the base first."""
    if training.is_first():
        planned.folder.claim(planned.study)
        for card in planned.cards:
            write_card(planned.folder.path, card, planned.prepared[card.candidate].touched)
    arms = [remote_base(planned) if planned.study.base.backend else _untuned(planned)]
    for candidate in planned.study.candidates:
        if candidate.backend:
            arms.append(remote_candidate(candidate))
        elif candidate.adapter:
            arms.append(_taken(candidate, planned.study.path(candidate.adapter)))
        else:
            arms.append(_train_one(planned, candidate))
    return tuple(arms)


def _untuned(planned: PlannedRun) -> Arm:
    base = Path(planned.study.model_path)
    known = weights_sha256(base) if base.is_dir() else ""  # a hub model has its revision
    return Arm(name=BASE, method="untuned", weights_sha256=known)


def _taken(candidate: CandidateSection, path: Path) -> Arm:
    return Arm(
        name=candidate.name,
        method="trained elsewhere",
        note=candidate.note,
        path=str(path),
        weights_sha256=weights_sha256(path),
    )


def _train_one(planned: PlannedRun, candidate: CandidateSection) -> Arm:
    study, rows = planned.study, planned.prepared[candidate.name]
    look, looked = score_while_training(candidate, planned.loaded), dict[str, float]()

    def score(model: Any) -> Mapping[str, float]:
        looked.update(look(model) if look else {})
        return looked

    with planned.progress.task(f"train {candidate.name}") as advance:

        def tell(point: LossPoint, steps: int) -> None:
            advance(done=point.step, total=steps, note=_note(point, looked))

        return training.train(
            candidate,
            rows.examples,
            base=study.base,
            model=study.model_path,
            out=planned.folder.adapter(candidate.name),
            seed=study.seed,
            on_progress=tell,
            checks=training.Checks(held_out=rows.validation, score=score if look else None),
        )


def _note(point: LossPoint, looked: Mapping[str, float]) -> str:
    """Say how a training goes: loss, speed, and suites that are looked at on the way."""
    parts = [f"loss {point.loss:.3f}"]
    if point.eval_loss is not None:
        parts.append(f"held out {point.eval_loss:.3f}")
    if point.tokens_per_second:
        parts.append(f"{point.tokens_per_second:,.0f} tokens/s")
    return ", ".join([*parts, *(f"{suite} {score:.0%}" for suite, score in looked.items())])
