"""Open whatever answers for the arms of a study: an engine here, endpoints elsewhere, or both."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.pipeline.answers.engine_when_asked import EngineWhenAsked
from harness.pipeline.answers.join_endpoints import join_endpoints
from harness.pipeline.plan import PlannedRun
from harness.records import Answerer, Arm
from harness.store.answers import AnswerTable

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


def open_arms(
    planned: PlannedRun,
    arms: Sequence[Arm],
    table: AnswerTable,
    fingerprints: Mapping[str, str],
    loaded: Sequence["LoadedSuite"],
) -> Answerer:
    """Open whatever answers for these arms, here or elsewhere; what answers here, when asked.

    Args:
        planned: The study.
        arms: Everything that answers.
        table: What is answered already, and what loading the arms has shown.
        fingerprints: By arm, from `harness.engine.arm_fingerprints`.
        loaded: What is to be answered.

    Raises:
        ComparisonError: If a candidate's own tokenizer gives other token ids.
        ModelError: If a candidate cannot be used, or changes nothing and may not.
    """
    from harness.engine import check_same_ids

    remote = {one.name for one in planned.study.candidates if one.backend}
    here = [arm for arm in arms if arm.name not in remote]

    def engine() -> Answerer:
        for arm in here:
            if arm.path is not None:
                check_same_ids(planned.loaded, Path(arm.path), day=planned.study.base.date)
        return EngineWhenAsked(
            arms=here,
            fingerprints=fingerprints,
            table=table,
            load=lambda: _engine(planned, here),
            allow_identical=planned.allow_identical,
            max_length=longest(planned),
        )

    requests = [request for suite in loaded for request in suite.requests]
    return join_endpoints(planned, requests, table, engine)


def longest(planned: PlannedRun) -> int | None:
    """Return how many tokens fit the context of every arm, None where the base answers elsewhere.

    No weights are loaded for it.
    """
    from harness.engine import context_length

    study = planned.study
    if study.base.backend:
        return None
    context = context_length(study.model_path, study.base, planned.loaded[0].tokenizer)
    return context - max(one.virtual_tokens for one in planned.candidates)


def _engine(planned: PlannedRun, arms: Sequence[Arm]) -> Answerer:
    """Load the base once and attach every candidate, checked before anything is scored."""
    from harness.engine import open_engine

    study = planned.study
    engine = open_engine(study.base, study.model_path, suites=planned.loaded)
    for arm in arms:
        if arm.path is not None:
            engine.attach(arm.name, Path(arm.path), allow_identical=planned.allow_identical)
    return engine
