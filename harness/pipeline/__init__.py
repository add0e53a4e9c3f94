"""One study, from its file to its report: plan → train → answer → score → compare → report.

Every step keeps what it finished and does only what is missing: a second run of the same study
trains nothing, asks the model nothing, and rewrites the report from the stored answers.
"""

from pathlib import Path

from harness.pipeline.answers.score import score
from harness.pipeline.conclude import compare, conclude, reopen
from harness.pipeline.finished.baseline import against, keep_baseline
from harness.pipeline.finished.chat import Conversation, chats, talk
from harness.pipeline.finished.export import export
from harness.pipeline.finished.noise_floor import Noise, noise_floor
from harness.pipeline.outlook import DISAGREEMENT, PROBED, Outlook, outlook
from harness.pipeline.plan import PlannedRun, plan
from harness.pipeline.progress import Advance, Progress, Silent
from harness.pipeline.train import train
from harness.records import Result
from harness.study import Study

__all__ = [
    "DISAGREEMENT",
    "PROBED",
    "Advance",
    "Conversation",
    "Noise",
    "Outlook",
    "PlannedRun",
    "Progress",
    "Silent",
    "against",
    "carry_out",
    "chats",
    "compare",
    "conclude",
    "export",
    "keep_baseline",
    "noise_floor",
    "outlook",
    "plan",
    "reopen",
    "run",
    "score",
    "talk",
    "train",
]


def run(
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
        progress: Where to tell how far it is; silent by default.
        allow_identical: Accept a candidate whose logits equal the base's.
        until_decided: Ask for further items only while a verdict is open; a run that was begun so
            keeps its verdicts when the rest is answered later.

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


def carry_out(planned: PlannedRun) -> Result:
    """Train, score, compare and report what `plan` has checked."""
    arms = train(planned)
    samples = score(planned, arms)
    with planned.progress.task("compare"):
        declared = planned.folder.declared()
        result = compare(planned.study, planned.suites, arms, samples, declared)
    conclude(planned.folder, planned.study, result, planned.progress)
    return result
