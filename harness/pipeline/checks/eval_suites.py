"""Suites of which a slice is evaluated during training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import StudyError, nearest
from harness.pipeline.answers.ask import part
from harness.study import CandidateSection

if TYPE_CHECKING:
    from harness.engine import LoadedSuite
    from harness.models.protocols import CausalLM
    from harness.training import ScoreModel


def check_eval_suites(candidate: CandidateSection, loaded: Sequence["LoadedSuite"]) -> None:
    """Refuse ``eval_suites`` that the study does not score or that training cannot evaluate.

    Raises:
        StudyError: If one is none of the study's suites, without items, or scores whole texts.
    """
    known = {suite.suite.name: suite for suite in loaded}
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
) -> "ScoreModel | None":
    """Return what evaluates a candidate's ``eval_suites`` on the model in training, or None.

    The slice is the last items of each suite; it shows forgetting and decides nothing.
    """
    slices = [
        part(suite, range(max(0, len(suite.items) - wanted), len(suite.items)))
        for suite in loaded
        if (wanted := candidate.eval_suites.get(suite.suite.name))
    ]
    if not slices:
        return None

    def score(model: "CausalLM") -> Mapping[str, float]:
        from harness.engine.interim import answer_suites

        answers = answer_suites(model, slices[0].tokenizer, slices)
        return {s.suite.name: s.mean_score("in training", answers[s.suite.name]) for s in slices}

    return score
