"""Pure verdict functions: what a response is worth, and why.

`qa` judges free-text answers, `choice` free-text answers to multiple-choice questions, `coherence`
a turn of a conversation, `refusal` whether a request is declined, `classification` which label is
named, `summary` a summary by its source. Tool calls are judged in `harness.scoring.tools`, SQL in
`harness.sql`.
"""

from harness.scoring.choice import choice, read_choice
from harness.scoring.dialogue import coherence
from harness.scoring.free_text import qa
from harness.scoring.label_answers import classification
from harness.scoring.normalize import normalize, token_f1
from harness.scoring.refusals.declined_requests import refusal
from harness.scoring.summaries import summary

__all__ = [
    "choice",
    "classification",
    "coherence",
    "normalize",
    "qa",
    "read_choice",
    "refusal",
    "summary",
    "token_f1",
]
