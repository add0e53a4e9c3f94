"""Let every arm answer what it has not answered yet, and judge all answers."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.pipeline.answers import until_decided
from harness.pipeline.answers.ask import Asking
from harness.pipeline.answers.join_endpoints import join_endpoints
from harness.pipeline.plan import PlannedRun
from harness.records import Answerer, Arm, Sample
from harness.store import AnswerStore, write_samples
from harness.versions import versions

if TYPE_CHECKING:
    from harness.engine import LoadedSuite

Scored = Mapping[tuple[str, str], Sequence[Sample]]
"""Samples by (arm, suite)."""


def score(planned: PlannedRun, arms: Sequence[Arm]) -> Scored:
    """Let every arm answer what it has not answered yet, and judge all answers.

    With ``planned.until_decided`` a candidate is asked only while its verdict on a suite is open.
    """
    folder = planned.folder
    folder.claim(planned.study)
    folder.declare(_declarations(planned, arms))
    store = AnswerStore(folder.answers)
    total = len(arms) * sum(len(loaded.requests) for loaded in planned.loaded)
    with planned.progress.task("answer", total) as advance:
        asking = Asking(open_arms(planned, arms, store), store, advance)
        if planned.until_decided:
            declared = folder.declared().schedules
            samples = until_decided.until_decided(planned, arms, asking, declared=declared)
        else:
            for arm in arms:
                for loaded in planned.loaded:
                    asking.answers(arm.name, loaded)
            samples = {}
    folder.note([*planned.notes, *asking.engine.notes])
    samples = samples or _judged(planned, arms, asking)
    for (arm_name, suite), judged in samples.items():
        write_samples(folder.samples(arm_name, suite), judged)
    return samples


def open_arms(planned: PlannedRun, arms: Sequence[Arm], store: AnswerStore) -> Answerer:
    """Open whatever answers for these arms, here or elsewhere."""
    return join_endpoints(planned, store, lambda: _engine(planned, arms))


def _judged(
    planned: PlannedRun, arms: Sequence[Arm], asking: Asking
) -> dict[tuple[str, str], list[Sample]]:
    """Judge every arm's answers to all items, in the declared order where there is one."""
    samples: dict[tuple[str, str], list[Sample]] = {}
    ordered = planned.folder.declared().schedules
    with planned.progress.task("judge the answers", len(arms) * len(planned.loaded)) as advance:
        for arm in arms:
            for loaded in planned.loaded:
                name = loaded.suite.name
                advance(done=len(samples), note=f"{arm.name} on {name}")
                places: Sequence[int] = range(len(loaded.items))
                if name in ordered:
                    places = until_decided.order_of(loaded, planned.study.seed)
                samples[arm.name, name] = asking.samples(arm.name, loaded, places)
    return samples


def _engine(planned: PlannedRun, arms: Sequence[Arm]) -> Answerer:
    """Load the base once and attach every candidate, checked before anything is scored."""
    from harness.engine import check_same_ids, open_engine

    study = planned.study
    engine = open_engine(study.base, study.model_path, suites=planned.loaded)
    for arm in arms:
        if arm.path is not None:
            check_same_ids(planned.loaded, Path(arm.path))
            engine.attach(arm.name, Path(arm.path), allow_identical=planned.allow_identical)
    planned.folder.note([*planned.notes, *engine.notes])
    return engine


def _declarations(planned: PlannedRun, arms: Sequence[Arm]) -> dict[str, Any]:
    """What a comparison is, fixed before a tuned answer is scored."""
    may_end_early = planned.until_decided or bool(planned.folder.declared().schedules)
    schedules = until_decided.schedules(planned) if may_end_early else {}
    return {
        "alpha": planned.study.gate.alpha,
        "beta": planned.study.gate.beta,
        "suites": {suite.name: asdict(suite) for suite in planned.suites},
        "items": {loaded.suite.name: _items_sha256(loaded) for loaded in planned.loaded},
        "must_pass": {name: [*map(list, keys)] for name, keys in planned.must_pass.items()},
        "until_decided": {name: asdict(schedule) for name, schedule in schedules.items()},
        "overlap": planned.study.data.overlap,
        "arms": [asdict(arm) for arm in arms],
        "versions": versions(),
        "base_path": planned.study.model_path,
        "study_file": planned.study.model_dump(mode="json"),
    }


def _items_sha256(loaded: "LoadedSuite") -> str:
    lines = sorted(f"{item.key}:{item.prompt_hash}" for item in loaded.items)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
