"""``harness doctor``: what this machine can do."""

import os
import shutil
from pathlib import Path

from harness import content
from harness.cli import console
from harness.errors import MissingExtraError
from harness.extras import require
from harness.files import sha256_of


def command() -> None:
    """Say what this machine can do.

    Versions, devices, precision, free disk, and the hash of the built-in base.

    Example: `harness doctor`
    """
    from harness.models.bounds import limits_here
    from harness.versions import versions

    for name, version in versions().items():
        console.say(f"{name:<18} {version}")
    _show_devices()
    console.say(f"{'limits':<18} {limits_here()}")
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    console.say(f"{'free disk':<18} {free:.0f} GB in {Path.cwd()}")
    for name, folder in content.BUILTIN_MODELS.items():
        digest = sha256_of(folder / "model.safetensors")
        console.say(f"{'builtin:' + name:<18} sha256 {digest}")


def _show_devices() -> None:
    try:
        require("engine")
    except MissingExtraError as error:
        console.say(f"{'devices':<18} not examined: {error}")
        return
    import torch

    from harness.models.hardware import device_of, precision_of
    from harness.models.scoring_dtype import facts_of, scoring_dtype
    from harness.study import BaseSection

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    console.say(f"{'devices':<18} {', '.join(devices) or f'CPU, {os.cpu_count()} cores'}")
    device = facts_of("auto")
    trained = "yes" if device.has_bf16 else f"no: training uses {precision_of(device_of('auto'))}"
    console.say(f"{'bfloat16':<18} {trained}")
    precision = scoring_dtype(BaseSection(model="a"), device)
    console.say(f"{'dtype auto':<18} {precision.dtype}: {precision.why}")
