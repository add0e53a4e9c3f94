"""Open the engine that a study's base asks for."""

import logging
import platform
from collections.abc import Sequence
from typing import Any

import torch

from harness.engine.model import Engine
from harness.engine.verified.decided import is_decided_by_best
from harness.engine.verified.engine import VerifiedEngine
from harness.errors import ModelError
from harness.study import VERIFIED, BaseSection
from harness.suites.load_suite import LoadedSuite

log = logging.getLogger("harness.engine")


def open_engine(
    base: BaseSection, model: str, *, suites: Sequence[LoadedSuite] = ()
) -> Engine | VerifiedEngine:
    """Load a study's base, once or, for verified bf16, in two precisions.

    Args:
        base: The study's section: revision, precision, device, quantization.
        model: Hub name or folder.
        suites: What will be asked. Verified bf16 measures its bounds on a probe of it, and answers
            in float32 what is not decided by a best choice or a text.

    Raises:
        ModelError: If model or tokenizer cannot be loaded, or verified bf16 is asked of quantized
            weights.
    """
    return load_engine(
        model,
        dtype=base.dtype,
        suites=suites,
        revision=base.revision,
        device=base.device,
        quantization=base.quantization,
        trust_remote_code=base.trust_remote_code,
    )


def load_engine(
    model: str, *, dtype: str, suites: Sequence[LoadedSuite] = (), **options: Any
) -> Engine | VerifiedEngine:
    """Load an engine by plain arguments: `Engine.load`'s, and ``bfloat16_verified`` as a dtype.

    Raises:
        ModelError: As `open_engine`.
    """
    if dtype != VERIFIED:
        return Engine.load(model, dtype=dtype, **options)
    if options.get("quantization", "none") != "none":
        raise ModelError(
            f"dtype {VERIFIED} needs weights that are not quantized: found quantization "
            f"{options['quantization']!r}; use dtype bfloat16 with it, or quantization none"
        )
    exact = Engine.load(model, dtype="float32", **options)
    if not has_bf16(exact.runner.like.device):
        exact.notes.append(
            f"answered in float32: {exact.runner.like.device.type} here has no bf16 instructions, "
            f"so dtype {VERIFIED} would be slower than float32"
        )
        log.warning("%s", exact.notes[-1])
        return exact
    work = tuple(request for suite in suites for request in suite.requests)
    numeric = [suite.suite.name for suite in suites if not is_decided_by_best(suite)]
    return VerifiedEngine(exact, work, sorted(numeric))


def has_bf16(device: torch.device) -> bool:
    """Say whether a device multiplies bf16 matrices by instructions of its own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if platform.machine() in ("aarch64", "arm64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    # on x86 that call is true of processors, too, that only emulate bf16
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
