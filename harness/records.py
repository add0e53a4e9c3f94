"""The vocabulary: what flows from a study to a decision.

Everything here is frozen data. It imports only `harness.cards`; everything may import it.
An *arm* is what answers: ``base`` or a candidate. Two that are compared are ``base`` and ``tuned``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from harness.cards import LossPoint, SuitePoint, TrainingData, Trial

BASE = "base"
"""The name of the arm that every candidate is compared with."""

PREFERENCE = "preference"
"""The metric of what only raters can judge: its pairs have no score, and none is expected."""

Outcome = Literal["correct", "incorrect", "refused", "unscored"]
Kind = Literal["binary", "graded", "auto"]
Tails = Literal["graded", "heavy"]
Label = Literal[
    "improved", "unchanged", "not_worse", "regressed_within_margin", "regressed", "inconclusive"
]
GateVerdict = Literal["pass", "fail", "inconclusive", "invalid"]
Transition = Literal["both_right", "gained", "lost", "both_wrong", "unscored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation; ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training row: the loss is on the completion only.

    ``prompt`` and ``completion`` are both plain text, or both turns of a conversation.
    ``origin`` says where the row came from (``file:line``) so that errors can name it.
    ``rejected`` makes it a preference pair: an answer that is worse than ``completion``.
    """

    prompt: str | tuple[Message, ...]
    completion: str | tuple[Message, ...]
    origin: str
    rejected: str | tuple[Message, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What a suite declares about itself in its YAML, before any model is loaded.

    ``metric`` is the primary one, ``kind`` and ``tails`` describe its scores, ``judge`` names the
    scoring function (None: lm-eval's own) and ``allow`` what it accepts beyond its strict default,
    ``cluster`` the document field that groups dependent items (None: each is its own cluster),
    ``slices`` the document fields by which a report breaks scores down, ``margin`` the default
    margin in score units, ``threshold`` the score from which a graded answer counts as correct.
    """

    name: str
    metric: str
    kind: Kind = "auto"
    tails: Tails = "graded"
    judge: str | None = None
    cluster: str | None = None
    slices: tuple[str, ...] = ()
    margin: float = 0.03
    threshold: float = 1.0
    allow: tuple[str, ...] = ()
    title: str = ""


class ItemKey(NamedTuple):
    """What makes two answers answers to the same question."""

    suite: str
    filter: str
    doc_hash: str
    occurrence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a suite, the same for every arm.

    ``doc`` is the data row, ``prompt`` the exact text shown to the model (without the ``cut``
    tokens at its start that did not fit), ``prompt_hash`` the sha256 of all its requests' ids,
    ``cluster`` what groups dependent items, ``arguments`` each request's as lm-eval logs them.
    """

    key: ItemKey
    doc_id: int
    doc: Mapping[str, Any]
    prompt: str
    prompt_hash: str
    target: str
    cluster: str
    slices: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[tuple[Any, ...], ...] = ()
    cut: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call on a model, as token ids; what the engine answers and the store keeps.

    ``settings`` shape a generation (``until``, ``max_new_tokens``, ``temperature``, ...; empty for
    log-likelihoods), ``item`` and ``index`` say which of an item's requests it is (choice number).
    """

    kind: Literal["loglikelihood", "loglikelihood_rolling", "generate_until"]
    item: ItemKey
    index: int
    context: str
    continuation: str
    context_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a model gave back for one request.

    ``logprob`` (natural log of the continuation) and ``is_greedy`` for log-likelihoods, ``text``
    and ``finish`` (``stop`` or ``length``) for generations; ``unscored`` says why none could be had
    through no fault of the model. ``gap`` (never stored) is a greedy answer's least lead in logits.
    """

    logprob: float | None = None
    is_greedy: bool | None = None
    text: str | None = None
    finish: str | None = None
    tokens: int = 0
    unscored: str | None = None
    gap: float | None = field(default=None, compare=False)


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
    details: Mapping[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the paired scores of one suite say about ``tuned - base``.

    ``delta`` and its interval are in score units; the interval has level ``1 - 2 alpha``.
    ``p_regression`` is the one-sided p-value against "not a drop", ``p_non_inferior`` against
    "a drop of at least the margin". ``items_needed`` estimates how many items would decide an
    inconclusive verdict (None when decided), ``notes`` are warnings for a person.
    """

    label: Label
    verdict: Literal["pass", "fail", "inconclusive"]
    delta: float
    ci_low: float
    ci_high: float
    p_regression: float
    p_non_inferior: float
    n: int
    discordant: int
    items_needed: int | None
    method: str
    margin: float
    alpha: float
    clusters: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Base against one candidate on one suite: the evidence and the decision.

    ``verdict`` is the gate's, after Holm over the candidate's suites; ``decision`` is unadjusted.
    ``base`` and ``tuned`` are mean scores over the items scored for both arms.
    """

    candidate: str
    suite: Suite
    pairs: tuple[Pair, ...]
    decision: Decision | None
    verdict: GateVerdict
    p_adjusted: float | None
    base: float | None
    tuned: float | None
    unscored: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that error analysis noticed about a comparison, with the evidence for it.

    ``kind`` is ``cause`` (an error label whose share changed), ``slice`` (a group of items that
    gained or lost) or ``warning``. ``keys`` are the items that show it.
    """

    kind: Literal["cause", "slice", "warning"]
    candidate: str
    suite: str
    title: str
    text: str
    base_count: int = 0
    tuned_count: int = 0
    total: int = 0
    delta: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    keys: tuple[ItemKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One thing that answers, and how it came to be.

    ``path`` is the adapter folder (None for the base), ``seconds`` the wall time of its training
    (None when it was trained elsewhere), ``trainable`` its number of trained parameters.
    """

    name: str
    method: str = ""
    note: str = ""
    path: str | None = None
    weights_sha256: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    loss: tuple[LossPoint, ...] = ()
    seconds: float | None = None
    trainable: int | None = None
    trials: tuple[Trial, ...] = ()
    watched: tuple[SuitePoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmScore:
    """How one arm did on one suite: primary metric with interval, and the other columns."""

    arm: str
    suite: str
    metric: str
    n: int
    unscored: int
    mean: float | None
    ci_low: float | None
    ci_high: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished run: everything that the gate files and the report are made from."""

    study: str
    base_model: str
    verdict: GateVerdict
    exit_code: int
    arms: tuple[Arm, ...]
    suites: tuple[Suite, ...]
    scores: tuple[ArmScore, ...]
    comparisons: tuple[Comparison, ...]
    findings: tuple[Finding, ...]
    versions: Mapping[str, str]
    seed: int
    notes: tuple[str, ...] = ()
    data: tuple[TrainingData, ...] = ()
