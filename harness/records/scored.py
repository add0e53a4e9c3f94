"""An item as an arm answered it, and its verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.records.items import Document, Item, Response

Outcome = Literal["correct", "incorrect", "refused", "unscored"]


Transition = Literal["both_right", "gained", "lost", "both_wrong", "unscored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a scoring function decided about one answer, and why.

    ``score`` is in [0, 1], or None when the outcome is ``unscored``. ``labels`` lists causes,
    primary first. ``answer`` is what was extracted from the response, ``explanation`` one sentence
    for a person, ``metrics`` further numeric columns, ``details`` fields of one judge only.
    """

    outcome: Outcome
    score: float | None
    labels: tuple[str, ...] = ()
    answer: str | None = None
    explanation: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    details: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One item as one arm answered it: a line of ``samples_<suite>.jsonl``."""

    item: Item
    arm: str
    responses: tuple[Response, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two answers to one item."""

    base: Sample
    tuned: Sample
    transition: Transition
