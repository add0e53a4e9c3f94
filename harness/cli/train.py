"""``harness train``: only the candidates."""

from contextlib import nullcontext
from pathlib import Path

from harness.cli import console
from harness.cli.run import Out, StudyFile, load_study


def command(study: StudyFile, out: Out = None) -> None:
    """Train the candidates that are not trained yet.

    On several GPUs or hosts: `accelerate launch -m harness train study.yaml`

    Example: `harness train study.yaml`
    """
    loaded = load_study(study)
    folder = out or Path("runs") / loaded.name
    with console.stoppable(folder):
        from harness import training
        from harness.pipeline.plan import plan
        from harness.pipeline.train import train

        told = training.is_first()
        progress = console.TerminalProgress() if told else None
        planned = plan(loaded, out=folder, progress=progress)
        with planned.folder.held() if told else nullcontext():  # the others are ranks of the first
            arms = train(planned)
    if not told:
        return
    for arm in arms[1:]:
        console.say(f"  {arm.path}  {arm.method}")
