"""``harness score``: train what is missing, answer and judge, without comparing; or one shard."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console
from harness.cli.run import AllowIdentical, Out, StudyFile, UntilDecided, load_study

if TYPE_CHECKING:
    from harness.pipeline.answers.shards import Shard
    from harness.pipeline.plan import PlannedRun

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Answer only part K of N, into a file of its own that 'harness run' merges. "
        "By default what torchrun, accelerate launch or a Slurm array say.",
    ),
]


def command(
    study: StudyFile,
    out: Out = None,
    allow_identical: AllowIdentical = False,
    until_decided: UntilDecided = False,
    shard: ShardOption = None,
) -> None:
    """Generate missing responses of all arms on every suite, and score them.

    With --shard several processes share the work, here or on other machines; 'harness run' then
    merges what they answered, and asks what is missing.

    Example: `harness score study.yaml --shard 3/16`
    """
    from harness.pipeline.answers.shards import Shard, leave_launcher

    part = Shard.parse(shard) if shard is not None else Shard.from_environment(os.environ)
    if part is not None:
        leave_launcher(os.environ)
    loaded = load_study(study)
    folder = out or Path("runs") / loaded.name
    with console.stoppable(folder):
        from harness.pipeline.plan import plan

        planned = plan(
            loaded,
            out=folder,
            progress=console.TerminalProgress(),
            allow_identical=allow_identical,
            until_decided=until_decided,
        )
        if part is not None:
            again = f"harness run {study}" + (f" --out {out}" if out else "")
            _answer_part(planned, part, again)
        else:
            _score_all(planned)


def _answer_part(planned: "PlannedRun", part: "Shard", run: str) -> None:
    from harness.pipeline.answers.shards import answer_shard
    from harness.pipeline.train import trained

    # torchrun and Slurm end a process by this signal: what it has answered is written first
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        path = answer_shard(planned, trained(planned), part)
    finally:
        signal.signal(signal.SIGTERM, before)
    console.say(f"shard {part} is answered: {path}")
    console.say(f"when all are: '{run}' merges them, and asks what is missing")


def _score_all(planned: "PlannedRun") -> None:
    from harness.pipeline.answers.score import score
    from harness.pipeline.train import train

    with planned.folder.held():
        samples = score(planned, train(planned))
    for (arm, suite), judged in samples.items():
        scores = [s.verdict.score for s in judged if s.verdict.score is not None]
        mean = f"{100 * sum(scores) / len(scores):5.1f} %" if scores else "  unscored"
        console.say(f"{arm:<20} {suite:<20} {mean}  of {len(scores)} items")
    console.say(f"samples are in {planned.folder.path / 'samples'}")
