"""Capture library warnings during training, and silence progress bars."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Silence progress bars and log messages; yield the list that captured warnings go to."""
    import datasets
    import transformers

    # bitsandbytes warns of optional kernels on every import, TRL of arguments that are set here.
    loggers = [logging.getLogger(name) for name in ("bitsandbytes", "trl")]
    levels = transformers.logging.get_verbosity(), [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    bars = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"  # TRL's bar for reference log-probabilities
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings(record=True) as caught:
            yield caught
    finally:
        datasets.enable_progress_bars()
        transformers.logging.enable_progress_bar()
        transformers.logging.set_verbosity(levels[0])
        for logger, level in zip(loggers, levels[1], strict=True):
            logger.setLevel(level)
        os.environ.pop("TQDM_DISABLE")
        if bars is not None:
            os.environ["TQDM_DISABLE"] = bars


def library_warnings(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """Return the warnings of PEFT and TRL about a training, without deprecations."""
    return sorted(
        {
            str(warning.message)
            for warning in caught
            if {"peft", "trl"} & set(Path(warning.filename).parts)
            and not issubclass(warning.category, (FutureWarning, DeprecationWarning))
        }
    )
