"""What ``dtype: auto`` comes to: float32's verdicts on every device, by bf16 where that pays."""

import pytest

from harness.models.scoring_dtype import DeviceFacts, facts_of, scoring_dtype
from harness.study import VERIFIED, BaseSection

CPU = DeviceFacts("cpu", "cpu", has_bf16=True)
OLD_CPU = DeviceFacts("cpu", "cpu", has_bf16=False)
H100 = DeviceFacts("cuda", "cuda (H100)", has_bf16=True)
T4 = DeviceFacts("cuda", "cuda (T4)", has_bf16=False)
MAC = DeviceFacts("mps", "mps", has_bf16=False)


@pytest.mark.parametrize(
    ("device", "asked", "dtype", "why"),
    [
        (CPU, {}, "float32", "on a processor"),
        (OLD_CPU, {}, "float32", "no bf16 instructions are known of this cpu"),
        (H100, {}, VERIFIED, "on cuda (H100)"),
        (T4, {}, "float32", "no bf16 instructions are known of this cuda (T4)"),
        (MAC, {}, "float32", "no bf16 instructions are known of this mps"),
        (H100, {"quantization": "4bit"}, "float32", "weights in 4bit have no float32"),
        (H100, {"quantization": "8bit"}, "float32", "weights in 8bit have no float32"),
        (H100, {"dtype": "float32"}, "float32", "the study says so"),
        (T4, {"dtype": "bfloat16"}, "bfloat16", "the study says so"),
        (CPU, {"dtype": VERIFIED}, VERIFIED, "the study says so"),
        (T4, {"dtype": VERIFIED}, "float32", "no bf16 instructions"),
    ],
)
def test_a_precision_and_its_reason(
    device: DeviceFacts, asked: dict[str, str], dtype: str, why: str
) -> None:
    """Plain bf16 only where a study says so; verified bf16 only where a device multiplies it."""
    base = BaseSection.model_validate({"model": "org/model", **asked})
    found = scoring_dtype(base, device)
    assert found.dtype == dtype
    assert why in found.why
    assert base.weights_dtype == ("bfloat16" if dtype == "bfloat16" else "float32")


def test_a_precision_that_is_not_the_asked_one_is_a_note() -> None:
    """Where a study leaves it to the device there is nothing to note."""
    asked = BaseSection(model="org/model", dtype=VERIFIED)
    (note,) = scoring_dtype(asked, T4).notes
    assert note.startswith("scored in float32 (dtype bfloat16_verified): no bf16 instructions")
    assert not scoring_dtype(asked, H100).notes
    assert not scoring_dtype(BaseSection(model="org/model"), H100).notes
    assert not scoring_dtype(BaseSection(model="org/model"), T4).notes


def test_this_machine_has_one() -> None:
    """What is looked up here has a kind, a name and a precision."""
    device = facts_of("cpu")
    assert (device.kind, device.title) == ("cpu", "cpu")
    assert scoring_dtype(BaseSection(model="org/model", device="cpu")).dtype == "float32"
