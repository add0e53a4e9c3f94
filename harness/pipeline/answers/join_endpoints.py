"""Join arms that are endpoints to those that the local engine answers for."""

from collections.abc import Callable, Sequence

from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Answerer, Answers, Arm, Request
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
    from harness.pipeline.answers.served_proofs import (
        ServedProof,
        probes_of,
        require_different,
    )

    remote = remote_arms(planned.study, planned.loaded, allow_identical=planned.allow_identical)
    if not remote:
        return local()
    probes = probes_of([request for loaded in planned.loaded for request in loaded.requests])
    proofs: dict[str, ServedProof] = {}
    notes: list[str] = []
    for name, arm in remote.items():
        known = table.get(arm.fingerprint, requests)
        if missing := [r for r in requests if r.key not in known]:
            arm.check(missing)
            proofs[name] = ServedProof(arm, probes, table)
            notes += filter(None, [proofs[name].begin()])
    engine = None if BASE in remote else local()
    candidates = [proof for name, proof in proofs.items() if name != BASE]
    if candidates:
        said = ServedProof(remote[BASE], probes, table).said if BASE in remote else None
        base = _words(engine, probes, table) if engine else said or {}
        found = [
            require_different(one, base, allow_identical=planned.allow_identical)
            for one in candidates
        ]
        notes += filter(None, found)
    return Arms(engine, remote, {name: proof.hold for name, proof in proofs.items()}, tuple(notes))


def _words(engine: Answerer, probes: Sequence[Request], table: AnswerTable) -> Answers:
    """Return what a base that is loaded here says to the probes."""
    from harness.pipeline.answers.served_proofs import alone

    name = alone(engine.fingerprint(BASE))
    known = table.get(name, probes)
    for batch in engine.answer(BASE, [probe for probe in probes if probe.key not in known]):
        known |= {request.key: response for request, response in table.put(name, batch)}
    return known


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
