"""Let every arm answer what it has not answered yet, and judge all answers."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.pipeline.elsewhere import join_endpoints
from harness.pipeline.plan import Plan
from harness.records import Arm, ItemKey, Response, Sample
from harness.store import AnswerStore, write_samples
from harness.versions import versions

if TYPE_CHECKING:
    from harness.engine import Engine, LoadedSuite, VerifiedEngine

Scored = Mapping[tuple[str, str], Sequence[Sample]]
"""Samples by (arm, suite)."""


def score(planned: Plan, arms: Sequence[Arm]) -> Scored:
    """Let every arm answer what it has not answered yet, and judge all answers."""
    planned.folder.claim(planned.study)
    planned.folder.declare(_declarations(planned, arms))
    store = AnswerStore(planned.folder.answers)
    responses = _answer(planned, arms, store)
    samples = {}
    with planned.progress.task("judge the answers", len(responses)) as advance:
        for done, ((arm, index), answers) in enumerate(responses.items()):
            loaded = planned.loaded[index]
            advance(done=done, note=f"{arm} on {loaded.suite.name}")
            judged = loaded.samples(arm, answers)
            samples[arm, loaded.suite.name] = judged
            write_samples(planned.folder.samples(arm, loaded.suite.name), judged)
    return samples


def _answer(
    planned: Plan, arms: Sequence[Arm], store: AnswerStore
) -> dict[tuple[str, int], dict[tuple[ItemKey, int], Response]]:
    """Fill the store with every answer it lacks; return all, by arm and suite position."""
    total = len(arms) * sum(len(loaded.requests) for loaded in planned.loaded)
    answers: dict[tuple[str, int], dict[tuple[ItemKey, int], Response]] = {}
    with planned.progress.task("answer", total) as advance:
        engine = join_endpoints(planned, store, lambda: _engine(planned, arms))
        done = 0
        for arm in arms:
            fingerprint = engine.fingerprint(arm.name)
            for index, loaded in enumerate(planned.loaded):
                known = store.get(fingerprint, loaded.requests)
                done += len(known)
                missing = [r for r in loaded.requests if (r.item, r.index) not in known]
                note = f"{arm.name} on {loaded.suite.name}"
                advance(done=done, note=note)
                earlier = [found for (_, suite), found in answers.items() if suite == index]
                guesses = _drafts(loaded, earlier)
                for batch in engine.answer(arm.name, missing, drafts=guesses):
                    store.put(fingerprint, batch)
                    known.update({(r.item, r.index): response for r, response in batch})
                    done += len(batch)
                    advance(done=done, note=note)
                answers[arm.name, index] = known
    return answers


def _drafts(
    loaded: "LoadedSuite", earlier: Sequence[Mapping[tuple[ItemKey, int], Response]]
) -> dict[tuple[ItemKey, int], tuple[str, ...]]:
    """Guess each generated answer: the reference, and what earlier arms said."""
    targets = {item.key: item.target for item in loaded.items}
    return {
        (r.item, r.index): tuple(
            text
            for text in (targets[r.item], *(answers[r.item, r.index].text for answers in earlier))
            if text
        )
        for r in loaded.requests
        if r.kind == "generate_until"
    }


def _engine(planned: Plan, arms: Sequence[Arm]) -> "Engine | VerifiedEngine":
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


def _declarations(planned: Plan, arms: Sequence[Arm]) -> dict[str, Any]:
    """What a comparison is, fixed before a tuned answer is scored."""
    return {
        "alpha": planned.study.gate.alpha,
        "beta": planned.study.gate.beta,
        "suites": {suite.name: asdict(suite) for suite in planned.suites},
        "items": {loaded.suite.name: _items_sha256(loaded) for loaded in planned.loaded},
        "overlap": planned.study.data.overlap,
        "arms": [asdict(arm) for arm in arms],
        "versions": versions(),
        "study_file": planned.study.model_dump(mode="json"),
    }


def _items_sha256(loaded: "LoadedSuite") -> str:
    lines = sorted(f"{item.key}:{item.prompt_hash}" for item in loaded.items)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
