"""``harness doctor``: what this machine can do."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from harness import content
from harness.cli import console
from harness.errors import HarnessError, MissingExtraError
from harness.extras import require
from harness.files import sha256_of


def command(
    study: Annotated[
        Path | None, typer.Argument(help="a study: which engine serves it here, and why")
    ] = None,
) -> None:
    """Say what this machine can do.

    Versions, devices, precision, free disk, and the hash of the built-in base. With a study also
    which engine serves it: our own, vLLM, or an endpoint.

    Example: `harness doctor study.yaml`
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
    if study is not None:
        _show_engine(study)


def _show_engine(path: Path) -> None:
    from harness.pipeline.checks.serving_engine import facts_for, serving_engine
    from harness.pipeline.plan import plan
    from harness.study import load

    study = load(path)
    try:
        told = serving_engine(study, facts_for(plan(study)))
    except HarnessError as error:
        told = [f"not examined: {error}"]
    for line in told:
        console.say(f"{'engine':<18} {line}")


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
