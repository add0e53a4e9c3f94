"""``harness train``: only the candidates."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.cli.run import On, Out, StudyFile, load_study

Only = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Train just this candidate; may be given several times."),
]


def command(study: StudyFile, out: Out = None, only: Only = None, on: On = None) -> None:
    """Train the candidates that are not trained yet.

    On several GPUs or hosts: `accelerate launch -m harness train study.yaml`. Several processes may
    train different candidates of one study, each with its own --only; --on ray does so on a
    cluster, no more at once than it has GPUs or nodes.

    Example: `harness train study.yaml`
    """
    loaded = load_study(study)
    folder = out or Path("runs") / loaded.name
    with console.stoppable(folder):
        from harness import training
        from harness.pipeline.cluster.on_ray import RayCluster, train_on
        from harness.pipeline.plan import plan
        from harness.pipeline.train import chosen, train

        told = training.is_first()
        progress = console.TerminalProgress() if told else None
        planned = plan(loaded, out=folder, progress=progress)
        names = [one.name for one in chosen(planned, only or ())]
        held = planned.folder.held_for(names) if only else planned.folder.held()
        with held if told else nullcontext():  # the others are ranks of the first
            if on:
                with RayCluster() as cluster:
                    train_on(cluster, planned, names)
            arms = train(planned, only=only or ())
    if not told:
        return
    for arm in arms[1:]:
        console.say(f"  {arm.path}  {arm.method}")
