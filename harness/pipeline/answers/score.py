"""Generate missing responses and score all."""

from collections.abc import Collection, Mapping, Sequence

from harness.files import sha256_of
from harness.pipeline.answers import until_decided
from harness.pipeline.answers.ask import AnswerSession
from harness.pipeline.answers.engine_when_asked import check_unchanged
from harness.pipeline.answers.join_endpoints import machines_of, open_arms, read_by_own
from harness.pipeline.answers.scored_run import Scored
from harness.pipeline.answers.shards import merge_shards, shard_origin
from harness.pipeline.checks.own_bases import fingerprints_of
from harness.pipeline.checks.suite_rows import postgres_releases
from harness.pipeline.plan import PlannedRun
from harness.records import Arm, Sample
from harness.store import AnswerStore, write_samples
from harness.store.answer_times import AnswerClock
from harness.store.at_hand import backend_files, check_models, settings_of_arms
from harness.store.run_lock import Declarations, ScoredFile
from harness.study import VLLM, Study
from harness.versions import versions


def score(planned: PlannedRun, arms: Sequence[Arm]) -> Scored:
    """Generate the responses that are missing, score all, and write the samples.

    With ``planned.until_decided`` a candidate answers only while its decision on a suite is open.
    The lock records which candidates are proven to be identical to the base.
    """
    folder = planned.folder
    folder.claim(planned.study)
    declared = _declarations(planned)
    fingerprints = _declare(planned, declared, arms)
    store = AnswerStore(folder.answers)
    unreadable = merge_shards(planned, store, shard_origin(planned, fingerprints))
    total = len(arms) * sum(len(loaded.requests) for loaded in planned.loaded)
    with planned.progress.task("answer", total) as advance:
        clock = AnswerClock(machines_of(planned, arms))
        answerer = open_arms(planned, arms, store, fingerprints, planned.loaded)
        session = AnswerSession(
            answerer, store, advance, clock, own=read_by_own(planned), unscored=planned.unscored
        )
        if planned.until_decided:
            samples = until_decided.until_decided(
                planned, arms, session, schedules=declared.schedules
            )
        else:
            # the base's texts are drafts of the candidates', and theirs of their forms'
            if planned.study.base.backend != VLLM:
                session.ask([arms[0].name], planned.loaded)
            session.ask([a.name for a in arms if not a.form_of], planned.loaded)
            session.ask([a.name for a in arms if a.form_of], planned.loaded)
            samples = {}
    check_unchanged(fingerprints, session.answerer)
    folder.mark_identical(session.answerer.identical)
    folder.note([*planned.notes, *session.answerer.notes, *unreadable])
    folder.clock(clock.times)
    samples = samples or _scored(planned, arms, session, ordered=declared.schedules)
    scored: dict[str, dict[str, ScoredFile]] = {}
    for (arm_name, suite), found in samples.items():
        path = folder.samples(arm_name, suite)
        write_samples(path, found)
        written = ScoredFile(fingerprint=fingerprints[arm_name], sha256=sha256_of(path))
        scored.setdefault(arm_name, {})[suite] = written
    check_models(folder, folder.seal(scored))
    return samples


def _declare(planned: PlannedRun, declared: Declarations, arms: Sequence[Arm]) -> Mapping[str, str]:
    """Fix what is compared, and by which models; return the arms' fingerprints."""
    study = planned.study
    fingerprints = fingerprints_of(study, arms, planned.own, planned.loaded)
    planned.folder.declare(
        study,
        declared,
        arms=arms,
        versions={**versions(), **postgres_releases(planned.loaded), **_device(study)},
        fingerprints=fingerprints,
        settings=settings_of_arms(study, arms),
        backend_files=backend_files(study),
    )
    return fingerprints


def _device(study: Study) -> dict[str, str]:
    """Return what the arms that are loaded here run on; numbers of another may differ."""
    from harness.models.hardware import device_of, device_title

    return {} if study.base.elsewhere else {"device": device_title(device_of(study.base.device))}


def _scored(
    planned: PlannedRun, arms: Sequence[Arm], session: AnswerSession, *, ordered: Collection[str]
) -> dict[tuple[str, str], list[Sample]]:
    """Score every arm's answers to all items; suites in ``ordered`` in their declared order."""
    samples: dict[tuple[str, str], list[Sample]] = {}
    with planned.progress.task("judge the answers", len(arms) * len(planned.loaded)) as advance:
        for arm in arms:
            for loaded in planned.loaded:
                name = loaded.suite.name
                advance(done=len(samples), note=f"{arm.name} on {name}")
                places: Sequence[int] = range(len(loaded.items))
                if name in ordered:
                    places = until_decided.order_of(loaded, planned.study.seed)
                samples[arm.name, name] = session.samples(arm.name, loaded, places)
    return samples


def _declarations(planned: PlannedRun) -> Declarations:
    """Return what the comparison is, fixed before a tuned answer is scored."""
    lock = planned.folder.read_lock()
    began_early = bool(lock and lock.declared and lock.declared.schedules)
    may_end_early = planned.until_decided or began_early
    gate = planned.study.gate
    return Declarations(
        alpha=gate.alpha,
        beta=gate.beta,
        suites={suite.name: suite for suite in planned.suites},
        items=planned.items,
        must_pass={name: tuple(keys) for name, keys in planned.must_pass.items()},
        schedules=until_decided.schedules(planned) if may_end_early else {},
        overlap=planned.study.data.overlap,
    )
