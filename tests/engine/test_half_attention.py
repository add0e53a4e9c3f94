"""Attention of a decode step in bf16: a float32 softmax, and no float32 copies of keys."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.engine.decoding.sampling import SamplingParams
from harness.engine.decoding.stopping import GeneratedText
from harness.engine.prefix.attention import CachedPrefix
from harness.engine.prefix.decode import DecodeBatch, DecodeRow

KV, G, D, ROWS, OWN, SHARED = 2, 3, 16, 5, 9, 40


class Converted(TorchDispatchMode):
    """Collects the sizes of what is converted from one number format to another."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Note a conversion to float32, and compute as ever."""
        found = operation(*args, **(kwargs or {}))
        if operation is torch.ops.aten._to_copy.default and found.dtype == torch.float32:
            self.sizes.append(found.numel())
        return found


def drawn(*shape: int) -> torch.Tensor:
    """Return random numbers in bf16."""
    return torch.randn(*shape).to(torch.bfloat16)


@pytest.mark.parametrize("is_shared", [False, True])
def test_keys_are_not_copied_to_float32(is_shared: bool) -> None:
    """Scores are turned to float32 once, for the softmax; the result is near the exact one's."""
    torch.manual_seed(0)
    prefix = CachedPrefix((drawn(KV, SHARED, D),), (drawn(KV, SHARED, D),)) if is_shared else None
    own = [(drawn(KV, OWN, D), drawn(KV, OWN, D)) for _ in range(ROWS)]
    batch = DecodeBatch()
    params = SamplingParams(max_new_tokens=4)
    batch.add(
        [
            DecodeRow(
                index=n, text=GeneratedText(None, frozenset(), params), params=params,  # type: ignore[arg-type]
                last_token=1, position=OWN, prefix=prefix, keys=[[keys]], values=[[values]],
            )
            for n, (keys, values) in enumerate(own)
        ]
    )  # fmt: skip
    batch.begin_step()
    query, key, value = drawn(KV * G, ROWS, D), drawn(KV, ROWS, D), drawn(KV, ROWS, D)
    with Converted() as converted:
        found = batch.attend(0, query, key, value, D**-0.5)  # (H, R, D)
    tokens = [OWN + 1, *([SHARED] if is_shared else [])]
    once = [KV * G * ROWS * each for each in tokens]
    averages = [KV * G * ROWS * D] * (2 if is_shared else 0)
    assert sorted(converted.sizes) == sorted([*once, *averages])
    for row, (keys, values) in enumerate(own):
        before = [(prefix.keys[0], prefix.values[0])] if prefix else []
        parts = [*before, (keys, values), (key[:, row : row + 1], value[:, row : row + 1])]
        all_keys, all_values = (torch.cat(each, dim=1).float() for each in zip(*parts, strict=True))
        asked = query[:, row].float().view(KV, G, D) * D**-0.5
        exact = (asked @ all_keys.transpose(1, 2)).softmax(-1) @ all_values  # (KV, G, D)
        assert found[:, row].float().view(KV, G, D).sub(exact).abs().max() < 0.05
