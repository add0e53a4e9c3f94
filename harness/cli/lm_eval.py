"""``harness lm-eval``: lm-eval's own command with our engine registered."""

import typer

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def command(context: typer.Context) -> None:
    """Run lm-eval's own command line on this engine; built-in suites are found as well.

    Example: `harness lm-eval --model_args pretrained=MODEL,adapter=FOLDER --tasks hellaswag`
    """
    from harness.engine import lm_eval_model

    lm_eval_model.main(context.args)
