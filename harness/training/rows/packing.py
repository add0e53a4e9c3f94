"""Collators: pad each row, or pack the rows of one step into shared sequences.

A packed step has the same rows and the same loss as a padded one (attention does not cross rows:
positions restart with each one), with fewer padding tokens.
"""

from collections.abc import Mapping, Sequence
from heapq import heapreplace
from typing import TYPE_CHECKING

import torch

from harness.training.rows.encode import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Batch = dict[str, torch.Tensor]
Row = Mapping[str, Sequence[int]]
Rows = Sequence[Row]
Line = list[Row]


def padded(rows: Rows, pad: int) -> Batch:
    """Collate one row per sequence, padded on the right to the longest."""
    width = max(len(row["input_ids"]) for row in rows)

    def lines(key: str, filler: int) -> torch.Tensor:
        return torch.tensor([[*row[key], *[filler] * (width - len(row[key]))] for row in rows])

    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    return {
        "input_ids": lines("input_ids", pad),
        "labels": lines("labels", IGNORED),
        "attention_mask": (torch.arange(width) < lengths[:, None]).long(),
    }


def shared(rows: Rows, pad: int, most: int = 0) -> Batch:
    """Pack rows into lines of nearly equal length: as many lines as waste least.

    ``position_ids`` restart at 0 with every row, which is how transformers keeps rows apart when
    no attention mask is given.

    Args:
        rows: What is learnt in one step.
        pad: The token that fills a line.
        most: Tokens of the longest line; one line takes the longest row in any case.
    """
    lines = _lines(rows, most)
    width = max(map(_tokens, lines))
    tails = [width - _tokens(line) for line in lines]
    filled = list(zip(lines, tails, strict=True))
    return {
        "input_ids": torch.tensor(
            [_joined(line, "input_ids", [pad] * tail) for line, tail in filled]
        ),
        "labels": torch.tensor([_labels(line, [IGNORED] * tail) for line, tail in filled]),
        "position_ids": torch.tensor([_positions(line, tail) for line, tail in filled]),
    }


WIDER = 1.5
"""Longest line as a share of the longest row: what attention costs grows with its square."""


def _lines(rows: Rows, most: int) -> list[Line]:
    """Spread rows over the number of lines that takes the fewest tokens, padding included.

    Each number is tried with the longest row first, always into the emptiest line (LPT: Graham
    1969), until no line is longer than a row. Of two alike the one with shorter lines is taken.
    """
    by_length = sorted(rows, key=lambda row: -len(row["input_ids"]))
    longest = len(by_length[0]["input_ids"])
    limit = max(longest, min(most, int(WIDER * longest)))
    best = [[row] for row in by_length]
    for count in range(-(-_tokens(rows) // limit), len(rows) + 1):
        lines = _spread(by_length, count)
        width = max(map(_tokens, lines))
        if width <= limit and count * width <= len(best) * max(map(_tokens, best)):
            best = lines
        if width == longest:
            break
    return best


def _spread(by_length: Rows, count: int) -> list[Line]:
    lines: list[Line] = [[] for _ in range(count)]
    emptiest = [(0, number) for number in range(count)]  # a heap: tokens, line
    for row in by_length:
        tokens, number = emptiest[0]
        lines[number].append(row)
        heapreplace(emptiest, (tokens + len(row["input_ids"]), number))
    return lines


def _tokens(line: Rows) -> int:
    return sum(len(row["input_ids"]) for row in line)


def _joined(line: Rows, key: str, tail: list[int]) -> list[int]:
    return [token for row in line for token in row[key]] + tail


def _labels(line: Rows, tail: list[int]) -> list[int]:
    # The first token of a row would be predicted from the row before it: no loss.
    return [label for row in line for label in (IGNORED, *row["labels"][1:])] + tail


def _positions(line: Rows, free: int) -> list[int]:
    return [place for row in line for place in range(len(row["input_ids"]))] + list(range(free))


def keeps_rows_apart(model: "PreTrainedModel", rows: Rows, pad: int) -> bool:
    """Tell by a probe whether a model keeps the rows of a packed sequence independent.

    Compares the log-probability of every token with loss of the longest and the two shortest rows,
    packed and padded. False where these rows cannot be packed, or where the architecture takes no
    positions.
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


def _losses(model: "PreTrainedModel", batch: Batch) -> torch.Tensor:
    batch = {key: value.to(model.device) for key, value in batch.items()}
    labels = batch.pop("labels")[:, 1:]
    logits = model(**batch, use_cache=False).logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    return losses[labels != IGNORED]
