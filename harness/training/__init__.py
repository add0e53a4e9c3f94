"""Candidates are trained by TRL and PEFT; here is which method, on which tokens, and what is kept.

Nothing heavy is loaded before `train` is called.
"""

from harness.training.card import DataCard, data_card
from harness.training.methods import METHODS, Method
from harness.training.saved import fingerprint, finished
from harness.training.settings import check, settings_of
from harness.training.trainer import train

__all__ = [
    "METHODS",
    "DataCard",
    "Method",
    "check",
    "data_card",
    "fingerprint",
    "finished",
    "settings_of",
    "train",
]
