"""Batches without waste: the rows of one step share sequences instead of being padded.

A step sees the same rows and has the same loss as with padding (attention does not cross rows:
positions restart with each one); only the padding tokens are gone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from harness.training.rows.encode import IGNORED

Batch = dict[str, torch.Tensor]
Rows = Sequence[Mapping[str, Sequence[int]]]


def padded(rows: Rows, pad: int) -> Batch:
    """Put each row on a line of its own, padded on the right to the longest."""
    width = max(len(row["input_ids"]) for row in rows)

    def lines(key: str, filler: int) -> torch.Tensor:
        return torch.tensor([[*row[key], *[filler] * (width - len(row[key]))] for row in rows])

    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    return {
        "input_ids": lines("input_ids", pad),
        "labels": lines("labels", IGNORED),
        "attention_mask": (torch.arange(width) < lengths[:, None]).long(),
    }


def shared(rows: Rows, pad: int) -> Batch:
    """Put rows one after the other on lines as long as the longest row (best fit, longest first).

    ``position_ids`` restart at 0 with every row, which is how transformers keeps rows apart when
    no attention mask is given.
    """
    width = max(len(row["input_ids"]) for row in rows)
    lines: list[list[Mapping[str, Sequence[int]]]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda row: -len(row["input_ids"])):
        length = len(row["input_ids"])
        fitting = [i for i, free in enumerate(room) if free >= length]
        if fitting:
            best = min(fitting, key=lambda i: room[i])
        else:
            best = len(lines)
            lines.append([])
            room.append(width)
        lines[best].append(row)
        room[best] -= length
    return {
        "input_ids": torch.tensor(
            [
                _joined(line, "input_ids", [pad] * free)
                for line, free in zip(lines, room, strict=True)
            ]
        ),
        "labels": torch.tensor(
            [_labels(line, [IGNORED] * free) for line, free in zip(lines, room, strict=True)]
        ),
        "position_ids": torch.tensor(
            [_positions(line, free) for line, free in zip(lines, room, strict=True)]
        ),
    }


def _joined(line: Rows, key: str, tail: list[int]) -> list[int]:
    return [token for row in line for token in row[key]] + tail


def _labels(line: Rows, tail: list[int]) -> list[int]:
    # The first token of a row has nothing of its own row before it: never learnt.
    return [label for row in line for label in (IGNORED, *row["labels"][1:])] + tail


def _positions(line: Rows, free: int) -> list[int]:
    return [place for row in line for place in range(len(row["input_ids"]))] + list(range(free))


def keeps_rows_apart(model: Any, rows: Rows, pad: int) -> bool:
    """Tell by trying whether a model treats rows on one line as if each stood alone.

    Compares the log-probability of every learnt token of the longest and the two shortest rows
    with and without sharing. False where the rows leave no room to share, or where the
    architecture takes no positions.
    """
    by_length = sorted(rows, key=lambda row: -len(row["input_ids"]))
    probe = [by_length[0], *by_length[1:][-2:]]
    if len(shared(probe, pad)["input_ids"]) == len(probe):
        return False
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            alone, together = (_losses(model, layout(probe, pad)) for layout in (padded, shared))
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False
    finally:
        model.train(training)
    tolerance = 1e-3 if next(model.parameters()).dtype == torch.float32 else 0.1
    return bool((alone - together).abs().max() < tolerance)


def _losses(model: Any, batch: Batch) -> torch.Tensor:
    batch = {key: value.to(model.device) for key, value in batch.items()}
    labels = batch.pop("labels")[:, 1:]
    logits = model(**batch, use_cache=False).logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    return losses[labels != IGNORED]
