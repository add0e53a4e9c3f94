"""The whole job: plan → train → answer → score → compare → report.

Every step stores what it finished and does only what is missing: a second run of the same study
trains nothing, generates nothing, and rewrites the report from the stored answers.
"""

import logging
from pathlib import Path

from harness.errors import InfrastructureError
from harness.pipeline.answers.score import score
from harness.pipeline.answers.scored_run import scored_run
from harness.pipeline.cluster.on_ray import RayCluster, answer_on, train_on
from harness.pipeline.conclude import compare, conclude, with_people
from harness.pipeline.exported.trackers import track, trackers_of
from harness.pipeline.finished.rating_sheets import draw_declared
from harness.pipeline.plan import PlannedRun, plan
from harness.pipeline.progress import Progress
from harness.pipeline.train import train
from harness.records import Result
from harness.study import Study

log = logging.getLogger("harness.pipeline")


def run_study(
    study: Study,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    allow_identical: bool = False,
    until_decided: bool = False,
) -> Result:
    """Train, score, compare and report a study, doing only what an earlier run left undone.

    Args:
        study: A checked study, from `harness.study.load`.
        out: The run folder; ``runs/<study name>`` below the working directory by default.
        progress: Where to report progress; silent by default.
        allow_identical: Accept a candidate whose logits equal the base's.
        until_decided: Answer further items only while a decision is open; a run that was begun so
            keeps its decisions when the rest is answered later.

    Returns:
        The result, as written to ``gate.json``, ``report.md`` and ``report.html``.

    Raises:
        HarnessError: For everything a user can mend; what is finished is kept.
    """
    planned = plan(
        study,
        out=out,
        progress=progress,
        allow_identical=allow_identical,
        until_decided=until_decided,
    )
    return carry_out(planned)


def carry_out(planned: PlannedRun, *, on_ray: bool = False) -> Result:
    """Train, score, compare and report what `plan` has checked, alone in its folder.

    Args:
        planned: The study.
        on_ray: Let a Ray cluster train and answer what is missing.
    """
    with planned.folder.held():
        if on_ray:
            with RayCluster() as cluster:
                train_on(cluster, planned)
                answer_on(cluster, planned)
        arms = train(planned)
        samples = score(planned, arms)
        with planned.progress.task("compare"):
            scored = scored_run(planned.folder, planned.study, planned.suites, arms, samples)
            result = with_people(planned.folder, compare(scored))
        conclude(planned.folder, result, planned.progress)
        draw_declared(planned.folder, planned.study, result)
        _track(planned, result)
    return result


def _track(planned: PlannedRun, result: Result) -> None:
    """Log the evaluation where the trainings were; one that fails there changes no verdict."""
    if names := trackers_of(planned.study):
        with planned.progress.task("log the evaluation"):
            try:
                track(planned.folder, result, names)
            except InfrastructureError as error:
                log.warning("%s", error)
