"""Suites of which a slice is evaluated during training."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import StudyError, nearest
from harness.pipeline.answers.ask import part
from harness.study import CandidateSection, KeepSection

if TYPE_CHECKING:
    from harness.engine import LoadedSuite
    from harness.models.protocols import CausalLM
    from harness.training import KeepRule, Watch


def check_eval_suites(candidate: CandidateSection, loaded: Sequence["LoadedSuite"]) -> None:
    """Refuse suites that the study does not score or that training cannot evaluate.

    Raises:
        StudyError: If one is none of the study's suites, without items, or scores whole texts.
    """
    known = {suite.suite.name: suite for suite in loaded}
    kept_by = candidate.keep.suites if candidate.keep else ()
    where = f"candidate {candidate.name!r}: eval_suites"
    for name, items in {**dict.fromkeys(kept_by, 1), **candidate.eval_suites}.items():
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
    candidate: CandidateSection,
    loaded: Sequence["LoadedSuite"],
    choosing: Mapping[str, "LoadedSuite"],
) -> "Watch | None":
    """Return what scores suites on the model in training, or None where none are asked for.

    The slice is the last items of each suite; it shows forgetting and decides nothing. The suites
    of ``keep`` choose the checkpoint, by items of their own: ``choosing``, by suite.
    """
    slices = [
        part(suite, range(max(0, len(suite.items) - wanted), len(suite.items)))
        for suite in loaded
        if (wanted := candidate.eval_suites.get(suite.suite.name))
    ]
    keep = candidate.keep
    slices += [choosing[name] for name in keep.suites] if keep else []
    if not slices:
        return None

    from harness.training import Watch

    def score(model: "CausalLM") -> Mapping[str, float]:
        from harness.engine.interim import answer_suites

        answers = answer_suites(model, slices[0].tokenizer, slices)
        return {s.suite.name: s.mean_score("in training", answers[s.suite.name]) for s in slices}

    return Watch(score=score, keep=_rule(keep, choosing) if keep else None)


def _rule(keep: KeepSection, choosing: Mapping[str, "LoadedSuite"]) -> "KeepRule":
    from harness.training import KeepRule

    used = [choosing[name] for name in sorted(keep.suites)]
    lines = [f"{i.key}:{i.prompt_hash}:{s.suite.metric}" for s in used for i in s.items]
    return KeepRule(
        best=keep.best,
        limit=keep.limit,
        lower=frozenset(s.suite.name for s in used if not s.suite.higher_is_better),
        items=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )
