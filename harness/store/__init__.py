"""What stays on disk: every answer (SQLite), run folders, and samples in lm-eval's layout."""

from harness.store.answers import AnswerStore
from harness.store.samples import read_samples, write_samples
from harness.store.score_files import OWN, LoggedItem, LoggedSuite, ScoredItem, read_scores

__all__ = [
    "OWN",
    "AnswerStore",
    "LoggedItem",
    "LoggedSuite",
    "ScoredItem",
    "read_samples",
    "read_scores",
    "write_samples",
]
