"""Candidates are trained by TRL and PEFT; here is which method, on which tokens, and what is kept.

Nothing heavy is loaded before `train` is called.
"""

from harness.training.card import DataCard, data_card
from harness.training.fits import check_fits, outline
from harness.training.job import Checks
from harness.training.look import Look, look
from harness.training.methods import METHODS, Method
from harness.training.objectives import OBJECTIVES, Objective, check_rows
from harness.training.processes import is_first
from harness.training.saved import fingerprint, finished
from harness.training.settings import check, settings_of
from harness.training.space import space_of
from harness.training.trainer import split, train

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
