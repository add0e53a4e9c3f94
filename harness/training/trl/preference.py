"""TRL's preference trainers on rows that are tokenized already.

Their own tokenization would cut the prompt where tokens merge across its end; ours keeps the exact
prompt ids of inference.
"""

import random
import warnings
from array import array
from collections.abc import Sequence

from datasets import Dataset
from trl import DPOTrainer, KTOTrainer

from harness.training.rows.encode import IGNORED, EncodedRow, dataset_of, token_ids

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that ORPO may move inside TRL
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

__all__ = ["TRAINERS", "ORPOConfig", "pairs"]


class _Dpo(DPOTrainer):
    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset


class _Kto(KTOTrainer):
    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset


class _Orpo(ORPOTrainer):
    def tokenize_row(self, feature: dict[str, object], _model: object = None) -> dict[str, object]:
        return feature


TRAINERS = {"dpo": _Dpo, "kto": _Kto, "orpo": _Orpo}
"""Objective name -> TRL's trainer."""


def pairs(objective: str, rows: Sequence[EncodedRow], *, batch: int, seed: int) -> Dataset:
    """Return preference pairs in the columns that an objective's trainer reads.

    Args:
        objective: ``dpo``, ``orpo`` or ``kto``.
        rows: Tokenized rows with a rejected answer; for KTO also with one judged answer.
        batch: Rows a step reads at once on one device.
        seed: Order of KTO's single answers, which its trainer does not shuffle.
    """
    if objective == "kto":
        return _single_answers(rows, batch=batch, seed=seed)
    split = [(row, row.prompt_length) for row in rows]
    if objective == "dpo":
        return dataset_of(
            {
                "prompt_ids": [row.input_ids[:cut] for row, cut in split],
                "chosen_ids": [row.input_ids[cut:] for row, cut in split],
                "rejected_ids": [row.rejected for row, _ in split],
            }
        )
    columns: dict[str, list[array[int]]] = {
        "prompt_input_ids": [row.input_ids[:cut] for row, cut in split],
        "prompt_attention_mask": [_repeated(1, cut) for _, cut in split],
    }
    for name, wholes in (
        ("chosen", [row.input_ids for row in rows]),
        ("rejected", [row.input_ids[:cut] + row.rejected for row, cut in split]),
    ):
        columns[f"{name}_input_ids"] = wholes
        columns[f"{name}_attention_mask"] = [_repeated(1, len(ids)) for ids in wholes]
        columns[f"{name}_labels"] = [
            _repeated(IGNORED, cut) + ids[cut:] for ids, (_, cut) in zip(wholes, split, strict=True)
        ]
    return dataset_of(columns)


def _repeated(value: int, count: int) -> "array[int]":
    return token_ids([value]) * count


def _single_answers(rows: Sequence[EncodedRow], *, batch: int, seed: int) -> Dataset:
    """Return each answer as a row of its own, in one shuffled order; some rows have one only.

    KTO compares with a mismatched answer: that of the row before in the same batch, as TRL takes
    it. In the order of the file that would be the other answer to the same prompt.
    """
    judged = []
    for row in rows:
        prompt, chosen = row.input_ids[: row.prompt_length], row.input_ids[row.prompt_length :]
        judged.append((prompt, chosen, row.desirable))
        if row.rejected:
            judged.append((prompt, row.rejected, False))
    random.Random(seed).shuffle(judged)
    mismatched = []
    for start in range(0, len(judged), batch):
        answers = [answer for _, answer, _ in judged[start : start + batch]]
        mismatched += [answers[-1], *answers[:-1]]
    dataset = dataset_of(
        {
            "prompt_ids": [prompt for prompt, _, _ in judged],
            "completion_ids": [answer for _, answer, _ in judged],
            "KL_completion_ids": mismatched,
        }
    )
    return dataset.add_column("label", [label for _, _, label in judged])
