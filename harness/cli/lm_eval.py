"""``harness lm-eval``: lm-eval's own command with our engine registered."""

import typer

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def command(context: typer.Context) -> None:
    """Run lm-eval's own command line on this engine.

    Example: `harness lm-eval --model harness --model_args pretrained=gpt2 --tasks hellaswag`
    """
    from harness.engine import lm_eval_model

    lm_eval_model.main(context.args)
