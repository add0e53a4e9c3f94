"""Open whatever answers for the arms of a study: an engine here, endpoints elsewhere, or both."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.pipeline.answers.engine_when_asked import EngineWhenAsked, SeveralBases
from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Answerer, Answers, Arm, Request
from harness.store.answers import AnswerTable
from harness.study import VLLM, ArmSection, CandidateSection, Study
from harness.suites.dialogue_turns import followed

if TYPE_CHECKING:
    from harness.engine import LoadedSuite
    from harness.engine.remote.asked_arm import AskedArm
    from harness.pipeline.answers.served_proofs import ServedProof


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
        fingerprints: By arm, from `harness.pipeline.checks.own_bases.fingerprints_of`.
        loaded: What is to be answered.

    Raises:
        ComparisonError: If a candidate's own tokenizer gives other token ids.
        ModelError: If a candidate cannot be used, or changes nothing and may not.
    """
    remote = {one.name for one in planned.study.candidates if one.elsewhere}
    here = [arm for arm in arms if arm.name not in remote]
    apart = {arm.name: arm for arm in here if arm.name in planned.own or arm.form}
    shared = [arm for arm in here if arm.name not in apart]

    def engine() -> Answerer:
        _check_ids(planned.study, shared, planned.loaded)
        for name, arm in apart.items():
            if not arm.form:  # a form has the ids of its candidate
                _check_ids(planned.own[name].study, [arm], planned.own[name].loaded)
        main = EngineWhenAsked(
            arms=shared,
            fingerprints=fingerprints,
            table=table,
            load=lambda: _engine(planned, shared, fingerprints),
            allow_identical=planned.allow_identical,
            max_length=longest(planned),
        )
        if not apart:
            return main
        others = {
            name: partial(_engine_apart, planned, arm, table, fingerprints[name])
            for name, arm in apart.items()
        }
        called = {n: BASE if arm.form or arm.path is None else n for n, arm in apart.items()}
        return SeveralBases(main, others, called, fingerprints)

    requests = [request for suite in loaded for request in suite.requests]
    return join_endpoints(planned, requests, table, engine)


def read_by_own(planned: PlannedRun) -> dict[str, dict[str, "LoadedSuite"]]:
    """Return the suites of arms that read them by a base of their own, by arm and suite."""
    return {
        name: {loaded.suite.name: loaded for loaded in base.loaded}
        for name, base in planned.own.items()
    }


def machines_of(planned: PlannedRun, arms: Sequence[Arm]) -> dict[str, str]:
    """Return by arm what it answers on: times of another say nothing about this one."""
    from harness.models.fingerprint import vllm_release
    from harness.models.hardware import device_of, machine_title

    study = planned.study
    served = {one.name for one in study.candidates if one.elsewhere and not one.gguf}
    away = study.base.elsewhere and not study.base.gguf
    here = "" if away else machine_title(device_of(study.base.device))
    if study.base.backend == VLLM:
        here += f", vLLM {vllm_release()}"
    return {arm.name: "a server" if arm.name in served or not here else here for arm in arms}


def longest(planned: PlannedRun) -> int | None:
    """Return how many tokens fit the context of every arm, None where the base answers elsewhere.

    No weights are loaded for it.
    """
    from harness.engine import context_length

    study = planned.study
    if study.base.elsewhere:
        return None
    context = context_length(study.model_path, study.base, planned.loaded[0].tokenizer)
    here = [one.virtual_tokens for one in planned.candidates if one.name not in planned.own]
    return context - max(here, default=0)


def _engine_apart(
    planned: PlannedRun, arm: Arm, table: AnswerTable, fingerprint: str
) -> EngineWhenAsked:
    """Return what answers for a form, or for a candidate on its own base, or that is one."""
    from harness.engine import Engine, arm_fingerprints, open_engine

    base = Arm(name=BASE)
    if arm.form:
        study = planned.study_of(arm.name)
        own = planned.own.get(arm.name)
        return EngineWhenAsked(
            arms=[base],
            fingerprints={BASE: fingerprint},
            table=table,
            load=lambda: Engine.of_form(
                study.base, study.model_path, Path(str(arm.path)), arm.form
            ),
            allow_identical=planned.allow_identical,
            max_length=own.fits if own else longest(planned),
        )
    own = planned.own[arm.name]
    arms = [base] if arm.path is None else [base, arm]
    return EngineWhenAsked(
        arms=arms,
        fingerprints=arm_fingerprints(own.study, arms, suites=own.loaded),
        table=table,
        load=lambda: _attached(
            open_engine(own.study.base, own.study.model_path, suites=own.loaded),
            arms,
            planned.allow_identical,
        ),
        allow_identical=planned.allow_identical,
        max_length=own.fits,
    )


