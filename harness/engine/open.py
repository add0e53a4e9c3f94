"""Open the engine that a study's base asks for."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from harness.engine.adapters.switch import AdapterSwitch
from harness.engine.model import Engine
from harness.engine.remote.endpoints import remote_sections
from harness.engine.verified.calibration import verified_fingerprint
from harness.engine.verified.decided import is_decided_by_best
from harness.engine.verified.engine import VerifiedEngine
from harness.models.adapter_folder import read_adapter_folder
from harness.models.fingerprint import (
    BaseIdentity,
    adapter_fingerprint,
    base_identity,
    endpoint_fingerprint,
    form_fingerprint,
    gguf_fingerprint,
    vllm_fingerprint,
)
from harness.models.load_model import base_section, load_tokenizer
from harness.models.protocols import PretrainedTokenizer
from harness.models.scoring_dtype import DeviceFacts, scoring_dtype
from harness.records import Answerer, Arm
from harness.study import VERIFIED, VLLM, BaseSection, Study
from harness.suites.load_suite import LoadedSuite

log = logging.getLogger("harness.engine")


class LocalEngine(Answerer, Protocol):
    """An engine whose weights are loaded here, for who needs the model itself as well."""

    @property
    def tokenizer(self) -> PretrainedTokenizer:
        """The base's tokenizer."""
        ...

    @property
    def switch(self) -> AdapterSwitch:
        """The base and its attached arms."""
        ...

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        ...

    @property
    def max_length(self) -> int:
        """How many tokens fit the context of every arm, virtual tokens of adapters counted in."""
        ...

    @property
    def identity(self) -> BaseIdentity:
        """Everything about the base that can change an answer."""
        ...


def open_engine(
    base: BaseSection,
    model: str,
    *,
    suites: Sequence[LoadedSuite] = (),
    device: DeviceFacts | None = None,
) -> LocalEngine:
    """Load a study's base, once or, for verified bf16, in two precisions.

    Args:
        base: The study's section: revision, precision, device, quantization.
        model: Hub name or folder.
        suites: What will be answered. Verified bf16 measures its bounds on a probe of it, and
            answers in float32 what is not decided by a best choice or a text.
        device: What is known of the base's device; looked up by default.

    Raises:
        ModelError: If model or tokenizer cannot be loaded.
    """
    precision = scoring_dtype(base, device)
    exact = Engine.from_base(base.model_copy(update={"dtype": precision.dtype}), model)
    exact.notes += precision.notes
    if precision.dtype != VERIFIED:
        return exact
    work = tuple(request for suite in suites for request in suite.requests)
    return VerifiedEngine(exact, work, numeric_suites(suites))


def load_engine(model: str, **options: object) -> LocalEngine:
    """Load an engine by plain arguments, those of a study's ``base`` section; see `open_engine`."""
    return open_engine(base_section(model, **options), model)


def arm_fingerprints(
    study: Study, arms: Sequence[Arm], *, suites: Sequence[LoadedSuite] = ()
) -> dict[str, str]:
    """Return what `Answerer.fingerprint` of each arm will be, without loading any weights.

    Local weight files are hashed, not loaded; of a hub model the commit is read from the local
    cache, where its configuration has been downloaded to. If it is not in that cache, its name and
    revision are hashed, as the engine itself does then.

    Args:
        study: Whose base and endpoints they are.
        arms: By name; a candidate that is loaded here by the folder of its weights as well.
        suites: What will be answered; verified bf16 depends on it.

    Raises:
        ModelError: If configuration, tokenizer or a candidate's folder cannot be read.
    """
    remote = remote_sections(study)
    found = {
        arm.name: gguf_fingerprint(study.path(section.gguf))
        if section.gguf
        else endpoint_fingerprint(section)
        for arm in arms
        if (section := remote.get(arm.name))
    }
    local = [arm for arm in arms if arm.name not in remote]
    if not local:
        return found
    base, model = study.base, study.model_path
    identity = base_identity(model, base, load_tokenizer(model, base))
    base_fingerprint = identity.fingerprint
    verified = scoring_dtype(base).dtype == VERIFIED
    numeric = numeric_suites(suites) if verified else []
    for arm in local:
        exact = base_fingerprint
        if arm.path is not None:
            folder = read_adapter_folder(Path(arm.path))
            if arm.form:
                found[arm.name] = form_fingerprint(identity, folder.identity, arm.form)
                continue
            exact = adapter_fingerprint(base_fingerprint, folder.identity)
        mark = verified_fingerprint(exact, numeric) if verified else exact
        found[arm.name] = vllm_fingerprint(base, mark) if base.backend == VLLM else mark
    return found


def numeric_suites(suites: Sequence[LoadedSuite]) -> list[str]:
    """Return the suites that are not decided by a best choice or a text, so need float32."""
    return sorted(suite.suite.name for suite in suites if not is_decided_by_best(suite))
