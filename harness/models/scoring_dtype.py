"""Which precision scores: what ``dtype: auto`` comes to on a device, and why.

The rule is a pure function of a study's ``base`` and of what is known about its device; `facts_of`
looks the device up. What a run is scored in stands in its lock, never the word ``auto``.
"""

from dataclasses import dataclass

from harness.models.hardware import device_of, device_title, has_bf16
from harness.study import AUTO, VERIFIED, BaseSection


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What decides about precision: ``kind`` is cpu, cuda or mps, ``title`` its name for people."""

    kind: str
    title: str
    has_bf16: bool


@dataclass(frozen=True, slots=True)
class ScoringDtype:
    """The precision that a study asks for, what it comes to, and why."""

    wanted: str
    dtype: str
    why: str

    @property
    def sentence(self) -> str:
        """What a person reads about it."""
        asked = f" (dtype {self.wanted})" if self.wanted != self.dtype else ""
        return f"scored in {self.dtype}{asked}: {self.why}"

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence where a study named a precision and gets another one."""
        return (self.sentence,) if self.wanted not in (AUTO, self.dtype) else ()


def facts_of(device: str) -> DeviceFacts:
    """Look a study's ``device`` up.

    Raises:
        ModelError: If it is not there.
    """
    found = device_of(device)
    return DeviceFacts(found.type, device_title(found), has_bf16(found))


def scoring_dtype(base: BaseSection, device: DeviceFacts | None = None) -> ScoringDtype:
    """Return what a base's weights are scored in on a device, by default the study's own.

    Both values that ``auto`` may take give float32's verdicts. Verified bf16 is float32 where there
    are no instructions for bf16: emulated, it would be the slower of the two.

    Raises:
        ModelError: If the study's device is not there.
    """
    wanted = base.dtype
    if wanted not in (AUTO, VERIFIED):
        return ScoringDtype(wanted, wanted, "the study says so")
    if base.quantization != "none":
        why = f"weights in {base.quantization} have no float32 that bf16 could be verified by"
        return ScoringDtype(wanted, "float32", why)
    device = device or facts_of(base.device)
    if not device.has_bf16:
        why = f"no bf16 instructions are known of this {device.title}"
        return ScoringDtype(wanted, "float32", why)
    if wanted == VERIFIED:
        return ScoringDtype(wanted, VERIFIED, "the study says so")
    if device.kind == "cuda":
        return ScoringDtype(wanted, VERIFIED, f"float32's verdicts, sooner, on {device.title}")
    why = "on a processor a first pass in bf16 pays only where it has AMX"
    return ScoringDtype(wanted, "float32", why)
