"""Candidates are trained by TRL and PEFT; here is which method, on which tokens, and what is kept.

Nothing heavy is loaded before `train` is called.
"""

from harness.training.config.job import Checks
from harness.training.config.methods import METHODS, Method
from harness.training.config.objectives import OBJECTIVES, Objective, check_rows
from harness.training.config.search_space import space_of
from harness.training.config.settings import check, settings_of
from harness.training.distributed import is_first
from harness.training.rows.card import DataCard, data_card
from harness.training.rows.look import Look, look
from harness.training.saved import fingerprint, finished
from harness.training.trainer import split, train
from harness.training.trl.compatibility import check_fits, outline

__all__ = [
    "METHODS",
    "OBJECTIVES",
    "Checks",
    "DataCard",
    "Look",
    "Method",
    "Objective",
    "check",
    "check_fits",
    "check_rows",
    "data_card",
    "fingerprint",
    "finished",
    "is_first",
    "look",
    "outline",
    "settings_of",
    "space_of",
    "split",
    "train",
]
