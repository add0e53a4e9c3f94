"""Suites that are scored on a small slice while a candidate is trained."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import StudyError, nearest
from harness.pipeline.answers.ask import part
from harness.study import CandidateSection, Study

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


def check_watched(study: Study, loaded: Sequence["LoadedSuite"]) -> None:
    """Refuse slices of suites that the study does not score or that cannot be scored in between.

    Raises:
        StudyError: If a candidate's ``eval_suites`` names such a suite, or no items of it.
    """
    known = {suite.suite.name: suite for suite in loaded}
    for candidate in study.candidates:
        where = f"candidate {candidate.name!r}: eval_suites"
        for name, items in candidate.eval_suites.items():
            if name not in known:
                raise StudyError(
                    f"{where} takes items of the study's own suites: {name!r} is none"
                    f"{nearest(name, known)}"
                )
            if items < 1:
                raise StudyError(f"{where}: {name} needs at least one item: found {items}")
            if any(r.kind == "loglikelihood_rolling" for r in known[name].requests):
                raise StudyError(f"{where}: {name} scores whole texts, which training cannot watch")


def score_while_training(
    candidate: CandidateSection, loaded: Sequence["LoadedSuite"]
) -> Callable[[Any], Mapping[str, float]] | None:
    """Return what scores a candidate's ``eval_suites`` on the model in training, or None.

    The slice are the last items of each suite; they show forgetting and decide nothing.
    """
    slices = [
        part(suite, range(max(0, len(suite.items) - wanted), len(suite.items)))
        for suite in loaded
        if (wanted := candidate.eval_suites.get(suite.suite.name))
    ]
    if not slices:
        return None

    def score(model: Any) -> Mapping[str, float]:
        from harness.engine.interim import answer_suites

        answers = answer_suites(model, slices[0].tokenizer, slices)
        return {s.suite.name: s.mean_score("in training", answers[s.suite.name]) for s in slices}

    return score
