"""What one rater gets and gives back, in any form: no arm, no candidate and no score is in it.

The words that a rater chooses from, and the numbers they stand for, are here and nowhere else.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from harness.records import PREFERENCE, Suite

Form = Literal["preference", "direct"]

RATINGS_FORMAT = "harness-ratings/1"
"""The ``format`` of the JSON that a rating page gives back."""

CANNOT_JUDGE = "cannot judge"

POINTS = {
    "A much better": 2,
    "A slightly better": 1,
    "both good": 0,
    "both bad": 0,
    "B slightly better": -1,
    "B much better": -2,
}
"""The six points of a preference, and how far each leans towards A."""

CHOICES = (*POINTS, CANNOT_JUDGE)

SCORES = (1, 2, 3, 4, 5)
"""What a direct rating gives each answer, 5 is best."""

GENERAL_TAGS = (
    "wrong", "invented", "incomplete", "contradicts", "repeats", "off topic", "wrong form",
    "harmful",
)  # fmt: skip

_OF_CONVERSATIONS = (
    "forgot", "contradicts", "invented", "repeats", "off topic", "unclear", "wrong form",
    "harmful",
)  # fmt: skip

TAGS = {
    "sql": (
        "wrong table", "wrong join", "wrong condition", "wrong columns", "wrong calculation",
        "wrong order or limit", "does not run", "wrong form",
    ),
    "coherence": _OF_CONVERSATIONS,
    "conversation": _OF_CONVERSATIONS,
    "tools": (
        "wrong tool", "wrong arguments", "call missing", "call too many", "wrong form", "harmful",
    ),
}  # fmt: skip
"""Faults that an answer can have, by the judge of its suite; other suites have the general ones."""

KINDS = ("choice", "qa", "sql", "conversation", "tools", "own")
"""Kinds of suites that have instructions of their own, ``reports/rubrics/<kind>.md``."""

_KIND_OF_JUDGE = {"coherence": "conversation"}
_CHOICE_METRICS = ("acc", "acc_norm")


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterRow:
    """One pair of answers as a rater sees it; ``id`` begins with a letter."""

    id: str
    question: str
    reference: str
    answer_a: str
    answer_b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSheet:
    """The rows of one set: a suite and one candidate, which ``name`` does not tell.

    ``tags`` are the faults that a rater may name of an answer, ``title`` is what a rater reads as
    the suite's name, and ``kind``, one of `KINDS`, says whose instructions belong to it.
    ``thoughts`` says that thoughts before some of the answers were left out.
    """

    name: str
    suite: str
    title: str = ""
    kind: str = "own"
    form: Form
    tags: tuple[str, ...]
    rows: tuple[RaterRow, ...]
    thoughts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """Everything that one rater gets of a draw; raters count from 1."""

    draw: str
    rater: int
    sheets: tuple[SuiteSheet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRating:
    """What a rater said about one row.

    ``choice`` is one of `CHOICES`: a preference, or "cannot judge" in either form; empty where two
    scores are given instead. Scores are of `SCORES`.
    """

    row: str
    choice: str = ""
    score_a: int | None = None
    score_b: int | None = None
    tags_a: tuple[str, ...] = ()
    tags_b: tuple[str, ...] = ()
    comment: str = ""

    @property
    def cannot_judge(self) -> bool:
        """Whether the rater declined."""
        return self.choice == CANNOT_JUDGE

    @property
    def preference(self) -> int | None:
        """How far the rating leans towards A, -2 to 2; two scores or more apart are "much"."""
        if self.score_a is not None and self.score_b is not None:
            return max(-2, min(2, self.score_a - self.score_b))
        return POINTS.get(self.choice)


def shown_cells(row: RaterRow) -> tuple[str, ...]:
    """Return what a rater sees of a row, in the order of its fields; its fingerprint is of this."""
    return row.id, row.question, row.reference, row.answer_a, row.answer_b


def tags_of(suite: Suite) -> tuple[str, ...]:
    """Return the faults that answers to a suite can have."""
    return TAGS.get(suite.judge or "", GENERAL_TAGS)


def kind_of(suite: Suite) -> str:
    """Return which of `KINDS` a suite is of: by its judge, else by its metric."""
    kind = _KIND_OF_JUDGE.get(suite.judge or "", suite.judge)
    if kind in KINDS:
        return kind
    if suite.metric == PREFERENCE:
        return "conversation"
    return "choice" if suite.metric in _CHOICE_METRICS else "own"


def ratings_json(draw: str, rater: int, ratings: Sequence[RowRating]) -> str:
    """Return ratings as the JSON that a rating page gives and ``harness review collect`` reads."""
    told = {
        "format": RATINGS_FORMAT,
        "draw": draw,
        "rater": rater,
        "ratings": [asdict(rating) for rating in ratings],
    }
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"
