"""Which device to run on, and which number formats it computes with; looked up, never assumed."""

import gc
import os
import platform
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import ModelError

if TYPE_CHECKING:
    import torch

Precision = Literal["bf16", "fp16", "fp32"]

_DEVICES = "auto, cpu, cuda, cuda:N or mps"
_NO_MEMORY = (
    "out of memory", "can't allocate memory", "not enough memory", "std::bad_alloc",
    "ALLOC_FAILED", "cudaErrorMemoryAllocation", "Invalid buffer size",
)  # fmt: skip
"""What PyTorch's allocators and the GPUs' libraries say, on Linux, Windows and macOS."""


def device_of(wanted: str) -> "torch.device":
    """Return the torch device for a study's ``device``.

    ``auto`` takes the first CUDA card, else Apple's GPU (MPS), else the CPU. Of several processes
    that torchrun or accelerate started on one machine, each takes a card of its own.

    Raises:
        ModelError: If it is none of these, or not there.
    """
    import torch

    has_mps = torch.backends.mps.is_available()
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"no device {wanted!r}: use {_DEVICES}") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise ModelError(f"no device {wanted!r}: use {_DEVICES}")
    count = torch.cuda.device_count()
    if device.type == "cuda" and device.index is None and (own := own_card(count)) is not None:
        device = torch.device("cuda", own)
        torch.cuda.set_device(device)  # kernels that are not told a device run on this one
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ModelError(f"no device {wanted!r}: {count} CUDA devices found; set 'device: auto'")
    if device.type == "mps" and not has_mps:
        raise ModelError(
            f"no device {wanted!r}: that is the GPU of a Mac with Apple's processor, and a PyTorch "
            "built for it; set 'device: auto'"
        )
    return device


def own_card(cards: int) -> int | None:
    """Return which of a machine's cards belongs to this process, by its ``LOCAL_RANK``.

    None where nothing was said, or where each process sees its own card only.

    Raises:
        ModelError: If there are more processes than cards.
    """
    given = os.environ.get("LOCAL_RANK", "")
    if not given.isdecimal() or cards < 2:
        return None
    if (rank := int(given)) >= cards:
        raise ModelError(
            f"processes side by side need a GPU each: this is number {rank + 1} on a machine with "
            f"{cards}; start {cards} on it"
        )
    return rank


def check_quantization(bits: str, device: "torch.device") -> None:
    """Refuse weights in 4 or 8 bits where bitsandbytes, which holds them, is not or cannot run.

    Raises:
        ModelError: With the system and the device.
    """
    if bits == "none":
        return
    if find_spec("bitsandbytes") is None or device.type not in ("cpu", "cuda"):
        raise ModelError(
            f"weights in {bits} need bitsandbytes, which does not run here ({platform.system()}, "
            f"device {device.type}): set 'quantization: none' and method 'lora', or on Linux pip "
            "install bitsandbytes"
        )


def device_title(device: "torch.device") -> str:
    """Return what a device is called where numbers made on it are kept."""
    import torch

    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return str(device.type)


def machine_title(device: "torch.device") -> str:
    """Return what a time was measured on: the GPU, or the processor with the threads in use."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    kind = platform.machine() or "unknown"
    if device.type == "mps":
        return f"Apple GPU ({kind})"
    threads = torch.get_num_threads()
    return f"CPU ({kind}), {threads} thread{'s' if threads > 1 else ''}"


def forget_peak(device: "torch.device") -> bool:
    """Begin to measure the peak of memory anew; return whether `peak_bytes` can tell it."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    if device.type != "cpu":
        return False
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: resets VmHWM
    except OSError:
        return False
    return True


def peak_bytes(device: "torch.device") -> int | None:
    """Return the most memory in use since `forget_peak`: of the GPU, else of this process."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    known = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(known[0][1]) if known else None


def free_bytes(device: "torch.device") -> int:
    """Return how much memory a device has left: a GPU's own, else the machine's."""
    import psutil
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        limit = torch.mps.recommended_max_memory()
        return max(0, int(limit) - int(torch.mps.driver_allocated_memory()))
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell an allocation that failed, on a GPU or a CPU, from every other error."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def release_memory() -> None:
    """Give back what nothing uses any more, so that a smaller batch finds room."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def has_bf16(device: "torch.device") -> bool:
    """Return whether a device multiplies bf16 matrices by instructions of its own."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    if platform.machine() in ("aarch64", "arm64"):
        onednn = torch.backends.mkldnn.is_available()
        return onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    # on x86 that call is also true of processors that only emulate bf16
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def precision_of(device: "torch.device") -> Precision:
    """Return the mixed precision to train with on a torch device.

    bfloat16 where it is native (it needs no loss scaling), else float16 on NVIDIA cards with tensor
    cores, else float32.
    """
    import torch

    if has_bf16(device):
        return "bf16"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0):
        return "fp16"
    return "fp32"
