"""A finished run in a folder, made without any model: lock, samples, and what follows them."""

from dataclasses import replace
from pathlib import Path

from support.example_result import SUITES, example_result

from harness.records import BASE, Arm
from harness.store import write_samples
from harness.store.run_folder import RunFolder
from harness.store.run_lock import Declarations, RunLock, write_lock
from harness.study import Study


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
    folder = RunFolder(path)
    suites = [replace(suite, name=rename.format(suite.name)) for suite in SUITES]
    for comparison in example_result(size=size).comparisons:
        if comparison.candidate != "mixed":
            continue
        name = rename.format(comparison.suite.name)
        for arm in (BASE, "mixed"):
            samples = [pair.base if arm == BASE else pair.tuned for pair in comparison.pairs]
            write_samples(
                folder.samples(arm, name),
                [
                    replace(
                        sample,
                        arm=arm,
                        item=replace(
                            sample.item,
                            key=sample.item.key._replace(suite=name),
                            prompt=sample.item.prompt + note,
                            doc={**sample.item.doc, "note": note},
                        ),
                        verdict=replace(
                            sample.verdict,
                            answer=(sample.verdict.answer or "") + note,
                            explanation=sample.verdict.explanation + note,
                        ),
                    )
                    for sample in samples
                ],
            )
    plain = {
        "name": study,
        "base": "builtin:tiny",
        "candidates": [{"name": "mixed", "adapter": "mixed", "note": note}],
        "suites": [suite.name for suite in suites],
    }
    lock = RunLock(
        study=study,
        base="builtin:tiny",
        declared=Declarations(
            alpha=0.05, beta=0.05, suites={suite.name: suite for suite in suites}, items={}
        ),
        arms=(Arm(name=BASE), Arm(name="mixed", note=note)),
        study_file=Study.model_validate(plain).model_dump(mode="json"),
        notes=(f"a note{note}",),
    )
    write_lock(folder.lock_file, lock)
    return folder
