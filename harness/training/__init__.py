"""Candidates are trained by TRL and PEFT: methods and settings, tokenized rows, saved adapters.

Nothing heavy is loaded before rows are tokenized or `train` is called.
"""

from harness.training.config.job import ScoreModel, Watch
from harness.training.config.keep import KeepRule
from harness.training.config.methods import METHODS, Method
from harness.training.config.objectives import OBJECTIVES, Objective, check_rows
from harness.training.config.search_space import space_of
from harness.training.config.settings import check, check_warmup, settings_of, training_of
from harness.training.distributed import is_first
from harness.training.rows.card import DataCard
from harness.training.rows.encode import marked
from harness.training.rows.tokenized import (
    RowTokenizer,
    TokenForm,
    TokenizedRows,
    TrainingRows,
    token_form,
    training_rows,
)
from harness.training.saved import data_sha256, fingerprint, finished
from harness.training.trainer import train
from harness.training.trl.compatibility import check_fits, outline

__all__ = [
    "METHODS",
    "OBJECTIVES",
    "DataCard",
    "KeepRule",
    "Method",
    "Objective",
    "RowTokenizer",
    "ScoreModel",
    "TokenForm",
    "TokenizedRows",
    "TrainingRows",
    "Watch",
    "check",
    "check_fits",
    "check_rows",
    "check_warmup",
    "data_sha256",
    "fingerprint",
    "finished",
    "is_first",
    "marked",
    "outline",
    "settings_of",
    "space_of",
    "token_form",
    "train",
    "training_of",
    "training_rows",
]
