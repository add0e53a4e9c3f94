"""Distributed training: rank, world size and barrier, as ``accelerate launch`` sets them."""

import os


def count() -> int:
    """Return the world size."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Tell whether this process is rank 0, which writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


def wait() -> None:
    """Wait at a barrier for every process."""
    if count() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()