def _check_ids(study: Study, arms: Sequence[Arm], loaded: Sequence["LoadedSuite"]) -> None:
    from harness.engine import check_same_ids

    for arm in arms:
        if arm.path is not None:
            check_same_ids(loaded, Path(arm.path), day=study.base.date)


def _engine(planned: PlannedRun, arms: Sequence[Arm], fingerprints: Mapping[str, str]) -> Answerer:
    """Load the study's base once and attach every candidate on it."""
    from harness.engine import open_engine
    from harness.engine.runtimes.vllm_engine import open_vllm

    base, model = planned.study.base, planned.study.model_path
    engine: Answerer
    if base.backend == VLLM:
        engine = open_vllm(base, model, fingerprints, suites=planned.loaded)
    else:
        engine = open_engine(base, model, suites=planned.loaded)
    return _attached(engine, arms, planned.allow_identical)


def _attached(engine: Answerer, arms: Sequence[Arm], allow_identical: bool) -> Answerer:
    """Attach every candidate, checked before anything is scored."""
    for arm in arms:
        if arm.path is not None:
            engine.attach(arm.name, Path(arm.path), allow_identical=allow_identical)
    return engine


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
    asked = [request for loaded in planned.loaded for request in loaded.requests]
    first = [request for request in asked if request.turn is None or not request.index]
    probes = probes_of(first, table, {arm.fingerprint for arm in remote.values()})
    proofs: dict[str, ServedProof] = {}
    notes: list[str] = []
    for name, arm in remote.items():
        if missing := followed(requests, {}, partial(table.get, arm.fingerprint)):
            arm.check(missing)
            proofs[name] = ServedProof(arm, probes, table)
            notes += filter(None, [proofs[name].begin()])
    engine = None if BASE in remote else local()
    for name, proof in proofs.items():
        for other, said in _said_before(name, proof, remote, engine, probes, table):
            allowed = planned.allow_identical
            note = require_different(proof, said, whose=other, allow_identical=allowed)
            notes += [note] if note else []
    return Arms(engine, remote, {name: proof.hold for name, proof in proofs.items()}, tuple(notes))


def _said_before(
    name: str,
    proof: "ServedProof",
    remote: Mapping[str, "AskedArm"],
    engine: Answerer | None,
    probes: Sequence[Request],
    table: AnswerTable,
) -> Iterator[tuple[str, Answers]]:
    """Yield what an endpoint has to differ from: what the arms before it say to the probes."""
    from harness.pipeline.answers.served_proofs import ServedProof

    if name == BASE:
        return
    if engine is not None:
        yield "the base", _words(engine, probes, table)
    for other, arm in remote.items():
        if other == name:
            return
        if other == BASE or arm.fingerprint != proof.arm.fingerprint:
            said = ServedProof(arm, probes, table).said
            yield "the base" if other == BASE else f"candidate {other!r}", said


def _words(engine: Answerer, probes: Sequence[Request], table: AnswerTable) -> Answers:
    """Return what a base that is loaded here says to the probes."""
    from harness.pipeline.answers.served_proofs import alone

    name = alone(engine.fingerprint(BASE))
    known = table.get(name, probes)
    for batch in engine.answer(BASE, [probe for probe in probes if probe.key not in known]):
        known |= {request.key: response for request, response in table.put(name, batch)}
    return known


def remote_base(planned: PlannedRun) -> Arm:
    """Return the base of a study whose base has weights elsewhere, or in a GGUF file."""
    method, settings = _told(planned.study.base)
    return Arm(name=BASE, method=method, settings=settings)


def remote_candidate(candidate: CandidateSection) -> Arm:
    """Return a candidate that answers elsewhere, or is a GGUF file."""
    method, settings = _told(candidate)
    return Arm(name=candidate.name, method=method, note=candidate.note, settings=settings)


def _told(section: ArmSection) -> tuple[str, dict[str, object]]:
    """Return the method and the settings that a report tells of an arm with its own weights."""
    if section.gguf:
        return "a GGUF file", {"gguf": section.gguf}
    return "an endpoint", dict(section.model_args)
