"""An allocator that gives up above so many tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def memory_for(model: Any, tokens: int) -> Iterator[list[int]]:
    """Let a model's forward pass fail as an allocator does above so many tokens."""
    sizes: list[int] = []

    def check(_: Any, args: Any, kwargs: Any) -> None:
        sizes.append(kwargs["input_ids"].numel())
        if sizes[-1] > tokens:
            raise torch.OutOfMemoryError("out of memory")

    handle = model.register_forward_pre_hook(check, with_kwargs=True)
    try:
        yield sizes
    finally:
        handle.remove()
