"""Which device to run on, and which number formats it computes with; looked up, never assumed."""

import platform
from typing import TYPE_CHECKING, Literal

from harness.errors import ModelError

if TYPE_CHECKING:
    import torch

Precision = Literal["bf16", "fp16", "fp32"]


def device_of(wanted: str) -> "torch.device":
    """Return the torch device for a study's ``device``: ``auto`` takes the first CUDA card.

    Raises:
        ModelError: If it is no torch device, or a CUDA device where there is none.
    """
    import torch

    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"no device {wanted!r}: use auto, cpu, cuda or cuda:N") from error
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ModelError(f"no device {wanted!r}: {count} CUDA devices found; set 'device: auto'")
    return device


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
