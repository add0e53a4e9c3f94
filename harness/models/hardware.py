"""Which number formats the hardware computes with; looked up, never assumed."""

from pathlib import Path
from typing import Any, Literal

from harness.errors import ModelError

Precision = Literal["bf16", "fp16", "fp32"]

_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
"""x86 and ARM flags of /proc/cpuinfo that mean bfloat16 matrix products in hardware."""


def precision_of(device: Any) -> Precision:
    """Return the mixed precision to train with on a torch device.

    bfloat16 where it is native (it needs no loss scaling), else float16 on NVIDIA cards with tensor
    cores, else float32.
    """
    import torch

    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16"
        return "fp16" if torch.cuda.get_device_capability(device) >= (7, 0) else "fp32"
    if device.type == "cpu" and _CPU_FLAGS & _cpu_flags():
        return "bf16"
    return "fp32"


def device_of(wanted: str) -> Any:
    """Return the torch device for a study's ``device``: ``auto`` takes the first CUDA card.

    Raises:
        ModelError: If a CUDA device is asked for where there is none.
    """
    import torch

    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(wanted)
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ModelError(f"no device {wanted!r}: {count} CUDA devices found; set 'device: auto'")
    return device


def has_bf16(wanted: str = "auto") -> bool:
    """Tell whether training on a device would use bfloat16."""
    return precision_of(device_of(wanted)) == "bf16"


def _cpu_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()  # no Linux: nothing is known, so nothing is assumed
    return {
        flag
        for line in lines
        if line.partition(":")[0].strip() in {"flags", "Features"}
        for flag in line.partition(":")[2].split()
    }
