"""Suites, their items, and the requests and responses of a model."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Document = Mapping[str, object]
"""A JSON object: a data row, or what is only passed on."""

Kind = Literal["binary", "graded", "auto"]


Tails = Literal["graded", "heavy"]


NOT_A_NUMBER = "not a number: the model's log-likelihood"
"""Why an item whose answer overflowed is unscored."""

_ROUNDING = 1e-9
"""By how much a computed score may miss the ends of its scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What a suite declares about itself in its YAML, before any model is loaded.

    ``metric`` is the primary one, ``kind`` and ``tails`` describe its scores, ``judge`` names the
    scoring function (None: lm-eval's own) and ``allow`` what it accepts beyond its strict default,
    ``cluster`` the document field whose values are a sample of what the decision is about
    (databases like these; None: each item is its own), ``strata`` a field whose values are all
    that it is about (these databases), so that items are the unit within them,
    ``slices`` the document fields by which a report breaks scores down, ``margin`` the default
    margin in score units, ``threshold`` the score from which a graded answer counts as correct
    (up to which, where lower is better). ``scale`` is what the metric's values lie between: a score
    is a value's place between the two, in [0, 1], and stands as the metric has it:
    ``higher_is_better`` says which way is good. ``target`` marks what the model is tuned for: by
    these suites the best of several candidates is chosen. ``at_least`` is a goal: a mean score, on
    [0, 1], that a candidate has to reach itself. ``similar`` is the cosine from which an
    answer that means much the same as a long reference counts as right (None: none does).
    ``measure`` is what graded scores of conversations are measured by, ``agreement`` a sentence on
    how far such a figure agreed with people.
    """

    name: str
    metric: str
    kind: Kind = "auto"
    tails: Tails = "graded"
    judge: str | None = None
    cluster: str | None = None
    strata: str | None = None
    slices: tuple[str, ...] = ()
    margin: float = 0.03
    threshold: float = 1.0
    allow: tuple[str, ...] = ()
    title: str = ""
    higher_is_better: bool = True
    scale: tuple[float, float] = (0.0, 1.0)
    similar: float | None = None
    target: bool = False
    at_least: float | None = None
    measure: str | None = None
    agreement: str = ""

    @property
    def heading(self) -> str:
        """What a person calls it: its title, else its name."""
        return self.title or self.name

    @property
    def is_measured(self) -> bool:
        """Whether the measure decides, and not only stands in a column beside what does."""
        return bool(self.measure) and self.metric.endswith(f"_{self.measure}")

    @property
    def worst(self) -> float:
        """The score that nothing is worse than."""
        return 0.0 if self.higher_is_better else 1.0

    def is_right(self, score: float) -> bool:
        """Say whether a score counts as a correct answer."""
        return score >= self.threshold if self.higher_is_better else score <= self.threshold

    def oriented(self, score: float) -> float:
        """Return a score so that higher is better, in [0, 1]."""
        return score if self.higher_is_better else 1.0 - score

    def gain(self, change: float) -> float:
        """Return a change of the metric so that a gain is positive."""
        return change if self.higher_is_better else 0.0 - change

    def share_of_scale(self, value: float) -> float | None:
        """Return a value's place on the scale, in [0, 1]; None where it lies outside."""
        low, high = self.scale
        share = (value - low) / (high - low)
        if not -_ROUNDING <= share <= 1 + _ROUNDING:
            return None
        return min(1.0, max(0.0, share))


class ItemKey(NamedTuple):
    """What makes two answers answers to the same question."""

    suite: str
    filter: str
    doc_hash: str
    occurrence: int


RequestKey = tuple[ItemKey, int]
"""An item and which of its requests: the number of a choice or of a turn, else 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a suite, the same for every arm.

    ``doc`` is the data row, ``prompt`` the exact text shown to the model (without the ``cut``
    tokens at its start that did not fit), ``prompt_hash`` the sha256 of all its requests' token
    ids, ``cluster`` what groups dependent items, ``arguments`` each request's as lm-eval logs them.
    """

    key: ItemKey
    doc_id: int
    doc: Document
    prompt: str
    prompt_hash: str
    target: str
    cluster: str
    slices: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[tuple[object, ...], ...] = ()
    cut: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogueTurn:
    """A turn of a dialogue in which a model hears its own earlier answers.

    ``pieces`` are the declared texts before, between and after those answers, one more than there
    are of them; they are encoded apart, so that their token ids are every arm's. ``encode`` gives
    the ids of an answer that follows a piece. ``room`` is the most tokens that the whole dialogue
    takes, its last answer included, ``turns`` how many it has. ``said`` are the answers, empty
    until they are known.
    """

    pieces: tuple[str, ...]
    piece_ids: tuple[tuple[int, ...], ...]
    room: int
    turns: int
    encode: Callable[[str, str], tuple[int, ...]] = field(compare=False, repr=False)
    said: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether what it follows is not known yet."""
        return len(self.said) + 1 < len(self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a model, as token ids; what an engine answers.

    ``settings`` shape a generation (``until``, ``max_new_tokens``, ``temperature``, ...; empty for
    log-likelihoods), ``item`` and ``index`` say which of an item's requests it is (choice number,
    turn). Where ``turn`` is open, the context lacks the own answers that it follows, and no model
    can be asked yet.
    """

    kind: Literal["loglikelihood", "loglikelihood_rolling", "generate_until"]
    item: ItemKey
    index: int
    context: str
    continuation: str
    context_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    turn: DialogueTurn | None = None

    @property
    def key(self) -> RequestKey:
        """What the answers to an item's requests are found by."""
        return self.item, self.index


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a model gave back for one request.

    ``logprob`` (natural log of the continuation) and ``is_greedy`` for log-likelihoods, ``text``
    and ``finish`` (``stop`` or ``length``) for generations; ``unscored`` says why none could be had
    through no fault of the model. ``thought`` is what a reasoning model wrote before its answer
    (None where it wrote none, or ``text`` still has it), and ``thought_tokens`` how many of its
    ``tokens`` that took. ``gap`` (never stored) is the least margin in logits of a greedy
    answer's tokens over the runners-up.
    """

    logprob: float | None = None
    is_greedy: bool | None = None
    text: str | None = None
    finish: str | None = None
    tokens: int = 0
    unscored: str | None = None
    thought: str | None = None
    thought_tokens: int = 0
    gap: float | None = field(default=None, compare=False)

    @property
    def missing(self) -> str | None:
        """Why there is nothing to score: what kept an answer from being had, or it is no number."""
        if self.unscored is None and self.text is None:
            is_number = self.logprob is not None and math.isfinite(self.logprob)
            return None if is_number else NOT_A_NUMBER
        return self.unscored


Answers = dict[RequestKey, Response]
"""What one arm answered, by item and request."""

AnswerBatch = list[tuple[Request, Response]]
"""Answers as an engine yields them, a finished batch at a time."""

ArmAnswerBatch = list[tuple[str, Request, Response]]
"""The same of several arms, with the arm's name."""

Drafts = Mapping[RequestKey, Sequence[str]]
"""Guesses of generated texts: they save time and never change an answer.

Each source of guesses has its place, an empty text where it has none: what is rarely right is not
read further.
"""
