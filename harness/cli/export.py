"""``harness export``: a candidate for the hub or for a server, or all scores for other tools."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console
from harness.cli.report import RunPath
from harness.errors import StudyError

if TYPE_CHECKING:
    from harness.pipeline.exported.export import Exported

_NEXT = {
    "adapter": "a PEFT adapter; --as merged writes a whole model instead",
    "merged": "a whole model; `transformers serve {out}` or vLLM can load it",
    "4bit": "a whole model in 4 bits; transformers and vLLM load it through bitsandbytes",
    "8bit": "a whole model in 8 bits; transformers and vLLM load it through bitsandbytes",
    "model": "a whole model; `transformers serve {out}` or vLLM can load it",
}

UNKNOWN = "unknown"


class ExportFormat(StrEnum):
    """What is written; `WEIGHTS` by default."""

    WEIGHTS = "weights"
    LM_EVAL = "lm-eval"
    EEE = "eee"


class WeightForm(StrEnum):
    """The form of the weights; a candidate's own by default."""

    ADAPTER = "adapter"
    MERGED = "merged"
    BITS4 = "4bit"
    BITS8 = "8bit"
    GGUF = "gguf"


def command(
    run: RunPath,
    candidate: Annotated[
        str | None,
        typer.Argument(help="The candidate's name in the study; of scores an arm's, or all."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="An empty or new folder.")],
    form: Annotated[
        WeightForm | None,
        typer.Option("--as", help="The form of the weights: as they are, or merged and quantized."),
    ] = None,
    licence: Annotated[
        str, typer.Option("--license", help="For the model card, as the hub names it.")
    ] = UNKNOWN,
    trust: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the base.")
    ] = False,
    written_as: Annotated[
        ExportFormat, typer.Option("--format", help="Scores for other tools, not weights.")
    ] = ExportFormat.WEIGHTS,
) -> None:
    """Write a candidate and its model card for the hub or a server, or scores for other tools.

    `--format lm-eval` writes lm-eval's `results_*.json` and samples of every arm, `--format eee`
    records of Every Eval Ever; both have the items' texts.

    Whatever is made here (merged, 4bit, 8bit) is loaded again and has to answer 50 items of the run
    as it did when it was scored, else nothing is written.

    Example: `harness export runs/mine lora-r16 --out lora-r16 --as merged --license mit`
    """
    if written_as is not ExportFormat.WEIGHTS:
        if form or trust or licence != UNKNOWN:
            raise StudyError(
                f"--format {written_as} writes scores: --as, --license and "
                "--trust-remote-code are of weights; leave them out"
            )
        _scores(run, candidate, out, written_as)
        return
    if candidate is None:
        raise StudyError("an export of weights needs a candidate: name one after the run")
    from harness.pipeline.exported.export import export
    from harness.store.run_folder import RunFolder

    written = export(
        RunFolder(run), candidate, out, form=form, licence=licence, trust_remote_code=trust
    )
    console.say(f"{out} is {_NEXT[written.form].format(out=out)}")
    _tell_scores(candidate, written)
    console.say(f"{out / 'README.md'} is its model card")


def _tell_scores(candidate: str, written: "Exported") -> None:
    """Say whether this form was scored, and how it was held to that."""
    if written.checked:
        same = f"loaded again, it answers {written.checked} items of the run"
        if written.as_scored == written.checked:
            console.say(f"{same} as {written.scored_as!r} did when it was scored")
        else:
            console.say(f"{same} as before it was written")
        if written.as_scored not in (None, written.checked):
            console.say(
                f"{written.as_scored} of them as {written.scored_as!r} did in other batches: in 8 "
                "bits, what is read is rounded, too"
            )
    if written.gguf and written.gguf.asked:
        console.say(
            f"model.gguf, read by llama.cpp, answers {written.gguf.same} of {written.gguf.asked} "
            f"items as {candidate!r} did when it was scored"
        )
    elif written.gguf:
        console.say(
            "model.gguf was not checked, since llama.cpp is not installed: pip install "
            "'finetune-harness[gguf]', and export again or score it as 'gguf' in a study"
        )
    if written.scored_as is None:
        console.say(
            f"not scored in this run: the card has the scores of {candidate!r} as it was trained; "
            f"add 'as: [{written.form}]' to it in the study and run that again"
        )


def _scores(run: Path, arm: str | None, out: Path, form: ExportFormat) -> None:
    from harness.pipeline.exported.export_scores import export_scores
    from harness.store.run_folder import RunFolder

    arms = export_scores(
        RunFolder(run),
        out,
        form="lm-eval" if form is ExportFormat.LM_EVAL else "eee",
        arms=(arm,) if arm else (),
    )
    console.say(f"{out} has the scores of {', '.join(arms)}")
    if form is ExportFormat.LM_EVAL and len(arms) > 1:
        console.say(f"next: harness compare {out / arms[0]} {out / arms[1]}")
