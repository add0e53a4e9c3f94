"""The command line: one file a verb; each parses, calls and prints.

Nothing heavy is imported here: ``harness --help`` must not load torch.
"""

import logging
import os
import sys
import warnings

import typer

from harness.cli import (
    boundary,
    chat,
    compare,
    console,
    data,
    doctor,
    export,
    gate,
    history,
    init,
    lm_eval,
    mcp,
    plan,
    quickstart,
    rate,
    report,
    review,
    run,
    score,
    tasks,
    train,
)

app = typer.Typer(
    name="harness",
    help="Did the fine-tune help, and what did it break?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help in plain text: rich doubles the time it takes
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    *(quickstart, init, run, plan, train, score, compare, gate),
    *(report, rate, chat, export, doctor, mcp),
)
for verb in VERBS:
    app.command(verb.__name__.rpartition(".")[2])(verb.command)
app.command("lm-eval", context_settings=lm_eval.CONTEXT, add_help_option=False)(lm_eval.command)
app.add_typer(data.app)
app.add_typer(history.app)
app.add_typer(review.app)
app.add_typer(tasks.app)


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    """Did the fine-tune help, and what did it break?"""
    if show:
        from harness import __version__

        console.say(f"harness {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; what a user can mend is one sentence and a documented exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore", FutureWarning)  # the libraries' news for their own callers
    # bitsandbytes warns of optional kernels as PEFT imports it, also where nothing is in 4 bits
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    code = boundary.guarded(lambda: app(standalone_mode=False))
    boundary.close_output()
    sys.exit(code)
