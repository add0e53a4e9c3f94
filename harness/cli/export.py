"""``harness export``: a candidate for the hub or for a server."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console
from harness.cli.report import RunPath

_NEXT = {
    "adapter": "a PEFT adapter; --merge writes a whole model instead",
    "merged": "a whole model; `transformers serve {out}` or vLLM can load it",
    "model": "a whole model; `transformers serve {out}` or vLLM can load it",
}


def command(
    run: RunPath,
    candidate: Annotated[str, typer.Argument(help="The candidate's name in the study.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="An empty or new folder.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge the adapter into its base.")
    ] = False,
    gguf: Annotated[
        bool, typer.Option("--gguf", help="Convert too, with llama.cpp's own tool.")
    ] = False,
    licence: Annotated[
        str, typer.Option("--license", help="For the model card, as the hub names it.")
    ] = "unknown",
    trust: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the base.")
    ] = False,
) -> None:
    """Write a candidate and its model card for the hub or a server.

    Example: `harness export runs/mine lora-r16 --out lora-r16 --merge --license apache-2.0`
    """
    from harness.pipeline.finished.export import export
    from harness.store.run_folder import RunFolder

    form = export(
        RunFolder(run), candidate, out, merge=merge, gguf=gguf, licence=licence,
        trust_remote_code=trust,
    )  # fmt: skip
    console.say(f"{out} is {_NEXT[form].format(out=out)}")
    console.say(f"{out / 'README.md'} is its model card")
