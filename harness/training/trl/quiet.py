"""What the libraries say while they train: kept for the log, not printed."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Silence the libraries' own bars and notices; yield the list that warnings are kept in."""
    import datasets
    import transformers

    # The first warns about optional kernels on every import, the second about what is decided here.
    talkers = [logging.getLogger(name) for name in ("bitsandbytes", "trl")]
    levels = transformers.logging.get_verbosity(), [talker.level for talker in talkers]
    for talker in talkers:
        talker.setLevel(logging.ERROR)
    bars = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"  # TRL's bar for the reference's opinion
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings(record=True) as heard:
            yield heard
    finally:
        datasets.enable_progress_bars()
        transformers.logging.enable_progress_bar()
        transformers.logging.set_verbosity(levels[0])
        for talker, level in zip(talkers, levels[1], strict=True):
            talker.setLevel(level)
        os.environ.pop("TQDM_DISABLE")
        if bars is not None:
            os.environ["TQDM_DISABLE"] = bars


def remarks(heard: Sequence[warnings.WarningMessage]) -> list[str]:
    """Return what PEFT and TRL remarked about this training, without their deprecations."""
    return sorted(
        {
            str(warning.message)
            for warning in heard
            if {"peft", "trl"} & set(Path(warning.filename).parts)
            and not issubclass(warning.category, (FutureWarning, DeprecationWarning))
        }
    )
