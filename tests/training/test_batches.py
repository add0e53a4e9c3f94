"""Batches: rows that share a line give the same loss and gradient as rows that are padded."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.model

LENGTHS = st.lists(st.integers(min_value=2, max_value=40), min_size=1, max_size=12)


def rows_of(lengths: list[int]) -> list[dict[str, list[int]]]:
    """Return rows of given lengths, the second half of each learnt."""
    rows = []
    for number, length in enumerate(lengths):
        ids = [7 + (number * 31 + place * 17) % 200 for place in range(length)]
        rows.append({"input_ids": ids, "labels": [-100] * (length // 2) + ids[length // 2 :]})
    return rows


@given(lengths=LENGTHS, most=st.sampled_from([0, 30, 45, 1000]))
def test_sharing_keeps_every_row_whole(lengths: list[int], most: int) -> None:
    """Each row appears once, contiguous, with its own positions and labels; no line is too long."""
    from harness.training.rows.packing import padded, shared

    rows = rows_of(lengths)
    batch = shared(rows, pad=0, most=most)
    assert batch["input_ids"].shape == batch["labels"].shape == batch["position_ids"].shape
    longest = max(lengths)
    assert longest <= batch["input_ids"].shape[1] <= max(longest, min(most, 1.5 * longest))
    assert batch["input_ids"].numel() <= shared(rows, pad=0)["input_ids"].numel()
    assert batch["input_ids"].shape[0] <= len(rows)
    found = []
    for ids, labels, places in zip(
        *(batch[key].tolist() for key in ("input_ids", "labels", "position_ids")), strict=True
    ):
        starts = [i for i, place in enumerate(places) if place == 0] + [len(ids)]
        found += [
            (tuple(ids[a:b]), tuple(labels[a:b]))
            for a, b in pairwise(starts)
            if any(label != -100 for label in labels[a:b])
        ]
    assert sorted(found) == sorted((tuple(r["input_ids"]), tuple(r["labels"])) for r in rows)
    alone = padded(rows, pad=0)
    assert (alone["labels"] != -100).sum() == (batch["labels"] != -100).sum()


@pytest.mark.parametrize(("most", "lines", "width"), [(0, 5, 50), (60, 5, 50), (200, 3, 70)])
def test_lines_are_longer_than_a_row_where_that_wastes_less(
    most: int, lines: int, width: int
) -> None:
    """Rows of which no two fit into the longest are paired in longer lines, where these may be."""
    from harness.training.rows.packing import shared

    batch = shared(rows_of([50, 35, 35, 35, 35]), pad=0, most=most)
    assert batch["input_ids"].shape == (lines, width)


def test_float32_attention_learns_what_bfloat16_learns(tiny_base: Path) -> None:
    """In a training in bfloat16 it gives the same loss and gradient, but for rounding."""
    import torch
    from transformers import AutoModelForCausalLM

    from harness.models.float32_attention import NAME, take_float32_attention
    from harness.training.rows.packing import keeps_rows_apart, shared

    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    rows = rows_of([33, 20, 12, 9, 5, 4])
    batch = shared(rows, 0)

    def step() -> tuple[float, Any]:
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**batch, use_cache=False).loss
        loss.backward()
        return loss.item(), model.model.layers[0].self_attn.q_proj.weight.grad.clone()

    loss, gradient = step()
    take_float32_attention(model)
    expected = "sdpa" if torch.cpu._is_amx_tile_supported() else NAME
    assert model.config._attn_implementation == expected
    again, other = step()
    assert again == pytest.approx(loss, abs=1e-3)
    assert (gradient - other).norm() < 0.02 * gradient.norm()
    assert keeps_rows_apart(model, rows, 0)


def test_sharing_changes_neither_loss_nor_gradient(tiny_base: Path) -> None:
    """One step on shared lines is the step on padded ones."""
    import torch
    from transformers import AutoModelForCausalLM

    from harness.training.rows.packing import keeps_rows_apart, padded, shared

    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    rows = rows_of([33, 20, 12, 9, 5, 4])

    def step(batch: dict[str, Any]) -> tuple[float, Any]:
        model.zero_grad()
        loss = model(**batch, use_cache=False).loss  # transformers keeps rows apart only so
        loss.backward()
        return loss.item(), model.model.layers[0].mlp.up_proj.weight.grad.clone()

    (alone, one), (together, other) = step(padded(rows, 0)), step(shared(rows, 0))
    assert alone == pytest.approx(together, abs=1e-5)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    assert keeps_rows_apart(model, rows, 0)


def test_a_model_that_mixes_rows_is_noticed(tiny_base: Path) -> None:
    """Where positions do not keep rows apart, rows are padded instead of mixed."""
    import torch
    from transformers import AutoModelForCausalLM

    from harness.training.rows.packing import keeps_rows_apart

    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)

    class Blind(torch.nn.Module):
        """Ignores positions, as architectures without them do."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.device = model.device

        def forward(self, input_ids: Any, **_: Any) -> Any:
            return self.model(input_ids=input_ids)

    assert not keeps_rows_apart(Blind(), rows_of([33, 12, 9, 5]), 0)
