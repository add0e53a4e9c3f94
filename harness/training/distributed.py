"""Distributed training: rank, world size and barrier, as ``accelerate launch`` sets them."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from harness.errors import HarnessError, StudyError

if TYPE_CHECKING:
    from torch import nn

Found = TypeVar("Found")

WHOLE = (
    "suites are scored on a whole model: FSDP, ZeRO-3 and tensor parallelism spread its weights "
    "over processes; score its checkpoints with 'harness run', or train with DDP"
)

SPREADING = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism config",
}
"""Variables by which ``accelerate launch`` asks for more than DDP -> what they ask for."""


def require_ddp(name: str) -> None:
    """Refuse to train where ``accelerate launch`` was told to spread a model's weights.

    Raises:
        StudyError: Saying what asks for it, and what to do.
    """
    for variable, what in SPREADING.items():
        if os.environ.get(variable, "").lower() not in {"", "0", "f", "false", "n", "no", "off"}:
            raise StudyError(
                f"candidate {name!r} is trained on whole copies of its base: {variable} asks for "
                f"{what}; start 'accelerate launch --multi_gpu' (DDP) or 'harness train STUDY "
                "--only NAME' once for each candidate, or train it in a script of your own and "
                "give the study its 'adapter'"
            )


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


def of_first(work: Callable[[], Found]) -> Found:
    """Return what rank 0 finds; the others wait for it, so that all go on alike.

    Raises:
        HarnessError: In every process, where the work in rank 0 raises one.
    """
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    state = PartialState()
    if state.num_processes == 1:
        return work()
    told: list[tuple[Found | None, HarnessError | None]] = [(None, None)]
    if state.is_main_process:
        try:
            told = [(work(), None)]
        except HarnessError as error:
            told = [(None, error)]
    broadcast_object_list(told)
    ((found, failed),) = told
    if failed is not None:
        raise failed
    return found  # type: ignore[return-value]  # rank 0 found it or failed


def is_spread(model: "nn.Module") -> bool:
    """Tell whether a process holds only a part of a model's weights, so that it answers wrongly."""
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    return any(isinstance(module, FullyShardedDataParallel) for module in model.modules()) or any(
        isinstance(weights, DTensor) or hasattr(weights, "ds_id") for weights in model.parameters()
    )
