"""Open the engine that a study's base asks for."""

import logging
from collections.abc import Sequence

from harness.engine.model import Engine
from harness.engine.verified.decided import is_decided_by_best
from harness.engine.verified.engine import VerifiedEngine
from harness.models.hardware import has_bf16
from harness.models.load_model import base_section
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
        ModelError: If model or tokenizer cannot be loaded.
    """
    exact = Engine.from_base(base, model)
    if base.dtype != VERIFIED:
        return exact
    if not has_bf16(exact.runner.like.device):
        exact.notes.append(
            f"answered in float32: {exact.runner.like.device.type} here has no bf16 instructions, "
            f"so dtype {VERIFIED} would be slower than float32"
        )
        log.warning("%s", exact.notes[-1])
        return exact
    work = tuple(request for suite in suites for request in suite.requests)
    return VerifiedEngine(exact, work, numeric_suites(suites))


def load_engine(model: str, **options: object) -> Engine | VerifiedEngine:
    """Load an engine by plain arguments, those of a study's ``base`` section; see `open_engine`."""
    return open_engine(base_section(model, **options), model)


def numeric_suites(suites: Sequence[LoadedSuite]) -> list[str]:
    """Return the suites that are not decided by a best choice or a text, so need float32."""
    return sorted(suite.suite.name for suite in suites if not is_decided_by_best(suite))
