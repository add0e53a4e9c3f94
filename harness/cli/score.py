"""``harness score``: train what is missing, answer and judge, without comparing."""

from pathlib import Path

from harness.cli import console
from harness.cli.run import AllowIdentical, Out, StudyFile, load_study


def command(study: StudyFile, out: Out = None, allow_identical: AllowIdentical = False) -> None:
    """Generate missing responses of all arms on every suite, and score them.

    Example: `harness score study.yaml`
    """
    loaded = load_study(study)
    folder = out or Path("runs") / loaded.name
    with console.stoppable(folder):
        from harness.pipeline.answers.score import score
        from harness.pipeline.plan import plan
        from harness.pipeline.train import train

        planned = plan(
            loaded, out=folder, progress=console.TerminalProgress(), allow_identical=allow_identical
        )
        with planned.folder.held():
            samples = score(planned, train(planned))
    for (arm, suite), judged in samples.items():
        scores = [s.verdict.score for s in judged if s.verdict.score is not None]
        mean = f"{100 * sum(scores) / len(scores):5.1f} %" if scores else "  unscored"
        console.say(f"{arm:<20} {suite:<20} {mean}  of {len(scores)} items")
    console.say(f"samples are in {folder / 'samples'}")
