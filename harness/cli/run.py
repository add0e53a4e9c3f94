"""``harness run``: the whole job."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console
from harness.errors import StudyError

if TYPE_CHECKING:
    from harness.study import Study

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Out = Annotated[Path | None, typer.Option(help="Run folder; runs/<study name> by default.")]
AllowIdentical = Annotated[
    bool, typer.Option("--allow-identical", help="Accept a candidate that changes nothing.")
]


AA = Annotated[
    bool,
    typer.Option("--aa", help="Score the base twice instead: what moves when nothing changed."),
]
UntilDecided = Annotated[
    bool, typer.Option("--until-decided", help="Answer more items only while a decision is open.")
]


class ClusterKind(StrEnum):
    """What spreads a study over several machines."""

    RAY = "ray"


On = Annotated[
    ClusterKind | None,
    typer.Option("--on", help="Train and answer on a Ray cluster: RAY_ADDRESS, or this machine."),
]


def command(
    study: StudyFile,
    out: Out = None,
    allow_identical: AllowIdentical = False,
    until_decided: UntilDecided = False,
    aa: AA = False,
    on: On = None,
) -> None:
    """Train, score, compare and report a study.

    A second run does only what is missing. With --on ray, the nodes of a cluster train and answer;
    without one, RAY_ADDRESS or not, one is started here.

    Exit code: 0 pass, 1 regression, 2 usage error, 3 invalid comparison, 4 inconclusive.

    Example: `harness run study.yaml --until-decided`
    """
    loaded = load_study(study)
    folder = out or Path("runs") / loaded.name
    if on and (until_decided or aa):
        raise StudyError(
            "a cluster answers all items at once: leave --until-decided and --aa out, or --on"
        )
    with console.stoppable(folder):
        from harness.pipeline.finished.noise_floor import noise_floor
        from harness.pipeline.plan import plan
        from harness.pipeline.run import carry_out
        from harness.training import distributed

        if distributed.count() > 1:
            raise StudyError(
                f"a run scores in one process: found {distributed.count()}; let them do "
                "'harness train' and start 'harness run' alone"
            )
        planned = plan(
            loaded,
            out=folder,
            progress=console.TerminalProgress(),
            allow_identical=allow_identical,
            until_decided=until_decided,
        )
        if aa:
            result, noise = noise_floor(planned)
            folder = planned.folder.aa
        else:
            result, noise = carry_out(planned, on_ray=on is not None), ()
    console.show(result)
    for each in noise:
        console.say(
            f"  {each.suite}: {each.flips} of {each.items} items flipped, {each.texts} texts "
            f"differ, largest difference of a log-likelihood {each.largest:.1e}"
        )
    console.show_files(folder, console.RUN_FILES | ({"noise.json": "what moved"} if aa else {}))
    raise typer.Exit(result.exit_code)


def load_study(path: Path) -> "Study":
    """Read a study, and find out whether the hub answers before anything heavy is loaded."""
    from harness import study as studies
    from harness.models.hub import check_hub

    loaded = studies.load(path)
    check_hub(loaded)
    return loaded
