"""Join arms that are endpoints to those that the local engine answers for."""

from collections.abc import Callable, Sequence

from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Answerer, Arm, Request
from harness.store.answers import AnswerTable
from harness.study import CandidateSection


def join_endpoints(
    planned: PlannedRun,
    requests: Sequence[Request],
    table: AnswerTable,
    local: Callable[[], Answerer],
) -> Answerer:
    """Open whatever answers a study, and try every endpoint that still has something to answer.

    Args:
        planned: The study; without endpoints, what ``local`` opens is all there is.
        requests: What is to be answered.
        table: An endpoint whose answers are all stored is not asked, and may be gone.
        local: Opens the engine; not called where all arms answer elsewhere.

    Raises:
        ModelError: If an endpoint refuses model or settings, or cannot do what a suite needs.
        InfrastructureError: If it cannot be reached.
    """
    from harness.engine.remote.endpoints import Arms, remote_arms

    remote = remote_arms(planned.study, planned.loaded, allow_identical=planned.allow_identical)
    if not remote:
        return local()
    for arm in remote.values():
        known = table.get(arm.fingerprint, requests)
        arm.check([r for r in requests if r.key not in known])
    return Arms(None if BASE in remote else local(), remote)


def remote_base(planned: PlannedRun) -> Arm:
    """Return the base of a study whose base answers elsewhere."""
    base = planned.study.base
    return Arm(name=BASE, method="an endpoint", settings=dict(base.model_args))


def remote_candidate(candidate: CandidateSection) -> Arm:
    """Return a candidate that answers elsewhere."""
    return Arm(
        name=candidate.name,
        method="an endpoint",
        note=candidate.note,
        settings=dict(candidate.model_args),
    )
