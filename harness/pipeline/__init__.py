"""One study, from its file to its report: plan → train → answer → score → compare → report.

Every step keeps what it finished and does only what is missing: a second run of the same study
trains nothing, asks the model nothing, and rewrites the report from the stored answers.
"""

from pathlib import Path

from harness.pipeline.answer import score
from harness.pipeline.conclude import compare, conclude, reopen
from harness.pipeline.plan import Plan, plan
from harness.pipeline.progress import Advance, Progress, Silent
from harness.pipeline.train import train
from harness.records import Result
from harness.study import Study

__all__ = [
    "Advance",
    "Plan",
    "Progress",
    "Silent",
    "compare",
    "conclude",
    "plan",
    "reopen",
    "run",
    "score",
    "train",
]


def run(
    study: Study,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    allow_identical: bool = False,
) -> Result:
    """Train, score, compare and report a study, doing only what an earlier run left undone.

    Args:
        study: A checked study, from `harness.study.load`.
        out: The run folder; ``runs/<study name>`` below the working directory by default.
        progress: Where to tell how far it is; silent by default.
        allow_identical: Accept a candidate whose logits equal the base's.

    Returns:
        The result, as written to ``gate.json``, ``report.md`` and ``report.html``.

    Raises:
        HarnessError: For everything a user can mend; what is finished is kept.
    """
    planned = plan(study, out=out, progress=progress, allow_identical=allow_identical)
    arms = train(planned)
    samples = score(planned, arms)
    with planned.progress.task("compare"):
        notes = planned.folder.read_lock().get("notes", ())
        result = compare(study, planned.suites, arms, samples, notes=notes)
    conclude(planned.folder, study, result, planned.progress)
    return result
