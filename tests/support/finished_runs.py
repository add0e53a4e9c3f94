"""A finished run in a folder, made without any model: lock, samples, and what follows them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from support.example_result import SUITES, example_result

from harness.files import sha256_of
from harness.records import BASE, Arm, ItemKey, Sample, Suite
from harness.store import write_samples
from harness.store.run_folder import RunFolder
from harness.store.run_lock import Declarations, RunLock, ScoredFile, write_lock
from harness.study import Study

FINGERPRINT = "f" * 64


def written_run(
    path: Path,
    suites: Sequence[Suite],
    samples: Mapping[tuple[str, str], Iterable[Sample]],
    *,
    study: str = "made",
    base: str = "builtin:tiny",
    arms: Sequence[Arm] = (),
    must_pass: Mapping[str, tuple[ItemKey, ...]] | None = None,
    notes: tuple[str, ...] = (),
    sealed: bool = False,
) -> RunFolder:
    """Write what a finished run leaves: the samples of every arm, and the lock.

    Args:
        path: The run folder.
        suites: What the suites declare.
        samples: By (arm, suite), written as they come.
        study: The study's name.
        base: What the folder says that it was run on.
        arms: The base and the candidates; by default those that have samples.
        must_pass: Items of each suite that a candidate has to answer right.
        notes: What a person should know about the run.
        sealed: Whether the lock has the samples' hashes, so that they are checked when read.
    """
    folder = RunFolder(path)
    for (arm, suite), answered in samples.items():
        write_samples(folder.samples(arm, suite), answered)
    arms = arms or [Arm(name=name) for name in dict.fromkeys(arm for arm, _ in samples)]
    names = [arm.name for arm in arms]
    plain = {
        "name": study,
        "base": "builtin:tiny",
        "candidates": [
            {"name": arm.name, "adapter": arm.name, "note": arm.note} for arm in arms[1:]
        ],
        "suites": [suite.name for suite in suites],
    }
    scored = {
        name: {
            suite.name: ScoredFile(
                fingerprint=FINGERPRINT, sha256=sha256_of(folder.samples(name, suite.name))
            )
            for suite in suites
        }
        for name in names
        if sealed
    }
    lock = RunLock(
        study=study,
        base=base,
        declared=Declarations(
            alpha=0.05,
            beta=0.05,
            suites={suite.name: suite for suite in suites},
            items={},
            must_pass=must_pass or {},
        ),
        arms=tuple(arms),
        study_file=Study.model_validate(plain).model_dump(mode="json"),
        notes=notes,
        fingerprints=dict.fromkeys(scored, FINGERPRINT),
        scored=scored,
    )
    write_lock(folder.lock_file, lock)
    return folder


def write_run(
    path: Path, *, size: int = 12, note: str = "", rename: str = "{}", study: str = "made"
) -> RunFolder:
    """Write a run of one candidate on four suites.

    Args:
        path: The run folder.
        size: Items of each suite.
        note: The candidate's note, which is also added to every question and answer.
        rename: What the suites are called, with ``{}`` for their own name.
        study: The study's name.
    """
    suites = [replace(suite, name=rename.format(suite.name)) for suite in SUITES]
    samples: dict[tuple[str, str], list[Sample]] = {}
    for comparison in example_result(size=size).comparisons:
        if comparison.candidate != "mixed":
            continue
        name = rename.format(comparison.suite.name)
        for pair in comparison.pairs:
            for arm, sample in ((BASE, pair.base), ("mixed", pair.tuned)):
                samples.setdefault((arm, name), []).append(_noted(sample, arm, name, note))
    return written_run(
        path,
        suites,
        samples,
        study=study,
        arms=(Arm(name=BASE), Arm(name="mixed", note=note)),
        notes=(f"a note{note}",),
    )


def _noted(sample: Sample, arm: str, suite: str, note: str) -> Sample:
    """Return an arm's sample of a suite, with a note after its question and its answer."""
    return replace(
        sample,
        arm=arm,
        item=replace(
            sample.item,
            key=sample.item.key._replace(suite=suite),
            prompt=sample.item.prompt + note,
            doc={**sample.item.doc, "note": note},
        ),
        verdict=replace(
            sample.verdict,
            answer=(sample.verdict.answer or "") + note,
            explanation=sample.verdict.explanation + note,
        ),
    )
